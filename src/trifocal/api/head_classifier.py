"""Few-shot heads in scikit-learn's manners, without needing scikit-learn.

One adapter for all heads: labels of any type, arrays in and out, parameters that `clone`,
`cross_val_score`, `Pipeline` and `GridSearchCV` know how to set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal import config
from trifocal.api.arrays import as_labels, as_rows, check_comparable
from trifocal.clip.hub import folder_of
from trifocal.concepts.head import Head
from trifocal.concepts.head_files import make_head
from trifocal.concepts.head_registry import DEFAULT_HEAD, HEADS
from trifocal.data.keys import check_facts
from trifocal.errors import UserError, nearest
from trifocal.files import atomic_folder

if TYPE_CHECKING:
    from trifocal.api.model import Model
    from trifocal.clip import Clip
    from trifocal.concepts.explanation import Explanation

FORMAT = 1
_FACTS, _TENSORS, _KIND = "estimator.json", "estimator.safetensors", "estimator"
_KEYS = ("format", "head", "settings", "params", "classes", "dtype", "fitted")
# What a file of another form makes its parts raise.
_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
_OWN = ("head", "model", "class_text", "concept_text", "templates")


class HeadClassifier:
    """A few-shot head as a scikit-learn classifier on features of a frozen model.

    Args:
        head: The head's name (`trifocal list heads`).
        model: A name or a loaded model, from which what a head needs beside features is made:
            class texts of the labels (which are then names), text concepts, and the scale of
            cosines. None for features alone, which heads such as "gda", "proker", "linear-probe"
            and "tip-adapter" are content with.
        class_text: Text features of the classes, in place of those that `model` makes: by label,
            or (D, d) in the order of the sorted labels.
        concept_text: (I, d) text features of concepts, likewise.
        templates: Prompts with "{}" for the label; by default "a photo of a {}.".
        settings: The head's own, such as `alpha=1.0`; a grid search sets them by name.

    Attributes:
        classes_: (D,) labels, sorted.
        n_features_in_: d.
        head_: The fitted `trifocal.concepts.head.Head`.

    Example:
        >>> import trifocal
        >>> X, y = [[1.0, 0.2], [0.9, 0], [0, 1], [0.1, 0.8]], ["cat", "cat", "dog", "dog"]
        >>> classifier = trifocal.HeadClassifier("gda").fit(X, y)
        >>> classifier.predict([[0.1, 0.9]])
        array(['dog'], dtype='<U3')
        >>> classifier.score(X, y)
        1.0
    """

    _estimator_type = "classifier"

    classes_: np.ndarray
    n_features_in_: int
    head_: Head

    def __init__(
        self,
        head: str = DEFAULT_HEAD,
        *,
        model: str | Model | Clip | None = None,
        class_text: Mapping[Any, Any] | Any = None,
        concept_text: Any = None,
        templates: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        self.head = head
        self.model = model
        self.class_text = class_text
        self.concept_text = concept_text
        self.templates = templates
        self.settings = settings

    # --- fitting --------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, *, val: tuple[Any, Any] | None = None) -> Self:
        """Fit to labeled features; return self.

        Args:
            X: (N, d) features, or (N, V, d) with V views of each picture.
            y: (N,) labels: texts, integers, booleans.
            val: Features (n, d) and labels (n,) that a head may select its settings on.

        Raises:
            UserError: the shapes do not fit, a setting is wrong, or the head needs something that
                was not given.
        """
        name = type(self).__name__
        rows = as_rows(X, name, views=True)
        classes, codes = np.unique(as_labels(y, len(rows), name), return_inverse=True)
        text, concepts, scale = self._texts(classes, rows)
        head = self._made({} if scale is None else {"scale": scale})
        held = None
        if val is not None:
            held = self._coded(val, classes, rows.shape[-1])
        head.fit(rows, torch.as_tensor(codes), text, concepts, held)
        self.classes_, self.n_features_in_, self.head_ = classes, rows.shape[-1], head
        return self

    def _made(self, defaults: Mapping[str, Any]) -> Head:
        """Return the head with its settings, not fitted."""
        if not isinstance(self.head, str):
            raise TypeError(f"head is of type {type(self.head).__name__}; give a name.")
        return make_head(HEADS, self.head, {**defaults, **self.settings})

    def _coded(self, val: Any, classes: np.ndarray, width: int) -> Any:
        if not isinstance(val, tuple | list) or len(val) != 2:
            raise UserError("val is not a pair; give features and labels: val=(X, y).")
        rows = as_rows(val[0], "val", width)
        labels = as_labels(val[1], len(rows), "val")
        known = {label: code for code, label in enumerate(classes.tolist())}
        strange = [label for label in labels.tolist() if label not in known]
        if strange:
            raise UserError(f"val has the label {strange[0]!r}, which y has not; leave it out.")
        return rows, torch.tensor([known[label] for label in labels.tolist()])

    def _texts(
        self, classes: np.ndarray, rows: Tensor
    ) -> tuple[Tensor | None, Tensor | None, float | None]:
        """Return class texts, text concepts, and the scale of the model they are from."""
        text, concepts = self._given_text(classes), self.concept_text
        concepts = None if concepts is None else as_rows(concepts, "concept_text", rows.shape[-1])
        needs = self._made({})
        if self.model is None:
            lacks = [
                what
                for what, given, wanted in (
                    ("class_text", text, needs.wants_text),
                    ("concept_text", concepts, needs.wants_concepts),
                )
                if given is None and wanted
            ]
            if lacks:
                raise UserError(
                    f"the head {self.head!r} needs {' and '.join(lacks)}; say model=... that made "
                    'the features, or take a head that needs neither, such as "gda".'
                )
            return _like(text, rows), _like(concepts, rows), None
        from trifocal.api.model import encoder_of, kept
        from trifocal.concepts.prompts import PHOTO, class_text
        from trifocal.concepts.vocabulary import concept_text, load_vocabulary

        clip = kept(self.model).clip if isinstance(self.model, str) else encoder_of(self.model)
        if text is None and (needs.reads_text or needs.wants_text):
            names = [str(label) for label in classes.tolist()]
            text = class_text(clip, names, tuple(self.templates or PHOTO)).float().cpu()
        if concepts is None and needs.wants_concepts:
            concepts = concept_text(clip, load_vocabulary())
        return _like(text, rows), _like(concepts, rows), float(clip.logit_scale.detach())

    def _given_text(self, classes: np.ndarray) -> Tensor | None:
        """Return the class texts that were given, in the order of the classes."""
        if self.class_text is None:
            return None
        if not isinstance(self.class_text, Mapping):
            return as_rows(self.class_text, "class_text")
        missing = [label for label in classes.tolist() if label not in self.class_text]
        if missing:
            raise UserError(f"class_text has nothing for the label {missing[0]!r}; add it.")
        texts = [np.asarray(self.class_text[label]) for label in classes.tolist()]
        shapes = {text.shape for text in texts}
        if len(shapes) > 1:
            first, second = sorted(shapes)[:2]
            raise UserError(
                f"class_text has features of shape {first} for one label and {second} for another; "
                "give every label a vector of the same width."
            )
        return as_rows(np.stack(texts), "class_text")

    # --- use ------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits (n, D) of features (n, d); of two classes, (n,) for the second.

        Raises:
            UserError: it is not fitted, or the features are of another width.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return (n, D) probabilities of the classes, in the order of `classes_`."""
        rows = self._rows(X)
        return self.head_.predict_proba(rows).double().numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the (n,) most likely labels."""
        best = self._logits(X).argmax(1)
        return self.classes_[best]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of features (n, d) whose label (n,) is predicted.

        Args:
            X: Features.
            y: Labels.
            sample_weight: (n,) how much each counts.

        Raises:
            UserError: the labels are texts where numbers were fitted, or the other way round; or
                the weights are not one finite number each, none negative, some above 0.
        """
        found = self.predict(X)
        labels = as_labels(y, len(found), type(self).__name__)
        check_comparable(labels, self.classes_)
        right = found == labels
        return float(np.average(right, weights=_weights(sample_weight, len(right))))

    def explain(self, X: Any, y: Any = None, top: int = 10) -> list[Explanation]:
        """Return, for each row, terms that add up to the logit of a label.

        Args:
            X: (n, d) features.
            y: (n,) labels to explain; the predicted ones by default.
            top: Most terms of one kind; the others are summed into one.

        Raises:
            UserError: it is not fitted, or a label is none of its own.
        """
        rows = self._rows(X)
        if y is None:
            return self.head_.explain(rows, None, top)
        return self.head_.explain(
            rows, self._coded((X, y), self.classes_, self.n_features_in_)[1], top
        )

    def _logits(self, X: Any) -> np.ndarray:
        rows = self._rows(X)
        return self.head_.logits(rows).numpy()

    def _rows(self, X: Any) -> Tensor:
        name = type(self).__name__
        if not hasattr(self, "head_"):
            raise _not_fitted(f"This {name} instance is not fitted yet; call fit first.")
        rows = as_rows(X, name, self.n_features_in_)
        learned = next(
            (one for one in self.head_.state()[0].values() if one.is_floating_point()), rows
        )
        return rows.to(learned.dtype)

    # --- scikit-learn's manners -----------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the constructor was given, settings of the head with it."""
        return {**{name: getattr(self, name) for name in _OWN}, **self.settings}

    def set_params(self, **params: Any) -> Self:
        """Set what the constructor takes; return self.

        Raises:
            UserError: the head has no such setting.
        """
        own = {name: params.pop(name) for name in _OWN if name in params}
        name = own.get("head", self.head)
        if params and isinstance(name, str) and name in HEADS:  # else `fit` says what is wrong
            head = make_head(HEADS, name)
            known = {field.name for field in fields(head)}
            for strange in params.keys() - known - self.settings.keys():
                raise UserError(
                    f"Invalid parameter {strange!r} for the head {name!r}."
                    f"{nearest(strange, known)} It has: {', '.join(sorted({*known, *_OWN}))}."
                )
        for key, value in own.items():
            setattr(self, key, value)
        self.settings = {**self.settings, **params}
        return self

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_params().items() if value is not None}
        head = given.pop("head")
        short = {name: "..." if hasattr(v, "shape") else v for name, v in given.items()}
        return (
            f"HeadClassifier({', '.join([repr(head), *(f'{k}={v!r}' for k, v in short.items())])})"
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "head_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import (  # pyright: ignore[reportMissingImports]
            ClassifierTags,
            InputTags,
            Tags,
            TargetTags,
        )

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            transformer_tags=None,
            regressor_tags=None,
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    # --- on disk --------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the fitted classifier: a folder with JSON and safetensors, nothing pickled.

        Args:
            folder: Where to.
            force: Replace an older one.

        Raises:
            UserError: it is not fitted, its labels are neither texts nor numbers, or the folder
                holds something.
        """
        if not hasattr(self, "head_"):
            raise _not_fitted("This HeadClassifier is not fitted yet; call fit before save.")
        if self.classes_.dtype.kind not in "iubUf":
            raise UserError("only labels that are texts or numbers can be saved; give such labels.")
        tensors, values = self.head_.state()
        facts = {
            "format": FORMAT,
            "head": self.head,
            "settings": self.settings,
            "params": self.head_.get_params(),
            "classes": self.classes_.tolist(),
            "dtype": self.classes_.dtype.str,
            "fitted": values,
        }
        with atomic_folder(folder, _KIND, force=force) as aside:
            copies = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
            save_file(copies, aside / _TENSORS)
            text = json.dumps(config.plain(facts), indent=1, ensure_ascii=False)
            (aside / _FACTS).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, here or pushed to the Hub; its logits are the same bit for bit.

        Raises:
            UserError: the folder holds no such classifier, or a damaged one.
        """
        path = folder_of(folder, (_FACTS, _TENSORS))
        if not (path / _FACTS).is_file():
            raise UserError(f"{path} holds no {_FACTS}; give what HeadClassifier.save wrote.")
        try:
            facts = json.loads((path / _FACTS).read_text(encoding="utf-8"))
            check_facts(facts, _KEYS, (FORMAT,))
            head = make_head(HEADS, facts["head"], facts["params"])
            head.load_state(load_file(path / _TENSORS), dict(facts["fitted"]))
            found = cls(facts["head"], **facts["settings"])
            found.classes_ = np.array(facts["classes"], dtype=np.dtype(facts["dtype"]))
            found.n_features_in_, found.head_ = int(head.width_), head
            if found.classes_.shape != (head.classes_,) or found.n_features_in_ < 1:
                raise ValueError("its labels do not fit what was learned")
            if not all(bool(tensor.isfinite().all()) for tensor in head.state()[0].values()):
                raise ValueError("what was learned is not finite")
        except UserError as error:
            raise UserError(f"{path / _FACTS}: {error}") from None
        except (SafetensorError, OSError, *_ODD) as error:
            raise UserError(f"{path} is damaged ({error}); fit the classifier again.") from None
        return found


def _weights(weights: Any, count: int) -> np.ndarray | None:
    """Return (n,) weights of so many rows, None for none.

    Raises:
        UserError: they are not one finite number each, none negative, some above 0.
    """
    if weights is None:
        return None
    try:
        found = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise UserError("sample_weight holds something that is no number; give numbers.") from None
    if found.shape != (count,):
        raise UserError(f"sample_weight has shape {found.shape}; give {count} numbers, one a row.")
    if not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise UserError(
            "sample_weight must be finite numbers of which none is below 0 and one is above; leave "
            "rows that do not count at 0."
        )
    return found


def _like(values: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if values is None else values.to(rows.dtype)


def _not_fitted(sentence: str) -> Exception:
    """Return scikit-learn's own error where it is installed, which its users catch."""
    try:
        from sklearn.exceptions import NotFittedError  # pyright: ignore[reportMissingImports]
    except ImportError:
        return UserError(sentence)
    return NotFittedError(sentence)
