"""CLIP-Adapter, TaskRes, ZS-LP, CLAP and SS-Text: numbers of their formulas."""

from __future__ import annotations

import pytest
import torch

from tests.concepts.baselines.toy import EXACT, LABELS, QUERY, SUPPORT, TEXT, TEXT_2, near, rows
from trifocal.concepts.baselines import CLAP, ZSLP, CLIPAdapter, SSText, TaskRes
from trifocal.concepts.baselines.clap import multipliers, penalty
from trifocal.concepts.rows import long_text

BASE = rows((1.2, 0.9, 0), (0, 1.6, 1.2), (1.2, 0, 1.6))


def test_taskres() -> None:
    head = TaskRes(epochs=1).fit(SUPPORT, LABELS, BASE)
    torch.testing.assert_close(head.text_, BASE)
    head.residual_ = rows((0, 0, 0.5), (0.1, 0, 0), (0, 0, 0))
    near(head.logits(QUERY), 69.968208997, 87.272731531, 85.6)
    head.residual_ = torch.zeros_like(BASE)
    near(head.logits(QUERY), 57.6, 86.4, 85.6)
    assert head.trainable_parameters == 9


def test_taskres_takes_the_published_recipe() -> None:
    few = TaskRes().fit(SUPPORT, LABELS, BASE)
    assert float(few.residual_.abs().max()) > 0
    # One epoch of warm-up moves each entry by about its learning rate of 1e-5.
    assert float(TaskRes(epochs=1).fit(SUPPORT, LABELS, BASE).residual_.abs().max()) < 2e-5


def test_clip_adapter() -> None:
    head = CLIPAdapter(epochs=1).fit(SUPPORT, LABELS, TEXT)
    head.down_, head.up_ = rows((0.5,), (-0.25,), (1,)), rows((1, -1, 0.5))
    x = rows((0.72, 0.96, 1.6))
    torch.testing.assert_close((x @ head.down_).relu(), rows((1.72,)), **EXACT)
    torch.testing.assert_close(sum(head._mixed(x)), rows((0.92, 0.768, 1.452)), **EXACT)
    near(head.logits(x), 63.568560178, 78.908299633, 91.018620255)
    # Nothing has a bias: the length of the features does not matter.
    torch.testing.assert_close(head.logits(7 * x), head.logits(x))


def test_clip_adapter_has_a_bottleneck_of_a_quarter() -> None:
    generator = torch.Generator().manual_seed(0)
    support, text = torch.randn(6, 16, generator=generator), torch.randn(3, 16, generator=generator)
    head = CLIPAdapter(epochs=1).fit(support, LABELS, text)
    assert head.trainable_parameters == 2 * 16 * 4


def test_clip_adapter_keeps_the_first_of_the_best_ratios() -> None:
    head = CLIPAdapter(epochs=1).fit(SUPPORT, LABELS, TEXT, val=(SUPPORT, LABELS))
    assert head.ratio_ == 0.2
    alone = CLIPAdapter(epochs=1).fit(SUPPORT, LABELS, TEXT)
    torch.testing.assert_close(head.logits(QUERY), alone.logits(QUERY))


def test_clap_multipliers_and_penalty() -> None:
    found = multipliers(SUPPORT[:, None], LABELS, TEXT_2, 10)
    near(found, 0.934101671, 0.599643791, 0.996088256)
    near(penalty(rows((0.1, 0, 0), (0, 0.2, 0), (0, 0, 0.3)), found), 0.040991570)


def test_clap_stays_nearer_to_the_texts_than_zs_lp() -> None:
    generator = torch.Generator().manual_seed(0)
    text, labels = 10 * torch.randn(3, 8, generator=generator), torch.arange(12) % 3
    support = text[labels] + 10 * torch.randn(12, 8, generator=generator)
    free, held = ZSLP().fit(support, labels, text), CLAP().fit(support, labels, text)
    moved = [float((head.classifier_ - head.text_).norm()) for head in (free, held)]
    assert 0 < moved[1] < moved[0]
    assert held.trainable_parameters == 24


def test_unit_texts_are_made_long() -> None:
    torch.testing.assert_close(long_text(TEXT), 10 * TEXT)
    torch.testing.assert_close(long_text(BASE), BASE)


def test_ss_text() -> None:
    head = SSText().fit(SUPPORT, [0, 0, 0, 1, 1, 2], TEXT_2)
    expected = rows((90.6, 80.8, 0), (0, 27.666666667, 53.333333333), (10.36, 0.48, 14.133333333))
    torch.testing.assert_close(head.classifier_, expected, **EXACT)
    near(head.logits(QUERY), 58.815754149, 93.116640469, 87.087353278)


@pytest.mark.parametrize("kind", [TaskRes, ZSLP, CLAP])
@pytest.mark.parametrize("pictures", [255, 600])
def test_drop_last_is_a_switch(kind: type[TaskRes | ZSLP], pictures: int) -> None:
    """Of 600 pictures Dassl's loader makes two batches of 256; of 255 there is one to keep."""
    generator = torch.Generator().manual_seed(0)
    support, text = (torch.randn(n, 8, generator=generator) for n in (pictures, 3))
    labels = torch.arange(pictures) % 3
    kept, dropped = (
        kind(epochs=2, drop_last=drop).fit(support, labels, text).logits(support)
        for drop in (False, True)
    )
    assert torch.equal(kept, dropped) == (pictures < 256)
