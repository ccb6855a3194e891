"""Tables of texts and their embeddings."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from trifocal.errors import UserError
from trifocal.features.text_table import TextTable, save_text_table


def test_a_table_is_written_and_read(tmp_path):
    texts, embeddings = ["a dog", "two  cats", "a dög"], torch.randn(3, 4)
    save_text_table(tmp_path / "t", texts, embeddings)
    table = TextTable(tmp_path / "t")
    assert (len(table), table.width, table.texts) == (3, 4, tuple(texts))
    assert table.rows(["a dög", "nothing", " a dog\n", "two  cats"]).tolist() == [2, -1, 0, 1]
    torch.testing.assert_close(table.embeddings[table.rows(["a dög"])], embeddings[2:])
    with pytest.raises(UserError):
        save_text_table(tmp_path / "t", texts, embeddings)
    save_text_table(tmp_path / "t", texts[:1], embeddings[:1], force=True)
    assert TextTable(tmp_path / "t").rows(["a dog", "two  cats"]).tolist() == [0, -1]


@pytest.mark.parametrize(
    ("texts", "tensors", "reason"),
    [
        (["a", "b"], {"embeddings": torch.zeros(3, 2)}, "2 texts"),
        (["a"], {"embeddings": torch.zeros(1, 2, 2)}, "shape"),
        (["a"], {"embeddings": torch.zeros(1, 2, dtype=torch.long)}, "no floats"),
        (["a"], {"other": torch.zeros(1, 2)}, "no tensor"),
        ({"a": 1}, {"embeddings": torch.zeros(1, 2)}, "not a list"),
        (None, {"embeddings": torch.zeros(1, 2)}, "no texts.json"),
        (["a"], None, "no embeddings.safetensors"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, texts, tensors, reason):
    if texts is not None:
        (tmp_path / "texts.json").write_text(json.dumps(texts))
    if tensors is not None:
        save_file(tensors, tmp_path / "embeddings.safetensors")
    with pytest.raises(UserError, match=reason):
        TextTable(tmp_path)


def test_an_empty_table_has_nothing(tmp_path):
    save_text_table(tmp_path / "t", [], torch.zeros(0, 2))
    assert TextTable(tmp_path / "t").rows(["a"]).tolist() == [-1]
