"""A sentence encoder, on a tiny BERT with random weights."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional as F

from tests.features.bert import WIDTH, tiny_bert
from trifocal.errors import UserError
from trifocal.features.sentences import SentenceEncoder

TEXTS = ["a dog", "a dog runs and runs", "cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert"))


def pooling(folder, **modes):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))


@pytest.mark.parametrize("first", [False, True])
def test_words_become_their_mean_or_the_first(folder, first):
    pooling(folder, pooling_mode_cls_token=first, pooling_mode_mean_tokens=not first)
    encoder = SentenceEncoder(str(folder))
    found = encoder(TEXTS)
    for text, row in zip(TEXTS, found):
        batch = encoder.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            states = encoder.model(**batch).last_hidden_state[0]
        expected = F.normalize(states[0] if first else states.mean(0), dim=0)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-4)
    assert encoder([]).shape == (0, WIDTH)


def test_other_encoders_are_refused(folder, tmp_path):
    pooling(folder, pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True)
    with pytest.raises(UserError, match="pools words otherwise"):
        SentenceEncoder(str(folder))
    with pytest.raises(UserError, match="no sentence encoder"):
        SentenceEncoder(str(tmp_path))
