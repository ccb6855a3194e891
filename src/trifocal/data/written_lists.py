"""Lists that stand written out in a cell of a table, as pandas writes them."""

from __future__ import annotations

import ast
import warnings
from typing import Any


def written_list(cell: str) -> list[Any] | None:
    """Return the constants of a Python list or set, in the order in which they are written.

    The text is only read, never run. None if it is an expression of another kind.

    Raises:
        ValueError: It is no expression.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "\\s" in a text, which is no code
            tree = ast.parse(cell.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(tree, ast.List | ast.Set):
        return None
    found = [node.value for node in tree.elts if isinstance(node, ast.Constant)]
    return found if len(found) == len(tree.elts) else None
