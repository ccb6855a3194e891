"""Which heads a few-shot run compares, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trifocal.concepts.head import Head
from trifocal.errors import UserError, nearest


@dataclass(frozen=True)
class FewShotMethod:
    """A head to run: its name, how it is made, and parameters other than its defaults."""

    name: str
    make: Callable[[], Head]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in results: "tip-adapter", "tip-adapter(alpha=2)"."""
        told = ",".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.name}({told})" if told else self.name

    def head(self, scale: float = 100.0, seed: int = 0) -> Head:
        """Return a new head, not fitted.

        Raises:
            UserError: It has no such parameter.
        """
        return self.make().set_params(**{"scale": scale, "seed": seed, **self.options})


def few_shot_methods(
    names: Iterable[str],
    heads: Mapping[str, Callable[[], Head]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[FewShotMethod]:
    """Return methods by name: those of `heads`, with options by the head's name.

    Raises:
        UserError: There is no such head, parameters are for none of them, or a head has no such
            parameter.
    """
    options = options or {}
    names = list(dict.fromkeys(names))
    for name in [*names, *options]:
        if name not in heads:
            raise UserError(
                f"no few-shot method {name!r}.{nearest(name, heads)} There are: {', '.join(heads)}"
            )
        if name not in names:
            raise UserError(f"there are options for {name!r}, which is not among the methods.")
    methods = [FewShotMethod(name, heads[name], options.get(name, {})) for name in names]
    for method in methods:
        method.head()
    return methods
