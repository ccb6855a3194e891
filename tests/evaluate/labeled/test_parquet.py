"""Classes in the Hub's parquet files."""

from __future__ import annotations

import pytest

from tests.evaluate.labeled.published import picture, write_parquet
from trifocal.errors import UserError
from trifocal.evaluate.labeled.parquet import read_parquet
from trifocal.features.embed import load_pixels

pytest.importorskip("pyarrow")

IMAGE = {"_type": "Image"}
CLASSES = {"_type": "ClassLabel", "names": ["red", "green", "blue"]}


def cells(*labels: int) -> list[dict[str, object]]:
    return [{"bytes": picture(label), "path": None} for label in labels]


def test_columns_and_names_are_told_by_the_schema(tmp_path, tiny_clip):
    for part, labels in enumerate(([2, 0, 1], [1])):
        columns = {"photo": cells(*labels), "coarse": [9] * len(labels), "kind": labels}
        features = {"photo": IMAGE, "coarse": {"_type": "Value"}, "kind": CLASSES}
        write_parquet(tmp_path / "data" / f"test-0000{part}-of-2.parquet", columns, features)
    write_parquet(tmp_path / "data" / "train-0.parquet", {"photo": cells(0)}, {})
    found = read_parquet(tmp_path, "test")
    assert found is not None
    assert (list(found.labels), found.classnames) == ([2, 0, 1, 1], ("red", "green", "blue"))
    blue = load_pixels(tiny_clip, found.images[0])
    assert blue[2].float().mean() > 190 > blue[0].float().mean()


def test_without_a_schema_columns_go_by_their_usual_names(tmp_path):
    write_parquet(tmp_path / "one.parquet", {"img": cells(0, 1), "label": [0, 1]}, {})
    found = read_parquet(tmp_path, "test")
    assert found is not None
    assert (list(found.labels), found.classnames) == ([0, 1], None)


def test_a_set_without_a_test_part_is_tested_on_its_validation(tmp_path):
    features = {"image": IMAGE, "label": CLASSES}
    for part in ("train", "validation"):
        columns = {"image": cells(0), "label": [0]}
        write_parquet(tmp_path / f"{part}-0.parquet", columns, features)
    found = read_parquet(tmp_path, "test")
    assert found is not None
    assert found.part == "validation"


@pytest.mark.parametrize("feature", [[CLASSES], {"_type": "Sequence", "feature": CLASSES}])
def test_lists_of_classes(tmp_path, feature):
    columns = {"image": cells(0, 1), "labels": [[0, 2], [1]]}
    write_parquet(tmp_path / "test.parquet", columns, {"image": IMAGE, "labels": feature})
    found = read_parquet(tmp_path, "test")
    assert found is not None
    assert found.positives is not None
    assert found.positives.tolist() == [[True, False, True], [False, True, False]]


def test_other_content_is_refused(tmp_path):
    path = write_parquet(tmp_path / "test.parquet", {"image": cells(0), "text": ["a"]}, {})
    with pytest.raises(UserError, match="no column label or labels or cls, only image, text"):
        read_parquet(tmp_path, "test")
    write_parquet(path, {"image": cells(0), "label": ["red"]}, {})
    with pytest.raises(UserError, match="no numbers from 0 on"):
        read_parquet(tmp_path, "test")
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="is not a parquet file"):
        read_parquet(tmp_path, "test")
