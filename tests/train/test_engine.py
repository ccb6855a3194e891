"""The loop: same recipe, same weights, however the run is cut up; and what it does in trouble."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import dataclass, replace

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from tests.train.support import Pictures, batching, largest_gap, recipe, tiny_clip, weights
from trifocal.clip import load_clip
from trifocal.composition.baselines import Finetune, FinetuneConfig
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.errors import UserError
from trifocal.train import NonFiniteLoss, Stopped, engine, train
from trifocal.train.checkpoints import Checkpoints
from trifocal.train.logs import read_lines
from trifocal.train.optimizer import AdamWConfig
from trifocal.train.recipe import ScheduleRecipe
from trifocal.world.source import WorldData


def finetune(**options) -> Finetune:
    torch.manual_seed(0)  # low-rank updates start from random factors
    return Finetune(tiny_clip(), FinetuneConfig(**options))


def fsc_clip(**options) -> FscClip:
    return FscClip(tiny_clip(), FscClipConfig(negatives=("swap", "shuffle"), **options))


def trained(output, method=None, source=None, **changes):
    """Train and return the weights."""
    method = method or finetune()
    train(method, source or Pictures(), batching(method), recipe(output, **changes))
    return weights(method)


def events(output, kind):
    return [r for r in read_lines(output / "t" / "metrics.jsonl") if r["event"] == kind]


class Raising(Pictures):
    """Sends this process a signal when the n-th sample is drawn."""

    def __init__(self, after: int, number: int, **options):
        super().__init__(**options)
        self.left, self.number = after, number

    def sample(self, index, rng):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return super().sample(index, rng)


def test_a_run_and_its_folder(tmp_path):
    method = fsc_clip()
    outcome = train(
        method, Pictures(), batching(method),
        recipe(tmp_path, steps=None, schedule=ScheduleRecipe(2, epochs=2)),
        evaluators={"toy": lambda m: {"size": float(m.clip.embed_dim)}},
    )  # fmt: skip
    folder = tmp_path / "t"
    assert outcome.folder == folder
    assert outcome.step == 16  # 64 samples in batches of 8, twice
    assert outcome.metrics == {"toy/size": 8.0}
    assert {path.name for path in folder.iterdir()} == {
        "recipe.yaml", "environment.json", "metrics.jsonl", "tensorboard", "checkpoints", "model",
    }  # fmt: skip
    lines = events(tmp_path, "train")
    assert [line["step"] for line in lines] == list(range(1, 17))
    for line in lines:
        parts = [line[k] for k in ("contrastive", "global_negative", "local_negative")]
        assert line["loss"] == pytest.approx(sum(parts), rel=1e-6)
        assert line["gradient_norm"] > 0
        assert line["samples_per_second"] > 0
    assert lines[0]["lr"] == pytest.approx(5e-4)
    assert lines[-1]["epoch"] == 2.0
    assert lines[0]["logit_scale"] == pytest.approx(math.exp(2.6592), rel=1e-4)
    saved = load_clip(str(folder / "model"))
    assert largest_gap(weights(saved), weights(method.clip)) == 0
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"]
    assert not method.training


def test_training_lowers_the_loss(tmp_path):
    trained(tmp_path, source=Pictures(16), batch_size=16, steps=60, lr=3e-3)
    losses = [line["loss"] for line in events(tmp_path, "train")]
    assert losses[-1] < losses[0] - 0.3


def test_same_seed_same_weights_whatever_the_workers(tmp_path):
    one = trained(tmp_path / "a")
    two = trained(tmp_path / "b", workers=2)
    assert largest_gap(one, two) == 0
    assert largest_gap(one, trained(tmp_path / "c", seed=1)) > 0


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, number, status, workers):
    straight = trained(tmp_path / "straight", fsc_clip(), Pictures(40))

    class Sender(FscClip):
        def objective(self, encoded, batch):
            sender.calls += 1
            if sender.calls == 3:
                os.kill(os.getpid(), number)
            return super().objective(encoded, batch)

    sender = Sender(tiny_clip(), fsc_clip().config)
    sender.calls = 0
    with pytest.raises(Stopped) as caught:
        trained(tmp_path, sender, Pictures(40), workers=workers)
    assert (caught.value.status, caught.value.step) == (status, 3)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    resumed = trained(tmp_path, fsc_clip(), Pictures(40))
    assert largest_gap(straight, resumed) == 0
    for kind in ("model", "optimizer"):
        parts = [
            load_file(Checkpoints(folder / "t").path(8) / f"{kind}.safetensors")
            for folder in (tmp_path / "straight", tmp_path)
        ]
        assert parts[0].keys() == parts[1].keys()
        assert all(torch.equal(parts[0][key], parts[1][key]) for key in parts[0])
    steps = [line["step"] for line in events(tmp_path, "train")]
    assert steps == list(range(1, 9))


class Dropping(Finetune):
    """Dropout inside the network, so that random draws matter."""

    def forward(self, pixels, text):
        encoded = super().forward(pixels, text)
        if self.training:
            encoded.image.pooled = torch.nn.functional.dropout(encoded.image.pooled, 0.2)
        return encoded


def test_dropout_is_drawn_alike_after_resuming(tmp_path):
    straight = trained(tmp_path / "a", Dropping(tiny_clip()))
    with pytest.raises(Stopped):
        trained(tmp_path / "b", Dropping(tiny_clip()), Raising(35, signal.SIGTERM))
    torch.manual_seed(99)
    assert largest_gap(straight, trained(tmp_path / "b", Dropping(tiny_clip()))) == 0


def test_cut_texts_are_counted_over_a_stop(tmp_path):
    class Wordy(Raising):
        def sample(self, index, rng):
            found = super().sample(index, rng)
            return replace(found, caption=" ".join([found.caption] * (12 if index % 3 == 0 else 1)))

    with pytest.raises(Stopped):
        trained(tmp_path / "b", source=Wordy(35, signal.SIGTERM))
    trained(tmp_path / "b", source=Wordy(-1, 0))
    trained(tmp_path / "a", source=Wordy(-1, 0))
    (straight,), (resumed,) = (events(tmp_path / name, "cut") for name in "ab")
    assert resumed["texts"] == straight["texts"] == 64
    assert 0 < resumed["cut"] == straight["cut"] < 64


def test_a_run_killed_between_checkpoints_repeats_its_steps(tmp_path):
    class Dying(Pictures):
        left = 45

        def sample(self, index, rng):
            self.left -= 1
            if not self.left:
                raise RuntimeError("killed")
            return super().sample(index, rng)

    with pytest.raises(RuntimeError, match="killed"):
        trained(tmp_path, source=Dying(), checkpoint_every=2)
    assert Checkpoints(tmp_path / "t").steps() == [4]
    assert events(tmp_path, "train")[-1]["step"] == 5
    (tmp_path / "t" / ".recipe.yaml.abc.part").touch()
    (tmp_path / "t" / ".model.abc.part").mkdir()
    resumed = trained(tmp_path, checkpoint_every=3, log_every=2)
    assert not list((tmp_path / "t").glob(".*"))
    assert largest_gap(resumed, trained(tmp_path / "straight")) == 0
    steps = [line["step"] for line in events(tmp_path, "train")]
    assert steps == [1, 2, 3, 4, 6, 8]


def test_gradient_caching_accumulation_and_checkpointing(tmp_path):
    plain = trained(tmp_path / "a", fsc_clip().double())
    cached = trained(tmp_path / "b", fsc_clip().double(), gradient_cache=3)
    saving = trained(tmp_path / "c", fsc_clip().double(), gradient_checkpointing=True)
    assert largest_gap(plain, cached) < 1e-6
    assert largest_gap(plain, saving) < 1e-6
    two = trained(tmp_path / "d", fsc_clip().double(), batch_size=4, accumulation=2)
    assert largest_gap(plain, two) > 1e-4  # smaller contrasts are another loss
    assert len(events(tmp_path / "d", "train")) == 8


def test_accumulation_averages_gradients(tmp_path):
    losses = []
    for size, pieces in ((4, 1), (4, 2)):
        method = finetune()
        output = tmp_path / f"{pieces}"
        trained(output, method, batch_size=size, accumulation=pieces, steps=4 // pieces, lr=0.0)
        losses.append([line["loss"] for line in events(output, "train")])
    singles, pairs = losses
    assert pairs == pytest.approx([sum(singles[:2]) / 2, sum(singles[2:]) / 2], rel=1e-6)


def test_epochs_count_whole_steps(tmp_path):
    changes = {"steps": None, "schedule": ScheduleRecipe(0, epochs=3), "accumulation": 3}
    trained(tmp_path, source=Pictures(64), **changes)
    assert events(tmp_path, "start")[0]["total"] == 6  # 8 batches make 2 steps of 3


class Poisoned(Finetune):
    """The n-th loss, or its gradient alone, is not a number."""

    left, in_gradient = 5, False

    def objective(self, encoded, batch):
        self.left -= 1
        terms = super().objective(encoded, batch)
        if self.left:
            return terms
        if self.in_gradient:
            return {"contrastive": terms["contrastive"] + torch.sqrt(encoded.scale * 0)}
        return {"contrastive": terms["contrastive"] * float("nan")}


@pytest.mark.parametrize("in_gradient", [False, True])
def test_a_loss_that_is_not_finite_stops_with_its_samples(tmp_path, in_gradient):
    method = Poisoned(tiny_clip())
    method.in_gradient = in_gradient
    with pytest.raises(NonFiniteLoss, match=r"the loss of step 5 is not finite \(samples p\d+, p"):
        trained(tmp_path, method)
    assert Checkpoints(tmp_path / "t").steps() == [4]
    failed = events(tmp_path, "failed")[0]
    assert failed["step"] == 5
    assert len(failed["ids"]) == 8
    kept = load_file(Checkpoints(tmp_path / "t").path(4) / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in kept.values())
    assert all(torch.isfinite(value).all() for value in weights(method).values())
    # Mended, the run goes on from the good weights as if nothing had been.
    assert largest_gap(trained(tmp_path), trained(tmp_path / "good")) == 0


def test_the_logit_scale_stays_within_its_bounds(tmp_path):
    for start, bound in ((4.6, math.log(100)), (1e-3, None), (1.0, 0.5)):
        method = finetune()
        with torch.no_grad():
            method.clip.network.logit_scale.fill_(start)
        output = tmp_path / str(start)
        limit = math.log(100) if bound is None else bound
        trained(output, method, lr=0.5, max_logit_scale=limit, steps=3)
        scales = [line["logit_scale"] for line in events(output, "train")]
        assert 0 <= float(method.clip.network.logit_scale.detach()) <= limit + 1e-6
        assert min(scales) > 1 - 1e-6


def test_clipping_scales_the_gradient_down(tmp_path):
    norms = []

    class Watched(Finetune):
        def objective(self, encoded, batch):
            return {"contrastive": super().objective(encoded, batch)["contrastive"] * 50}

    free = trained(tmp_path / "a", Watched(tiny_clip()), steps=2)
    clipped = trained(tmp_path / "b", Watched(tiny_clip()), steps=2, clip_grad_norm=1e-9)
    norms = [line["gradient_norm"] for line in events(tmp_path / "b", "train")]
    assert norms[0] == events(tmp_path / "a", "train")[0]["gradient_norm"] > 1
    # Gradients far below eps: AdamW hardly moves.
    assert largest_gap(clipped, weights(finetune())) < 0.1 * largest_gap(free, weights(finetune()))


def test_unreadable_pictures_are_named_and_the_run_goes_on(tmp_path):
    source = Pictures(64, bad=frozenset({3, 40}))
    one = trained(tmp_path / "a", source=source, steps=16)
    lines = read_lines(tmp_path / "a" / "t" / "skipped.jsonl")
    assert sorted(line["id"] for line in lines) == ["p3", "p40"]
    assert {line["reason"] for line in lines} == {"broken"}
    assert largest_gap(one, trained(tmp_path / "b", source=source, steps=16, workers=1)) == 0


def test_too_many_unreadable_pictures_fail(tmp_path):
    source = Pictures(64, bad=frozenset(range(0, 64, 3)))
    with pytest.raises(UserError, match="bad_image_share allows; the first is p"):
        trained(tmp_path, source=source)
    changes = {"data": WorldData(bad_image_share=0.5)}
    trained(tmp_path / "b", source=source, **changes)


def test_another_recipe_is_not_a_continuation(tmp_path):
    trained(tmp_path, steps=2)
    for changes, message in [
        ({"steps": 3}, "begun with schedule.steps 2, but the recipe now says 3"),
        ({"steps": 2, "seed": 4}, "begun with seed 0"),
        ({"steps": 2, "lr": 1.0}, "begun with optimizer.lr 0.001"),
        ({"steps": 2, "method": {"name": "other"}}, "begun with method.name 'finetune'"),
    ]:
        with pytest.raises(UserError, match=message):
            train(finetune(), Pictures(), batching(finetune()), recipe(tmp_path, **changes))
    with pytest.raises(UserError, match="begun with other data"):
        trained(tmp_path, source=Pictures(63), steps=2)
    with pytest.raises(UserError, match=r"already holds a run \(2 steps\)"):
        train(
            finetune(), Pictures(), batching(finetune()), recipe(tmp_path, steps=2), resume="never"
        )
    trained(tmp_path, steps=2, workers=1, log_every=7, checkpoint_every=1)


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.05)
    folder = tmp_path / "t" / "checkpoints"
    folder.mkdir(parents=True)
    with (
        FileLock(folder / ".lock"),
        pytest.raises(UserError, match="another process is training in"),
    ):
        trained(tmp_path, steps=2)
    trained(tmp_path, steps=2)


def test_another_base_is_not_a_continuation(tmp_path):
    trained(tmp_path, finetune(tuning="lora"), steps=2)
    other = Finetune(tiny_clip(seed=1), FinetuneConfig(tuning="lora"))
    with pytest.raises(UserError, match="begun with other base model"):
        trained(tmp_path, other, steps=2)


def test_lora_keeps_only_what_is_trained(tmp_path):
    straight = trained(tmp_path / "a", finetune(tuning="lora"))
    saved = load_file(Checkpoints(tmp_path / "a" / "t").path(8) / "model.safetensors")
    assert saved
    assert all("lora" in name for name in saved)
    assert (tmp_path / "a" / "t" / "model").is_dir()
    with pytest.raises(Stopped):
        trained(tmp_path / "b", finetune(tuning="lora"), Raising(20, signal.SIGTERM))
    assert largest_gap(straight, trained(tmp_path / "b", finetune(tuning="lora"))) == 0


class Told:
    """Progress that remembers what it is told."""

    def __init__(self):
        self.jobs, self.done = [], []

    def start(self, what, total):
        self.jobs.append((what, total))

    def advance(self, count):
        self.done.append(count)


def test_progress_is_told_of_every_step_and_of_those_made_before(tmp_path):
    told, again, method = Told(), Told(), finetune()
    with pytest.raises(Stopped):
        train(
            method, Raising(20, signal.SIGTERM), batching(method), recipe(tmp_path), progress=told
        )
    assert told.jobs == [("t", 8)]
    assert told.done == [0, 1, 1, 1]
    train(finetune(), Pictures(), batching(method), recipe(tmp_path), progress=again)
    assert again.jobs == [("t", 8)]
    assert again.done == [3, 1, 1, 1, 1, 1]


@dataclass(frozen=True)
class Grown:
    """Options of a method that once had no `margin`."""

    margin: float = 0.5


def test_a_run_older_than_an_option_had_its_default(tmp_path):
    methods = {"grown": (Grown, Finetune)}
    rest = {"method": finetune(), "source": Pictures(), "batching": batching(finetune())}
    train(**rest, recipe=recipe(tmp_path, steps=2, method={"name": "grown"}))
    same = recipe(tmp_path, steps=2, method={"name": "grown", "margin": 0.5})
    assert train(**rest, recipe=same, methods=methods).step == 2
    other = recipe(tmp_path, steps=2, method={"name": "grown", "margin": 0.1})
    with pytest.raises(UserError, match=r"begun with method\.margin 0\.5"):
        train(**rest, recipe=other, methods=methods)


def test_a_finished_run_is_left_as_it_is(tmp_path):
    first = trained(tmp_path)
    lines = events(tmp_path, "train")
    again = trained(tmp_path)
    assert largest_gap(first, again) == 0
    assert events(tmp_path, "train") == lines


def test_evaluations_choose_the_best(tmp_path):
    values = iter([0.1, 0.2, 0.9, 0.5, 0.6])
    changes = {"eval_every": 2, "monitor": "val/score", "keep": 1}
    method, source = finetune(), Pictures()
    outcome = train(
        method, source, batching(method), recipe(tmp_path, **changes),
        evaluators={"val": lambda m: {"score": next(values), "grad": torch.is_grad_enabled()}},
    )  # fmt: skip
    assert outcome.best == {"step": 4, "value": 0.9}
    assert outcome.metrics == {"val/score": 0.6, "val/grad": 0.0}
    assert Checkpoints(tmp_path / "t").steps() == [4, 8]
    assert [(e["step"], e["val/score"]) for e in events(tmp_path, "eval")] == [
        (0, 0.1), (2, 0.2), (4, 0.9), (6, 0.5), (8, 0.6),
    ]  # fmt: skip
    with pytest.raises(UserError, match="monitor is 'val/none', but the evaluations give val/x"):
        train(
            finetune(), source, batching(finetune()), recipe(tmp_path / "b", monitor="val/none", steps=1),
            evaluators={"val": lambda m: {"x": 1.0}},
        )  # fmt: skip


def test_less_may_be_better(tmp_path):
    values = iter([0.5, 3.0, 1.0, 2.0])
    outcome = train(
        finetune(), Pictures(), batching(finetune()),
        recipe(tmp_path, steps=3, eval_every=1, monitor="v/loss", monitor_mode="min"),
        evaluators={"v": lambda m: {"loss": next(values)}},
    )  # fmt: skip
    assert outcome.best == {"step": 2, "value": 1.0}


def test_half_precision_is_left_behind(tmp_path):
    method = finetune()
    forward = method.forward
    trained(tmp_path, method, precision="bf16", steps=2)
    assert events(tmp_path, "start")[0]["precision"] == "bf16"
    assert method.forward == forward
    batch = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    assert method.encode_image(batch).pooled.dtype == torch.float32
    trained(tmp_path / "b", precision="auto", steps=1)
    assert events(tmp_path / "b", "start")[0]["precision"] == "no"


def test_too_few_samples(tmp_path):
    with pytest.raises(UserError, match="have 5 samples, fewer than one batch of 8"):
        trained(tmp_path, source=Pictures(5))


def test_a_full_disk_says_what_is_intact(tmp_path, monkeypatch):
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Stopped):
        trained(tmp_path, source=Raising(20, signal.SIGTERM))
    monkeypatch.setattr("trifocal.train.checkpoints.save_file", full)
    with pytest.raises(UserError, match="the disk is full; that of step 3 is intact"):
        trained(tmp_path)
    monkeypatch.undo()
    assert largest_gap(trained(tmp_path), trained(tmp_path / "straight")) == 0


def test_recipes_are_written_as_they_were_read(tmp_path):
    from trifocal.train.recipe import load_recipe

    made = replace(recipe(tmp_path, steps=1), optimizer=AdamWConfig(lr=2e-5))
    train(finetune(), Pictures(), batching(finetune()), made)
    assert load_recipe(tmp_path / "t" / "recipe.yaml") == made


def test_training_ends_where_nothing_gets_better(tmp_path):
    values = iter([9.0, 1.0, 2.0, 2.0, 1.0])
    told = {"eval_every": 1, "monitor": "e/v", "patience": 2}
    method = finetune()
    made = train(
        method, Pictures(), batching(method), recipe(tmp_path, **told),
        evaluators={"e": lambda method: {"v": next(values)}},
    )  # fmt: skip
    assert (made.step, made.best) == (4, {"step": 2, "value": 2.0})
    best = load_file(Checkpoints(tmp_path / "t").path(2) / "model.safetensors")
    kept = load_file(tmp_path / "t" / "model" / "model.safetensors")
    assert all(
        torch.equal(best[f"clip.{name}"], kept[name]) for name in kept if f"clip.{name}" in best
    )
    again = train(
        finetune(), Pictures(), batching(method), recipe(tmp_path, **told), evaluators={"e": None}
    )
    assert again.step == 4


def test_patience_wants_something_to_wait_for(tmp_path):
    with pytest.raises(UserError, match="set both"):
        recipe(tmp_path, patience=2)
