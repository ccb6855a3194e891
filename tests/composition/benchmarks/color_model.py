"""A model that sees colors and reads their names, so that a test knows every cosine by heart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import normalize

from trifocal.clip import ImageEmbedding, TextBatch, TextEmbedding

COLORS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def paint(folder: Path, *names: str, size: int = 8, suffix: str = ".png") -> None:
    """Write one picture of a color for each name, which may be "red" or "path/red_2"."""
    for name in names:
        file = folder / f"{name}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        color = next(color for word, color in COLORS.items() if word in file.stem)
        Image.new("RGB", (size, size), color).save(file)


class ColorModel:
    """Embeds a picture as its mean color and a text as the mean of the colors it names."""

    name = "color-model"
    device = torch.device("cpu")
    image_size = 8

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls: Counter[str] = Counter()

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        self.calls["opened"] += 1
        data = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
        return data.reshape(image.height, image.width, 3).permute(2, 0, 1)

    def tokenize(self, texts: list[str]) -> TextBatch:
        self.texts = list(texts)
        lengths = torch.tensor([2 + len(text.split()) for text in texts])
        ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
        ids[:, 1] = torch.arange(len(texts))
        return TextBatch(ids, lengths)

    def encode_image(self, pixels: torch.Tensor, *, patches: bool = False) -> ImageEmbedding:
        self.calls["images"] += len(pixels)
        return ImageEmbedding(normalize(pixels.float().mean((2, 3)), dim=1))

    def encode_text(self, texts: TextBatch, *, tokens: bool = False) -> TextEmbedding:
        self.calls["texts"] += len(texts)
        rows = []
        for number in texts.ids[:, 1].tolist():
            named = [COLORS[word] for word in self.texts[number].split() if word in COLORS]
            rows.append(torch.tensor(named or [(1, 1, 1)]).float().mean(0))
        return TextEmbedding(normalize(torch.stack(rows), dim=1))
