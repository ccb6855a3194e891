"""Your own methods, heads, benchmarks and parsers, by name, without editing the package.

A package that is installed beside trifocal registers by an entry point in the group
`trifocal.plugins`, whose value is a module that calls these functions on import, or a function:

    [project.entry-points."trifocal.plugins"]
    mine = "my_package.trifocal_plugin:register"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trifocal.errors import UserError
from trifocal.plugins import register

if TYPE_CHECKING:
    from trifocal.composition.negatives.parse import Parser
    from trifocal.concepts.head import Head
    from trifocal.metrics.benchmark import Benchmark
    from trifocal.tuning.tuned_clip import TunedClip


def register_head(name: str, head: Callable[..., Head]) -> None:
    """Let a few-shot head be found: by `classify fit --method`, `few-shot`, `HeadClassifier`.

    Args:
        name: What it is called there.
        head: A dataclass that derives from `trifocal.concepts.head.Head`, or a `functools.partial`
            of one.

    Raises:
        UserError: the name is taken or no plain word, or the head lacks `fit` and `logits`.

    Example:
        >>> from dataclasses import dataclass
        >>> import trifocal
        >>> from trifocal.concepts.head import Head
        >>> @dataclass(eq=False)
        ... class Means(Head):
        ...     "The nearest class mean."
        ...     wants_text = False
        ...     def _fit(self, data):
        ...         self.means_ = data.onehot.T @ data.features
        ...     def _logits(self, features):
        ...         return self.scale * features @ self.means_.T
        >>> trifocal.register_head("my-means", Means)
        >>> trifocal.HeadClassifier("my-means").fit([[1.0, 0], [0, 1]], ["a", "b"]).predict([[3.0, 1]])
        array(['a'], dtype='<U1')
    """
    kind = getattr(head, "func", head)
    _check("head", kind, callable(head), "a dataclass that derives from Head", "fit", "logits")
    register("head", name, head)


def register_method(name: str, config: type, method: type[TunedClip]) -> None:
    """Let a method that trains inside the towers be found: by recipes, `method: {name: ...}`.

    Args:
        name: What it is called there.
        config: The frozen dataclass of its settings, which a recipe's other fields fill.
        method: The class: `method(clip, config)`. Deriving from `CaptionTuned`
            (`trifocal.composition.caption_tuned`), `RegionTuned` or `ClassTuned` gives all but
            `objective`.

    Raises:
        UserError: the name is taken or no plain word, `config` is no dataclass, or the method
            derives from none of the three.

    Example:
        >>> from dataclasses import dataclass
        >>> import trifocal
        >>> from trifocal.composition.baselines import Finetune, FinetuneConfig
        >>> class Mine(Finetune):
        ...     "Fine-tuning, under another name."
        >>> trifocal.register_method("my-finetune", FinetuneConfig, Mine)
    """
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise UserError(f"the settings of the method {name!r} must be a dataclass, not {config!r}.")
    _check(
        "method", method, isinstance(method, type), "a class", "terms", "param_groups", "samples"
    )
    register("method", name, (config, method))


def register_benchmark(name: str, benchmark: type[Benchmark]) -> None:
    """Let a benchmark be found: by `trifocal eval`, `trifocal data check`, `trifocal.evaluate`.

    Args:
        name: What it is called there; the class's own `name` is the same.
        benchmark: A dataclass whose fields are its settings, with `name`, `source`, `version`,
            `check(root)`, `items(root)` and `score(model, items)`.

    Raises:
        UserError: the name is taken or no plain word, is not the class's own, or a member is missing.

    Example:
        >>> from dataclasses import dataclass
        >>> import trifocal
        >>> @dataclass
        ... class Sizes:
        ...     "How many numbers a vector has."
        ...     name = "sizes"
        ...     source = "nothing is needed"
        ...     version = 1
        ...     def check(self, root):
        ...         return []
        ...     def items(self, root):
        ...         return ["a dog"]
        ...     def score(self, model, items, *, progress=None):
        ...         return []
        >>> trifocal.register_benchmark("sizes", Sizes)
    """
    members = ("name", "source", "check", "items", "score")
    dataclass = isinstance(benchmark, type) and dataclasses.is_dataclass(benchmark)
    _check("benchmark", benchmark, dataclass, "a dataclass", *members)
    if benchmark.name != name:
        raise UserError(f"the benchmark {name!r} calls itself {benchmark.name!r}; say one name.")
    register("benchmark", name, benchmark)


def register_parser(name: str, parser: Callable[[], Parser]) -> None:
    """Let a parser of captions be found: by recipes, `negatives: {parser: ...}`, `HardNegatives`.

    Args:
        name: What it is called there.
        parser: Makes a parser without arguments, such as its class: an object with `name` and
            `parse(caption) -> Parse`.

    Raises:
        UserError: the name is taken or no plain word, or the parser cannot be made.

    Example:
        >>> import trifocal
        >>> from trifocal.composition.negatives.textblob_parser import TextBlobParser
        >>> trifocal.register_parser("my-parser", TextBlobParser)
        >>> trifocal.HardNegatives(("swap",), parser="my-parser").kinds
        ('swap',)
    """
    _check("parser", parser, callable(parser), "what makes one, such as its class")
    if name in ("auto", "spacy", "textblob"):
        raise UserError(f"{name!r} is a parser of trifocal's own; choose another name.")
    register("parser", name, parser)


def _check(kind: str, thing: Any, sound: bool, wanted: str, *members: str) -> None:
    if not sound:
        raise UserError(f"a {kind} is registered by {wanted}, not by {thing!r}.")
    for member in members:
        if not hasattr(thing, member):
            raise UserError(f"the {kind} {thing!r} lacks {member!r}; a {kind} is {wanted}.")
