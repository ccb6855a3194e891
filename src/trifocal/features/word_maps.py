"""How much each patch of a picture shows a word more than it shows other words.

A word is embedded by itself ("a cup"), patches by `clip.dense`, without training. What all words find in
a patch is taken away: the mean over the words that are asked for and a few everyday ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.clip.dense import DENSE_ATTENTION, DenseAttention, dense_features

# What other words find in a patch is noise to one.
EVERYDAY = (
    "ball", "box", "star", "house", "tree", "car", "boat", "fish", "cup", "flower", "umbrella", "hat",
    "flag", "person", "dog", "cat", "bird", "horse", "bicycle", "train", "chair", "table", "bed",
    "window", "wall", "street", "grass", "water", "sky", "snow", "sand", "food", "bottle", "book",
)  # fmt: skip


@torch.no_grad()
def word_similarities(
    clip: Clip,
    pixels: Tensor,
    words: Sequence[str],
    attention: DenseAttention = DENSE_ATTENTION,
) -> Tensor:
    """Return (B, L, rows, columns), float32 on the CPU: how much more patches show L words than others.

    Args:
        clip: The model, as `Clip.encode_image` takes the pixels (B, 3, H, W).
        pixels: Pictures.
        words: What to look for.
        attention: How patches are read; see `clip.dense`.
    """
    training = clip.training
    clip.eval()
    patches = dense_features(clip, pixels, attention).cpu()
    asked = WordTexts(clip, words).directions(words)
    clip.train(training)
    return torch.einsum("brcd,ld->blrc", patches, asked)


class WordTexts:
    """Embedded words, each once."""

    @torch.no_grad()
    def __init__(self, clip: Clip, words: Iterable[str]) -> None:
        self._place = {
            text: place
            for place, text in enumerate(dict.fromkeys(map(_prompt, [*words, *EVERYDAY])))
        }
        self._known = clip.encode_text(list(self._place)).pooled.float().cpu()

    def directions(self, words: Sequence[str]) -> Tensor:
        """Return (L, D) float32 on the CPU: words less the mean of them and of everyday words.

        A patch's product with them is how much more it shows a word than others.
        """
        texts = [self._place[_prompt(word)] for word in words]
        others = [self._place[_prompt(word)] for word in EVERYDAY]
        return self._known[texts] - self._known[list(dict.fromkeys([*texts, *others]))].mean(0)


def _prompt(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word.lower()}"
