"""What every head of the field promises, whatever it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from trifocal.concepts.head import Head
from trifocal.concepts.registry import HEADS
from trifocal.errors import UserError

NAMES = sorted(HEADS)
CLOSED = ("ape", "ccli-tf", "gda", "proker", "tip-adapter", "zero-shot")
WIDTH, BEFORE, CONCEPTS = 8, 10, 20


@dataclass(frozen=True)
class Task:
    """Random features around class centers, all in float64 until a test says otherwise."""

    support: Tensor
    labels: Tensor
    text: Tensor
    query: Tensor
    projection: Tensor | None = None
    concepts: Tensor | None = None


def make(head: Head, counts: tuple[int, ...] = (4, 4, 4), views: int = 1) -> Task:
    generator = torch.Generator().manual_seed(0)
    width = BEFORE if head.wants_projection else WIDTH
    projection = torch.randn(BEFORE, WIDTH, generator=generator).double()
    centers = torch.randn(len(counts), width, generator=generator).double()
    text = centers @ projection if head.wants_projection else centers
    text = text + 0.3 * torch.randn(len(counts), WIDTH, generator=generator).double()
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = 0.5 * torch.randn(len(labels), views, width, generator=generator).double()
    support = centers[labels][:, None] + noise
    query = torch.randn(7, width, generator=generator).double()
    concepts = torch.randn(CONCEPTS, width, generator=generator).double()
    return Task(
        support if views > 1 else support[:, 0],
        labels,
        text,
        query,
        projection if head.wants_projection else None,
        concepts if head.wants_concepts else None,
    )


def new(name: str) -> Head:
    head = HEADS[name]()
    return head.set_params(epochs=5) if "epochs" in head.get_params() else head


def fit(head: Head, task: Task, **more: Any) -> Head:
    return head.fit(task.support, task.labels, task.text, **also(task), **more)


def also(task: Task) -> dict[str, Any]:
    """What only some heads are fitted to."""
    given = {"projection": task.projection, "concept_text": task.concepts}
    return {name: value for name, value in given.items() if value is not None}


def cast(task: Task, change: Callable[[Tensor], Tensor]) -> Task:
    return replace(
        task,
        support=change(task.support),
        text=change(task.text),
        query=change(task.query),
        projection=None if task.projection is None else change(task.projection),
        concepts=None if task.concepts is None else change(task.concepts),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", [(4, 4, 4), (1, 1, 1), (1, 5, 2), (2, 2), (1, 1)])
@pytest.mark.parametrize("views", [1, 3])
def test_any_support_gives_finite_logits(name: str, counts: tuple[int, ...], views: int) -> None:
    head = new(name)
    task = cast(make(head, counts, views), Tensor.float)
    assert fit(head, task) is head
    logits = head.logits(task.query)
    assert logits.shape == (7, len(counts))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert torch.equal(head.predict(task.query), logits.argmax(1))
    torch.testing.assert_close(head.predict_proba(task.query).sum(1), torch.ones(7))
    assert head.trainable_parameters >= 0
    assert head.new_logits(task.query, task.text[:2]).shape == (7, 2) or task.projection is not None


@pytest.mark.parametrize("name", NAMES)
def test_validation_data_is_accepted(name: str) -> None:
    head = new(name)
    task = make(head)
    fit(head, task, val=(task.support, task.labels))
    assert head.logits(task.query).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_terms_add_up_to_the_logit(name: str) -> None:
    head = new(name)
    task = make(head)
    fit(head, task)
    for labels, top in ((None, 10), ([0, 1, 2, 0, 1, 2, 0], 1)):
        for row, explained in enumerate(head.explain(task.query, labels, top)):
            assert explained.logit == float(head.logits(task.query)[row, explained.label])
            assert sum(t.value for t in explained.terms) == pytest.approx(explained.logit)


@pytest.mark.parametrize("name", CLOSED)
def test_float32_is_near_float64(name: str) -> None:
    head = new(name)
    task = make(head)
    exact = fit(head, task).logits(task.query)
    small = cast(task, Tensor.float)
    found = fit(new(name), small).logits(small.query)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_queries_do_not_see_each_other(name: str) -> None:
    head = new(name)
    task = make(head)
    fit(head, task)
    single = torch.cat([head.logits(row[None]) for row in task.query])
    torch.testing.assert_close(head.logits(task.query), single)


@pytest.mark.parametrize("name", NAMES)
def test_queries_may_be_of_another_precision(name: str) -> None:
    head = new(name)
    task = cast(make(head), Tensor.float)
    fit(head, task)
    whole, half = task.query.half().float(), task.query.half()
    assert torch.equal(head.logits(half), head.logits(whole))
    torch.testing.assert_close(head.logits(task.query.double()), head.logits(task.query))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_learned_survives_files_bit_for_bit(name: str) -> None:
    head = new(name)
    task = cast(make(head), Tensor.float)
    fit(head, task)
    tensors, values = head.state()
    read = load(save({k: v.clone().contiguous() for k, v in tensors.items()}))
    again = HEADS[name](**head.get_params()).load_state(read, json.loads(json.dumps(values)))
    assert torch.equal(again.logits(task.query), head.logits(task.query))
    assert again.trainable_parameters == head.trainable_parameters
    # Nothing learned is a view into something larger, which a file would have to carry along.
    for tensor in tensors.values():
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same(name: str) -> None:
    task = cast(make(new(name), views=3), Tensor.float)
    torch.manual_seed(1)
    first = fit(new(name), task).logits(task.query)
    torch.manual_seed(2)
    second = fit(new(name), task).logits(task.query)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_classes_does_not_matter(name: str) -> None:
    task = make(new(name), (4, 3, 5))
    moved = torch.tensor([2, 0, 1])  # class k is now called moved[k]
    text = torch.empty_like(task.text)
    text[moved] = task.text
    other = replace(task, labels=moved[task.labels], text=text)
    before = fit(new(name), task).logits(task.query)
    after = fit(new(name), other).logits(task.query)
    # L-BFGS stops where it is near enough, and the way there is another.
    loose = {"rtol": 1e-2, "atol": 1e-2} if name == "linear-probe" else {}
    torch.testing.assert_close(after[:, moved], before, **loose)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_stays_as_it_was(name: str) -> None:
    head = new(name)
    task = make(head)
    kept = cast(task, Tensor.clone)
    fit(head, task, val=(task.support, task.labels))
    head.logits(task.query)
    assert torch.equal(task.support, kept.support)
    assert torch.equal(task.text, kept.text)
    assert torch.equal(task.query, kept.query)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_one_clear_sentence(name: str) -> None:
    head = new(name)
    task = make(head)
    with pytest.raises(UserError, match="not fitted yet"):
        head.logits(task.query)
    fit(head, task)
    with pytest.raises(UserError, match="fitted to features of width"):
        head.logits(task.query[:, :3])
    broken = task.support.clone()
    broken[0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        fit(new(name), replace(task, support=broken))
    with pytest.raises(UserError, match="class 1 has no support image"):
        fit(new(name), replace(task, labels=task.labels.where(task.labels != 1, 2)))
    with pytest.raises(UserError, match="must be"):
        fit(new(name), replace(task, labels=task.labels[:-1]))
    if head.wants_text:
        with pytest.raises(UserError, match="needs class_text"):
            head.fit(task.support, task.labels, **also(task))
    else:
        head.fit(task.support, task.labels, **also(task))
        assert head.logits(task.query).isfinite().all()


def test_trainable_parameters_of_the_published_sizes() -> None:
    # 16 shots of RN50 (width 1024): EuroSAT's 10 classes, counted as in the papers.
    generator = torch.Generator().manual_seed(0)
    support, text = torch.randn(160, 1024, generator=generator), torch.randn(10, 1024)
    labels = torch.arange(160) % 10
    expected = {
        "zero-shot": 0,
        "clip-adapter": 524_288,
        "tip-adapter": 0,
        "tip-adapter-f": 163_840,
        "taskres": 10_240,
        "ape-t": 9_160,
        "gda": 0,
        "proker": 0,
        "ss-text": 0,
        "zs-lp": 10_240,
        "clap": 10_240,
    }
    for name, count in expected.items():
        head = HEADS[name]()
        if "epochs" in head.get_params():
            head.set_params(epochs=1)
        assert head.fit(support, labels, text).trainable_parameters == count, name
    vit = HEADS["prolip"](epochs=0)
    projection = torch.randn(768, 512, generator=generator)
    vit.fit(support[:, :768], labels, text[:, :512], projection=projection)
    assert vit.trainable_parameters == 393_216
