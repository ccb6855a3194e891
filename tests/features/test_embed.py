"""Embedding for a score: each thing once, in order, whatever the batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trifocal.clip import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.errors import UserError
from trifocal.features.embed import encode_images, encode_texts, load_pixels


class Letters(torch.nn.Module):
    """Embeds a text as its letters' counts and a picture as its mean color; counts its work."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []  # rows and columns of each batch of texts
        self.opened = 0
        self.modes: set[bool] = set()

    def tokenize(self, texts: list[str]) -> TextBatch:
        lengths = torch.tensor([len(text) + 2 for text in texts])
        ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
        for row, text in zip(ids, texts, strict=True):
            row[1 : len(text) + 1] = torch.tensor([ord(letter) % 32 for letter in text])
        return TextBatch(ids, lengths)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        self.opened += 1
        data = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
        return data.reshape(image.height, image.width, 3).permute(2, 0, 1)

    def encode_text(self, texts: TextBatch, *, tokens: bool = False) -> TextEmbedding:
        self.modes.add(self.training)
        self.seen.append(tuple(texts.ids.shape))
        return TextEmbedding(torch.nn.functional.one_hot(texts.ids, 32).sum(1)[:, 1:].half())

    def encode_image(self, pixels: torch.Tensor, *, patches: bool = False) -> ImageEmbedding:
        return ImageEmbedding(pixels.float().mean((2, 3)))


class Log:
    def __init__(self) -> None:
        self.jobs: list[list] = []

    def start(self, what: str, total: int) -> None:
        self.jobs.append([what, total, 0])

    def advance(self, count: int) -> None:
        self.jobs[-1][2] += count


TEXTS = st.lists(st.text("abcde", min_size=1, max_size=9), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(1, 5))
def test_texts_come_back_in_order(texts, batch_size):
    model = Letters()
    got = encode_texts(model, texts, batch_size=batch_size)
    assert got.dtype == torch.float32
    for row, text in zip(got, texts, strict=True):
        assert row[:5].tolist() == [text.count(letter) for letter in "abcde"]
    assert sum(rows for rows, _ in model.seen) == len(set(texts))
    widths = [columns for _, columns in model.seen]
    assert widths == sorted(widths, reverse=True)  # trimmed, the longest first
    assert widths[0] == max(map(len, texts)) + 2


def test_pictures_of_all_kinds_come_back_in_order(tmp_path):
    colors = [(10, 20, 30), (200, 0, 0), (0, 0, 90)]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, color in zip(paths, colors, strict=True):
        Image.new("RGB", (4, 4), color).save(path)
    picture = Image.new("RGB", (4, 4), (7, 7, 7))
    tensor = torch.full((3, 4, 4), 9, dtype=torch.uint8)
    images = [paths[2], picture, str(paths[0]), tensor, paths[0], paths[1], picture]
    model, log = Letters(), Log()
    got = encode_images(model, images, batch_size=2, progress=log)
    expected = [colors[2], (7, 7, 7), colors[0], (9, 9, 9), colors[0], colors[1], (7, 7, 7)]
    assert got.tolist() == [list(map(float, color)) for color in expected]
    assert model.opened == 4  # three files and one picture, each once
    assert log.jobs == [["pictures", 5, 5]]


def test_a_stack_of_pictures_is_taken_as_it_is():
    pixels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    got = encode_images(Letters(), pixels, batch_size=2)
    assert got[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_the_model_is_scored_in_evaluation_mode_and_given_back():
    model = Letters().train()
    encode_texts(model, ["a", "b"])
    assert model.modes == {False}
    assert model.training


def test_no_gradient_is_kept():
    model = Letters()
    model.weight = torch.nn.Parameter(torch.ones(1))
    model.encode_text = lambda texts: TextEmbedding(model.weight * texts.ids.float())
    assert not encode_texts(model, ["ab", "cd"]).requires_grad


def test_progress_counts_distinct_texts():
    log = Log()
    encode_texts(Letters(), ["a", "b", "a"], batch_size=1, progress=log)
    assert log.jobs == [["texts", 2, 2]]


def test_nothing_to_encode_is_an_error():
    with pytest.raises(ValueError, match="no text"):
        encode_texts(Letters(), [])
    with pytest.raises(ValueError, match="no picture"):
        encode_images(Letters(), [])


def test_a_bad_file_is_named(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"bad\.jpg .*restore the file"):
        encode_images(Letters(), [bad])
    with pytest.raises(UserError, match=r"gone\.jpg"):
        load_pixels(Letters(), tmp_path / "gone.jpg")
