"""`trifocal.evaluate(...)`: a model on benchmarks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trifocal.clip import Clip
from trifocal.evaluate.runner import check_effect, make_plan
from trifocal.evaluate.runner import evaluate as score
from trifocal.metrics.result import Result
from trifocal.progress import Progress
from trifocal.tuning import load_model

if TYPE_CHECKING:
    from trifocal.clip.encoder import Encoder


def evaluate(
    model: Any,
    benchmarks: str | Sequence[str] = "world",
    root: str | os.PathLike[str] | None = None,
    *,
    results: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    **options: Any,
) -> list[Result]:
    """Score a model on benchmarks.

    Args:
        model: A name or a path (see `load`), a loaded model, or anything that embeds as a Clip does.
        benchmarks: One or several names (`trifocal list benchmarks`), or a group: "composition",
            "regions", "all".
        root: The folder of the data; the built-in world needs none.
        results: JSON-lines file to which the rows are added.
        cache: A folder that keeps embeddings for the next time; by default none are kept.
        device: Where a model that is named is put.
        progress: Told how far it is.
        options: Settings of the benchmarks, such as `limit=100`.

    Returns:
        A row for each number: `row.benchmark`, `row.task`, `row.metric`, `row.value`, `row.n`.

    Raises:
        UserError: there is no such model or benchmark, data are missing, or a setting has no effect.

    Example:
        >>> import trifocal
        >>> rows = trifocal.evaluate("builtin", "world", limit=20)  # doctest: +SKIP
        >>> trifocal.evaluate("builtin", "wrold")
        Traceback (most recent call last):
        ...
        trifocal.errors.UserError: no benchmark 'wrold'. Did you mean 'world'?...
    """
    names = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
    plan = make_plan(names, None if root is None else os.fspath(root), **options)
    check_effect(plan.jobs, options)
    encoder = getattr(model, "clip", model)
    if isinstance(model, str | os.PathLike):
        encoder = load_model(model, device=device).eval()
    elif hasattr(model, "encode_regions") or isinstance(model, Clip):
        encoder = model
    kept = None if cache is None else Path(cache).expanduser()
    return score(
        cast("Encoder", encoder), plan.jobs, results=results, cache=kept, progress=progress
    )
