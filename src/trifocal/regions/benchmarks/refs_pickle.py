"""The one place that unpickles: RefCOCO's `refs(unc).p`, read by an unpickler that builds no objects.

A pickle is a program. This reader runs only the part of the language that makes lists, dicts,
strings and numbers; a file that names any class or function is refused before that is looked up.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from trifocal.errors import UserError

_MAX_BYTES = 256 << 20


class _PlainUnpickler(pickle._Unpickler):
    """Reads containers, strings and numbers, and nothing else.

    In Python: the one in C makes room for as many remembered objects as a file says that there are,
    and a number of 2³¹ takes 32 GB.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Forbidden(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _Forbidden("an object outside of the file")


class _Forbidden(Exception):  # noqa: N818 - it names what was asked for
    pass


def unpickle_plain(path: Path) -> Any:
    """Return the lists, dicts, strings and numbers that a pickle holds.

    Raises:
        UserError: The file is missing, too large, damaged, or names a class or a function.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is larger than {_MAX_BYTES >> 20} MiB, so it is no file of refs")
    try:
        # Written by Python 2: its strings are bytes to Python 3.
        source = io.BytesIO(path.read_bytes())
        return _PlainUnpickler(source, encoding="utf-8", errors="replace").load()
    except _Forbidden as error:
        raise UserError(
            f"{path} asks for {error}, which a list of references does not need; do not open it"
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{path} cannot be read as a pickle ({type(error).__name__})") from None
