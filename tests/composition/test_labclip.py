"""LABCLIP: a matrix behind a frozen text tower that folds into an ordinary CLIP."""

from __future__ import annotations

import copy

import numpy as np
import torch
from transformers import CLIPModel

from tests.train.support import Pictures, recipe, shuffled, tiny_clip, weights
from trifocal.clip import load_clip
from trifocal.composition import LabClip, LabClipConfig
from trifocal.train.engine import train

TEXTS = ["a red cat", "a big blue dog sun"]


def trained_by_hand() -> LabClip:
    method = LabClip(tiny_clip())
    with torch.no_grad():
        method.matrix += 0.3 * torch.randn(8, 8, generator=torch.manual_seed(0))
    return method


def test_it_starts_as_its_base_with_a_soft_scale():
    base, method = tiny_clip(), LabClip(tiny_clip())
    assert torch.equal(method.matrix, torch.eye(8))
    torch.testing.assert_close(method.encode_text(TEXTS).pooled, base.encode_text(TEXTS).pooled)
    assert method.logit_scale.item() == 1.0
    trained = {name for name, p in method.named_parameters() if p.requires_grad}
    assert trained == {"matrix", "clip.network.logit_scale"}


def test_the_loss_is_the_published_one():
    method = trained_by_hand()
    batching = method.batching(negatives=shuffled)
    drawn = [
        batching.draw(Pictures().sample(i, np.random.default_rng(i)), np.random.default_rng(i))
        for i in range(6)
    ]
    batch = batching.collate(drawn)
    assert len(batch.negatives) == 6
    clip, scale = method.clip, method.logit_scale
    image = clip.encode_image(batch.pixels).pooled
    text = clip.encode_text(batch.text).pooled @ method.matrix.T
    text = text / text.norm(dim=-1, keepdim=True)
    logits, own = scale * image @ text.T, torch.arange(6)
    by_image = logits.logsumexp(1) - logits[own, own]
    by_text = logits[:, :6].logsumexp(0) - logits[own, own]
    loss = method.loss(batch)["contrastive"]
    torch.testing.assert_close(loss, (by_image.mean() + by_text.mean()) / 2)
    loss.backward()
    assert method.matrix.grad is not None
    assert method.clip.network.text_projection.weight.grad is None


def test_what_is_saved_is_an_ordinary_clip(tmp_path):
    method = trained_by_hand()
    before = copy.deepcopy(method.clip.network.state_dict())
    method.save(tmp_path / "m")
    read = load_clip(tmp_path / "m")
    torch.testing.assert_close(read.encode_text(TEXTS).pooled, method.encode_text(TEXTS).pooled)
    expected = torch.nn.functional.normalize(read.text_features(TEXTS), dim=-1)
    found = torch.nn.functional.normalize(method.text_features(TEXTS), dim=-1)
    torch.testing.assert_close(found, expected)
    assert read.fingerprint() == method.fingerprint()
    plain = CLIPModel.from_pretrained(tmp_path / "m").eval()
    batch = method.tokenize(TEXTS)
    theirs = plain.get_text_features(
        batch.ids, (torch.arange(batch.ids.shape[1]) < batch.lengths[:, None]).long()
    )
    pooled = torch.nn.functional.normalize(theirs.pooler_output, dim=-1)
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-4)
    assert all(torch.equal(v, before[k]) for k, v in method.clip.network.state_dict().items())


def test_a_run_trains_the_matrix_alone(tmp_path):
    method = LabClip(tiny_clip(), LabClipConfig(negatives=("swap",)))
    before = weights(method)
    outcome = train(method, Pictures(), method.batching(negatives=shuffled), recipe(tmp_path))
    moved = {
        name for name, value in weights(method).items() if not torch.equal(value, before[name])
    }
    assert "matrix" in moved
    assert moved <= {"matrix", "clip.network.logit_scale"}
    read = load_clip(outcome.folder / "model")
    torch.testing.assert_close(read.encode_text(TEXTS).pooled, method.encode_text(TEXTS).pooled)
