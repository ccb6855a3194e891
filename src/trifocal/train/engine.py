"""The training loop: a method, a source of samples, how they become batches, a recipe.

A run is a pure function of its recipe and data. Batches and draws follow from (seed, epoch, index),
the network's own draws (dropout) from (seed, step, process), so a run that was interrupted and
taken up again makes the same weights as one that was not.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed
from accelerate.utils import gather_object
from filelock import FileLock, Timeout
from torch import nn

from trifocal import config
from trifocal.data.batching import Batch, Batching
from trifocal.data.loader import BatchMaker, Order, batches
from trifocal.data.samples import Skipped, Source
from trifocal.errors import Stopped, UserError
from trifocal.files import atomic_folder, atomic_write
from trifocal.progress import Progress, Quiet
from trifocal.train.checkpoints import Checkpoints, frozen_digest, optimizer_state, trained_state
from trifocal.train.embeddings import use_embeddings
from trifocal.train.environment import describe
from trifocal.train.held_out import HELD_OUT
from trifocal.train.launch import compile_blocks, make_accelerator
from trifocal.train.logs import RunLog, read_lines, write_json
from trifocal.train.meters import BadSamples, CutTexts, Window
from trifocal.train.optimizer import make_optimizer
from trifocal.train.recipe import HARMLESS, Methods, Recipe, saved_recipe
from trifocal.train.remember import remember
from trifocal.train.run_folder import Resume, check_new, check_run_folder, set_aside
from trifocal.train.sharding import Sharding
from trifocal.train.step import Stepper
from trifocal.train.stop import Stoppable, StopSignals
from trifocal.train.trackers import open_trackers
from trifocal.tuning.method import Method
from trifocal.tuning.tuned_clip import TunedClip

logger = logging.getLogger(__name__)
_MEASURED = 10  # times in a run, where photos are held out and nobody says how often

LOCK_SECONDS = 10.0  # the data workers of a run that was killed hold its folder for some seconds

Evaluator = Callable[[Method], Mapping[str, float]]


class NonFiniteLoss(UserError):  # noqa: N818 - named after what happened
    """The loss or its gradient became NaN or infinite; the weights before that step are saved."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    folder: Path  # the run folder; `model/` in it is the trained model
    step: int  # steps made in all
    # The last evaluation, `evaluation/metric` to value.
    metrics: dict[str, float] = field(default_factory=dict)
    # Step and value of the best evaluation, if one is monitored.
    best: dict[str, float] | None = None


def train(
    method: Method,
    source: Source,
    batching: Batching,
    recipe: Recipe,
    *,
    evaluators: Mapping[str, Evaluator] | None = None,
    resume: Resume = "auto",
    progress: Progress | None = None,
    methods: Methods | None = None,
) -> Outcome:
    """Train `method` on `source` as `recipe` says; the method holds the trained weights after.

    (A method that was sharded over processes stays so: load the run's `model/` folder instead.)

    Args:
        method: What is trained.
        source: Samples of the kind the method learns from.
        batching: How they become its batches, such as its own `batching(...)`.
        recipe: All settings; the run folder is `recipe.folder`.
        evaluators: Name to a function of the method that returns metrics; called at the end and
            every `recipe.eval_every` steps, on every process.
        resume: "auto" goes on from the last checkpoint in the run folder, if there is one;
            "never" refuses a folder that holds one; "fresh" starts over, and keeps the old folder
            as NAME.old-1.
        progress: Told of every step, those of an earlier run at once.
        methods: Known methods by name; a run that is older than an option of its method is then
            known to have had that option's default.

    Raises:
        UserError: the recipe does not fit the data or the run folder, too many pictures are
            unreadable, the disk is full.
        NonFiniteLoss: the loss became NaN or infinite.
        Stopped: SIGTERM or Ctrl-C; the run is saved.
    """
    check_run_folder(Path(recipe.folder), resume)
    run = _Run(method, source, batching, recipe, evaluators or {}, progress or Quiet(), methods)
    try:
        with StopSignals() as signals:
            run.begin(resume, signals)
            run.loop(signals)
            return run.finish()
    finally:
        run.close()


