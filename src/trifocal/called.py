"""A package that can be called, where a function of the same name is what people reach for.

`trifocal.train` is a package of the library, and `trifocal.train("recipe")` is what is guessed; so
the package hands a call on.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def let_be_called(package: str, place: str) -> None:
    """Let a package be called as the function of its own name in its module `place`.

    Args:
        package: Its whole name, such as "trifocal.train"; it is being imported.
        place: A module in it, which is imported at the first call.
    """
    name = package.rpartition(".")[2]

    class Package(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(f"{package}.{place}"), name)(
                *arguments, **options
            )

    sys.modules[package].__class__ = Package
