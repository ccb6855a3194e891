"""The rows nearest to a query: all of them looked at, or those of its cells alone (FAISS).

An inverted file (Jégou et al., TPAMI 2011; Douze et al., "The Faiss library", arXiv 2401.08281) parts
the rows into cells around centers and looks into the cells nearest to a query. Rows are kept there
in 8 bits a number; the best of what is found is then scored exactly, from the rows themselves.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trifocal.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

EXACT_MOST = 100_000  # rows up to which all are looked at: some 20 ms
_AT_ONCE = 65_536  # rows compared at a time
_TRAINED_ON = 50  # rows for each cell
_PROBED = 16  # cells looked into
_OVER = 10  # times as many rows are scored exactly as are asked for
_LEAST_OVER = 200


def exact_scores(rows: Tensor, query: Tensor) -> Tensor:
    """Return (N,) float32 cosines of all rows (N, D), of any float type, with a query (D,)."""
    if rows.dtype == torch.float32:
        return rows @ query
    parts = [part.float() @ query for part in rows.split(_AT_ONCE)]
    return torch.cat(parts) if parts else rows.new_empty(0).float()


def build_cells(rows: Tensor, file: Path, say: Callable[[str], None]) -> None:
    """Write an inverted file over rows (N, D) of unit length.

    Args:
        rows: The rows, mapped from the disk.
        file: Where to write.
        say: Told what goes on, as a sentence.

    Raises:
        UserError: FAISS is not installed.
    """
    faiss = import_faiss()
    count, width = rows.shape
    cells = cell_count(count)
    say(f"parting {count:,} pictures into {cells:,} cells")
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, width, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed = 10, 1
    order = np.random.default_rng(1).permutation(count)[: cells * _TRAINED_ON]
    index.train(rows[torch.from_numpy(np.sort(order))].float().numpy())
    for part in rows.split(_AT_ONCE):
        index.add(part.float().numpy())
    faiss.write_index(index, str(file))


def cell_count(count: int) -> int:
    """Return how many cells so many rows are parted into: the root, as a power of two."""
    return 2 ** max(4, round(math.log2(math.sqrt(max(1, count)))))


class Cells:
    """An inverted file that lies on the disk and is mapped from there.

    Args:
        file: What `build_cells` wrote.
        rows: The rows (N, D), to score exactly with.
        probed: Cells looked into; more find more and take longer.
    """

    def __init__(self, file: Path, rows: Tensor, probed: int = _PROBED) -> None:
        faiss = import_faiss()
        try:
            self._index: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise UserError(
                f"{file} is damaged ({str(error).splitlines()[0]}); run the same `trifocal search "
                "index` command again."
            ) from None
        if self._index.ntotal != len(rows) or self._index.d != rows.shape[1]:
            raise UserError(f"{file} belongs to another index; index the pictures again.")
        self._index.nprobe = probed
        self._rows = rows

    def nearest(self, query: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Return the exact cosines (n,) and places (n,) of about the nearest rows, best first.

        Some of the true nearest may be missing; `benchmarks/search.py` says how many.
        """
        wanted = min(len(self._rows), max(_LEAST_OVER, _OVER * top))
        _, places = self._index.search(query[None].numpy(), wanted)
        found = torch.from_numpy(places[0])
        found = found[found >= 0].sort().values  # in the order of the disk
        scores = self._rows[found].float() @ query
        order = scores.argsort(descending=True, stable=True)[:top]
        return scores[order], found[order]


def has_faiss() -> bool:
    """Return whether FAISS can be imported."""
    try:
        import_faiss()
    except UserError:
        return False
    return True


def import_faiss() -> Any:
    """Return the module.

    Raises:
        UserError: it is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise UserError(
            "a search over so many pictures wants FAISS; install it with `pip install "
            "'trifocal[search]'`."
        ) from None
    return faiss
