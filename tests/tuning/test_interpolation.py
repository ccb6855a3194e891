"""WiSE-FT: a straight line in weight space."""

from __future__ import annotations

import copy

import pytest
import torch

from trifocal.clip import Clip, ClipShape, build_clip, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning import interpolate


def tiny(seed: int, context: int = 32, width: int = 32, activation: str = "quick_gelu") -> Clip:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=width, vision_layers=1, vision_heads=2,
        text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=context,
        activation=activation,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    return build_clip(
        shape, train_tokenizer(["a red ball"], 520, context_length=context), seed=seed
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_every_weight_lies_on_the_line(alpha: float) -> None:
    base, tuned = tiny(0), tiny(1)
    kept = copy.deepcopy(tuned.network.state_dict())
    mixed = interpolate(base, tuned, alpha)
    for name, value in mixed.network.state_dict().items():
        start, end = base.network.state_dict()[name], tuned.network.state_dict()[name]
        torch.testing.assert_close(value, (1 - alpha) * start + alpha * end, rtol=0, atol=1e-6)
        if alpha in (0.0, 1.0):
            assert torch.equal(value, end if alpha else start)
    assert all(torch.equal(kept[k], v) for k, v in tuned.network.state_dict().items())


def test_a_shorter_context_is_respected() -> None:
    base, tuned = tiny(0, context=32), tiny(1, context=24)
    mixed = interpolate(base, tuned, 0.5)
    assert mixed.context_length == 24
    name = "text_model.embeddings.position_embedding.weight"
    expected = (base.network.state_dict()[name][:24] + tuned.network.state_dict()[name]) / 2
    torch.testing.assert_close(mixed.network.state_dict()[name], expected)


def test_models_that_no_line_joins_are_refused() -> None:
    with pytest.raises(UserError, match="differ in"):
        interpolate(tiny(0, width=64), tiny(1), 0.5)
    with pytest.raises(UserError, match="activations"):
        interpolate(tiny(0, activation="gelu"), tiny(1), 0.5)
