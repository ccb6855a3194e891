"""SugarCrepe: the published outcome of CLIP ViT-B/32 on every item gives the published numbers."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
import torch

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, add_rows
from trifocal.metrics.benchmark import Sheet, find

HITS = {  # of how many; the published swap_obj has one item more, a hit, than the files of today
    "add_att": (476, 692),
    "add_obj": (1592, 2062),
    "replace_att": (631, 788),
    "replace_obj": (1502, 1652),
    "replace_rel": (973, 1406),
    "swap_att": (426, 666),
    "swap_obj": (150, 245),
}
FIELDS = ("filename", "caption", "negative_caption")


def test_results_of_clip_b32(real_data):
    with zipfile.ZipFile(real_data / "bivlc_b32.zip") as archive:
        text = archive.read("SUGARCREPE_CORRECT_ViT-B-32.csv").decode()
    published = {
        (f"{row['type']}_{row['subtype']}", *(row[name] for name in FIELDS)): int(row["correct"])
        for row in csv.DictReader(io.StringIO(text))
    }
    assert len(published) == 7512
    subsets, correct = [], []
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for subset in SUBSETS:
            for entry in json.loads(archive.read(f"sugarcrepe/{subset}.json")).values():
                subsets.append(subset)
                correct.append(published[(subset, *(entry[name] for name in FIELDS))])
    sheet = Sheet("sugarcrepe", "b32", "")
    add_rows(sheet, subsets, torch.tensor(correct).float(), torch.full((len(correct),), 0.5))
    value = {row.task: row.value for row in sheet.rows}
    for subset, (hits, count) in HITS.items():
        assert find(sheet.rows, "sugarcrepe", subset, "acc").n == count
        assert value[subset] == pytest.approx(hits / count)
    means = [round(100 * value[name], 2) for name in ("replace", "swap", "add", "mean")]
    assert means == [80.76, 63.23, 75.09, 73.03]
