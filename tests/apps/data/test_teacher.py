"""`trifocal data prepare teacher`: captions become a table that `method.teacher` reads."""

from __future__ import annotations

import torch

from tests.features.bert import WIDTH, tiny_bert
from trifocal.cli import main
from trifocal.features.sentences import SentenceEncoder
from trifocal.features.text_table import TextTable


def test_captions_become_a_table(tmp_path, capsys):
    encoder = tmp_path / "bert"
    encoder.mkdir()
    tiny_bert(encoder)
    captions = tmp_path / "captions.csv"
    captions.write_text("image,caption\n1.png,a dog runs\n2.png,a cat\n3.png,a dog runs\n")
    words = ["data", "prepare", "teacher", str(captions), "--encoder", str(encoder)]
    words += ["--out", str(tmp_path / "table")]
    assert main(words) == 0
    assert f"2 captions, {WIDTH} numbers each" in capsys.readouterr().out
    table = TextTable(tmp_path / "table")
    assert table.texts == ("a dog runs", "a cat")
    expected = SentenceEncoder(str(encoder))(table.texts)
    torch.testing.assert_close(table.embeddings.float(), expected, atol=1e-3, rtol=1e-3)

    assert main(words) == 2  # it is there already
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
