"""Scores made by hand, and tables as the Hub writes them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.composition.benchmarks.color_model import COLORS
from trifocal.features.questions import Question, Scored


def scored(questions: Sequence[Question], scores: Tensor) -> Scored:
    """Return (N, I, T) scores as if a model had made them; without pictures, all texts are equal."""
    kept = torch.ones(len(questions), dtype=torch.bool)
    return Scored(questions, scores, torch.zeros_like(scores), None, kept, "", None)


def picture(color: str) -> dict[str, object]:
    """Return a picture of one color as a cell of the Hub's tables."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), COLORS[color]).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write_table(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Write a parquet file of small groups of rows; the test is skipped without pyarrow."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table(dict(columns)), path, row_group_size=2)