class _Run:
    """The state of one run in one process."""

    def __init__(
        self,
        method: Method,
        source: Source,
        batching: Batching,
        recipe: Recipe,
        evaluators: Mapping[str, Evaluator],
        progress: Progress,
        methods: Methods | None,
    ) -> None:
        self.recipe, self.method, self.evaluators = recipe, method, evaluators
        self.methods = methods
        self.module = cast(nn.Module, method)  # the same, as torch sees it
        self.folder = Path(recipe.folder)
        self.log: Any = None
        self.model: Any = None
        self.sharding: Sharding | None = None
        self.accelerator = accelerator = make_accelerator(recipe.precision)
        self.main = accelerator.is_main_process
        self.progress = progress if self.main else Quiet()
        self.order = Order(len(source), recipe.batch_size, recipe.seed)
        self.maker = BatchMaker(
            source,
            self.order,
            batching,
            rank=accelerator.process_index,
            processes=accelerator.num_processes,
        )
        self.per_epoch = max(self.order.batches // recipe.accumulation, 1)
        self.total = recipe.schedule.steps or recipe.schedule.epochs * self.per_epoch
        self.step = 0
        # The last checkpoint's step. It is not read from the disk: processes that are late would
        # find what the first has written already, and leave out what all of them do together.
        self.saved: int | None = None
        self.best: dict[str, float] | None = None
        self.metrics: dict[str, float] = {}
        self.bad = BadSamples(recipe.data.bad_image_share, self.order.count)
        self.long = CutTexts()  # in this process, since `self.long_before` was counted
        self.long_before = CutTexts()
        self.checkpoints = Checkpoints(self.folder)
        self.lock = FileLock(self.checkpoints.folder / ".lock", timeout=LOCK_SECONDS)

    # -- before and after ---------------------------------------------------------------------

    def begin(self, resume: Resume, signals: StopSignals) -> None:
        """Prepare model and optimizer, take up the last checkpoint, open the log."""
        recipe, accelerator = self.recipe, self.accelerator
        torch.manual_seed(recipe.seed)
        if recipe.gradient_checkpointing:
            self.method.clip.gradient_checkpointing(True)
        if recipe.compile:
            compile_blocks(self.module)
        self.module.to(accelerator.device)
        self.frozen = frozen_digest(self.module)
        waiting = Stoppable(self.progress, signals, self._made(), str(self.folder))
        if recipe.data.remember:
            drawn = self.order.drawn(self.total * recipe.accumulation)
            remember(self.method.clip, self.maker.source, drawn, accelerator, waiting)
        if recipe.embeddings is not None:
            self.maker.source = use_embeddings(
                recipe.embeddings, cast(TunedClip, self.method), self.maker.source,
                self.maker.batching, accelerator, waiting,
            )  # fmt: skip
        self.stores: list[str] = getattr(self.maker.source, "stores", [])
        if recipe.sharding == "full" and accelerator.num_processes > 1:
            self.sharding = Sharding(self.module, accelerator.device)
        self.optimizer: Any = accelerator.prepare(make_optimizer(self.method, recipe.optimizer))
        # Without DDP around it where it is sharded; accelerate calls that "evaluation mode".
        self.model = accelerator.prepare_model(
            self.module, evaluation_mode=self.sharding is not None
        )
        self.stepper = Stepper(
            self.method, self.model, self.optimizer, accelerator, recipe,
            self.total, self.sharding, self.per_epoch,
        )  # fmt: skip
        self.method.train()
        if not all(self._gathered([self._claim(resume)])):
            raise UserError(
                f"another process is training in {self.folder}; wait for it, or choose another "
                "name."
            )
        steps = self.checkpoints.steps()
        if self._gathered([steps]) != [steps] * accelerator.num_processes:
            raise UserError(f"not all processes see {self.folder}; put it on a shared disk.")
        if resume == "never":
            check_new(self.folder, steps)
        if steps:
            self._take_up(steps[-1])
        if self.main:
            self._write_folder()
        accelerator.wait_for_everyone()
        told = config.plain(recipe)
        trackers = open_trackers(recipe.trackers, self.folder, self.step, told) if self.main else ()
        self.log = RunLog(
            self.folder, total=self.total, start=self.step, active=self.main, trackers=trackers
        )
        self.progress.start(recipe.name, self.total)
        self.progress.advance(self.step)
        self.log.event(
            "start", self.step, total=self.total, samples=self.order.count,
            batch_size=recipe.batch_size, processes=accelerator.num_processes,
            precision=accelerator.mixed_precision, device=str(accelerator.device),
            trained=sum(p.numel() for p in self.module.parameters() if p.requires_grad),
            stores=self.stores,
        )  # fmt: skip

    def _made(self) -> int:
        """Return how many steps are saved of what the folder holds."""
        return max(self.checkpoints.steps(), default=0)

    def _claim(self, resume: Resume) -> bool:
        """Keep the run folder to this run until `close`, or until the process ends."""
        if not self.main:
            return True
        if resume == "fresh" and any(self.folder.glob("*")):
            if not self._locked():
                return False
            self.lock.release()
            logger.info("the earlier run is now %s", set_aside(self.folder))
        return self._locked()

    def _locked(self) -> bool:
        """Return whether nobody else trains in the run folder, and let nobody else in."""
        self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except Timeout:
            return False
        except NotImplementedError:
            pass  # a file system without locks
        return True

    def _write_folder(self) -> None:
        self.checkpoints.sweep()
        for left in self.folder.glob(".*.part"):  # by a run that was killed while writing
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with atomic_write(self.folder / "recipe.yaml") as aside:
            aside.write_text(config.to_yaml(self.recipe), encoding="utf-8")
        write_json(self.folder / "environment.json", describe(self.accelerator))

    def _take_up(self, step: int) -> None:
        """Go on from the checkpoint of `step`."""
        saved = self.checkpoints.read(step)
        begun_with = saved_recipe(saved["recipe"], self.methods)
        for key, before, now in config.differences(begun_with, self.recipe):
            if key not in HARMLESS:
                raise UserError(
                    f"{self.folder} was begun with {key} {before!r}, but the recipe now says "
                    f"{now!r}; set it back, or choose another name."
                )
        if (saved["samples"], saved["frozen"]) != (self.order.count, self.frozen):
            what = "data" if saved["samples"] != self.order.count else "base model"
            raise UserError(
                f"{self.folder} was begun with other {what}; restore it, or choose another name."
            )
        if saved.get("stores", []) != self.stores:
            raise UserError(
                f"{self.folder} was begun with other embeddings of the pictures; restore what they "
                "are made from, or choose another name."
            )
        self.checkpoints.load(step, self.module, self.optimizer.optimizer)
        if self.accelerator.scaler is not None and saved["scaler"]:
            self.accelerator.scaler.load_state_dict(saved["scaler"])
        self.step = self.saved = step
        self.best, self.metrics = saved["best"], saved["metrics"]
        self.long_before = CutTexts(*saved.get("cut_texts", ()))
        self.bad.reasons = {r["id"]: r["reason"] for r in read_lines(self.folder / "skipped.jsonl")}
        if self.main:
            logger.info("going on from step %d of %d in %s", step, self.total, self.folder)

    def finish(self) -> Outcome:
        """Write the trained model."""
        if self.best is not None and self.recipe.patience is not None:
            best = int(self.best["step"])
            self.checkpoints.load(best, self.module, self.optimizer.optimizer)
            if self.main:
                logger.info(
                    "the model is that of step %d, which %s chose", best, self.recipe.monitor
                )
        whole = self._whole_method()
        if self.main:
            with atomic_folder(self.folder / "model") as aside:
                whole.save(aside)
        self.accelerator.wait_for_everyone()
        long = self._all_long()
        if long.cut and self.main:
            logger.warning("%s", long)
            self.log.event("cut", self.step, cut=long.cut, texts=long.texts)
        self.log.event("end", self.step)
        return Outcome(self.folder, self.step, self.metrics, self.best)

    def _whole_method(self) -> Method:
        """Return the method in evaluation mode, or an ordinary copy of it if it is sharded."""
        if self.sharding is None:
            return self.method.eval()
        return cast(Method, self.sharding.assemble().to(self.accelerator.device))

    def close(self) -> None:
        """Give the method back unwrapped and in evaluation mode."""
        if self.log is not None:
            self.log.close()
        if self.model is not None:
            self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
            if self.accelerator.device.type == "cuda":
                self.accelerator.free_memory()
        self.method.eval()
        self.lock.release()

    # -- the loop -----------------------------------------------------------------------------

    def loop(self, signals: StopSignals) -> None:
        """Make the remaining steps."""
        pieces = self.recipe.accumulation
        loader = batches(
            self.maker,
            self.step * pieces,
            self.total * pieces,
            workers=self.recipe.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        with contextlib.closing(loader):  # ends the workers, however the loop is left
            self._steps(loader, signals)

    def _steps(self, loader: Iterator[Batch], signals: StopSignals) -> None:
        if self.step == 0 and self.evaluators and self.eval_every:
            self._measure()  # what there is to gain from, and to lose
        pieces, window = self.recipe.accumulation, Window()
        while self.step < self.total and not self._waited_enough():
            begun = time.perf_counter()
            group = [next(loader) for _ in range(pieces)]
            waited = time.perf_counter() - begun
            values = self.stepper.gradient(self.step, group)
            stop = self._agree(group, values, signals.received)
            self.stepper.apply()
            for batch in group:
                self.long.add(batch.text)
            self.step += 1
            self.progress.advance(1)
            window.add(values, self.recipe.batch_size * pieces, waited)
            self._tell(window)
            begun = time.perf_counter()
            self._keep(stop)
            window.pause(time.perf_counter() - begun)
            if stop and self.step < self.total:
                raise Stopped(stop, self.step, str(self.folder))

    # -- what all processes must agree on -----------------------------------------------------

    def _agree(self, group: list[Batch], values: dict[str, float], stop: int) -> int:
        """Stop together, fail together; return the signal to stop by, or 0."""
        found = [item for batch in group for item in batch.skipped]
        finite = math.isfinite(values["loss"])
        if self.accelerator.scaler is None:  # with one, an overflow only lowers its scale
            finite = finite and math.isfinite(values["gradient_norm"])
        flags = [stop, 0 if finite else 1, len(found)]
        if self.accelerator.num_processes > 1:
            tensor = torch.tensor(flags, device=self.accelerator.device)
            torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX)
            flags = tensor.tolist()
        if flags[2]:
            self._count_bad(found)
        if flags[1]:
            self._fail(group)
        return flags[0]

    def _count_bad(self, found: list[Skipped]) -> None:
        new = self.bad.add(self._gathered(found))
        self.log.skipped([{"step": self.step + 1, **asdict(item)} for item in new])
        self.bad.check((self.step + 1) * self.recipe.batch_size * self.recipe.accumulation)

    def _fail(self, group: list[Batch]) -> None:
        """Save the weights from before this step, and name its samples."""
        ids = self._gathered([name for batch in group for name in batch.ids])
        self._save()
        self.log.event("failed", self.step + 1, reason="the loss is not finite", ids=ids)
        shown = ", ".join(ids[:8]) + (", ..." if len(ids) > 8 else "")
        raise NonFiniteLoss(
            f"the loss of step {self.step + 1} is not finite (samples {shown}; all of them are in "
            f"{self.folder / 'metrics.jsonl'}); the weights before it are saved, so look at these "
            "samples, or start anew with a lower optimizer.lr or with precision fp32."
        )

    def _gathered(self, items: list[Any]) -> list[Any]:
        """Return the lists of all processes, one after another."""
        return gather_object(items) if self.accelerator.num_processes > 1 else items

    def _all_long(self) -> CutTexts:
        """Return what was cut in all processes since the run was begun."""
        counts = self._gathered([self.long.counts])
        return sum((CutTexts(*each) for each in counts), self.long_before)

    # -- telling and keeping ------------------------------------------------------------------

    def _tell(self, window: Window) -> None:
        if self.step % self.recipe.log_every and self.step < self.total:
            self.log.progress(self.step)
            return
        means = window.take()
        epoch = self.step / max(self.order.batches / self.recipe.accumulation, 1e-9)
        self.log.scalars("train", self.step, means, epoch=round(epoch, 4))
        note = f"loss {means['loss']:.4f}  rate {means['lr']:.2g}"
        note += f"  {means['samples_per_second']:.0f} samples/s"
        self.log.progress(self.step, note)

    def _keep(self, stop: int) -> None:
        """Evaluate and save where it is time to."""
        recipe, end = self.recipe, self.step == self.total
        improved = False
        if self.evaluators and (end or self._due(self.eval_every)):
            improved = self._evaluate()
        due = self._due(recipe.checkpoint_every) or self._waited_enough()
        if end or stop or improved or due:
            self._save()

    def _waited_enough(self) -> bool:
        """Return whether so many evaluations have brought nothing better that training ends."""
        if self.recipe.patience is None or self.best is None:
            return False
        since = self.step - int(self.best["step"])
        return since // self.eval_every >= self.recipe.patience

    @property
    def eval_every(self) -> int:
        """Steps between two evaluations."""
        unasked = HELD_OUT in self.evaluators and getattr(self.recipe.data, HELD_OUT) is None
        return self.recipe.eval_every or (max(1, self.total // _MEASURED) if unasked else 0)

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _evaluate(self) -> bool:
        """Run the evaluations; return whether the monitored metric is the best so far."""
        recipe, made = self.recipe, self._measure()
        if recipe.monitor is None:
            return False
        if recipe.monitor not in made:
            raise UserError(
                f"monitor is {recipe.monitor!r}, but the evaluations give {', '.join(made)}."
            )
        value = made[recipe.monitor]
        sign = 1 if recipe.monitor_mode == "max" else -1
        if self.best is not None and sign * value <= sign * self.best["value"]:
            return False
        self.best = {"step": self.step, "value": value}
        return True

    def _measure(self) -> dict[str, float]:
        """Run the evaluations, and tell what they found."""
        begun = time.perf_counter()
        whole = self._whole_method()
        with torch.no_grad():
            made = {
                f"{name}/{metric}": float(value)
                for name, evaluator in self.evaluators.items()
                for metric, value in evaluator(whole).items()
            }
        if self.sharding is not None:
            cast(nn.Module, whole).cpu()
        self.method.train()
        self.metrics = made
        self.log.scalars("eval", self.step, made, seconds=time.perf_counter() - begun)
        self.log.measured(self.step, made)
        return made

    def _save(self) -> None:
        """Write a checkpoint of the state after `self.step` steps."""
        if self.saved == self.step:
            return
        model = trained_state(self.module)
        optimizer = optimizer_state(self.module, self.optimizer)
        long = self._all_long()
        if self.main:
            scaler = self.accelerator.scaler
            trainer = {
                "samples": self.order.count,
                "frozen": self.frozen,
                "stores": self.stores,
                "best": self.best,
                "metrics": self.metrics,
                "cut_texts": long.counts,
                "scaler": scaler.state_dict() if scaler is not None else None,
                "recipe": config.plain(self.recipe),
            }
            self.checkpoints.save(self.step, model, optimizer, trainer)
            best = int(self.best["step"]) if self.best else None
            self.checkpoints.prune(self.recipe.keep, best)
            self.log.event("checkpoint", self.step)
        self.saved = self.step
        self.accelerator.wait_for_everyone()
