"""A process that trains the tiny model; other tests start it, alone or under torchrun.

Its argument is a JSON list of pairs: an output folder, and changes to the recipe ("method" chooses
the method).
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.train.support import Pictures, batching, rca_config, recipe, tiny_clip
from trifocal.composition.baselines import Finetune, FinetuneConfig, NegClip, NegClipConfig
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.concepts.prompt_learning import Coop, CoopConfig
from trifocal.regions import Rca
from trifocal.train import Stopped, train
from trifocal.world.abduction import WorldAbduction
from trifocal.world.few_shot_source import WorldFewShot

KINDS = ("swap", "shuffle")


def make(name: str):
    torch.manual_seed(0)
    if name == "fsc_clip":
        return FscClip(tiny_clip(), FscClipConfig(negatives=KINDS))
    if name == "negclip":
        return NegClip(tiny_clip(), NegClipConfig(negatives=KINDS))
    if name == "coop":
        return Coop(tiny_clip(), CoopConfig(tokens=4))
    if name == "clip_lora":
        # Dropout is drawn by each process for its own share.
        lora = replace(ClipLoraConfig().lora, dropout=0.0)
        return ClipLora(tiny_clip(), ClipLoraConfig(lora))
    if name.startswith("rca-"):
        return Rca(tiny_clip(), rca_config(name.removeprefix("rca-")))
    return Finetune(tiny_clip(), FinetuneConfig(tuning="full" if name == "finetune" else name))


def arrive(late: float) -> dict[str, float]:
    """An evaluation that takes all processes but the first `late` seconds longer."""
    if os.environ.get("RANK", "0") != "0":
        time.sleep(late)
    return {}


def run(output: Path, changes: dict) -> int:
    """Train as `changes` say; return an exit status."""
    changes = dict(changes)
    method = make(changes.pop("method", "finetune"))
    source: Any = Pictures(64, frozenset(changes.pop("bad", ())))
    if method.samples == "regions":
        source = WorldAbduction(size=64, picture_size=48)
    elif method.samples == "classes":
        source = WorldFewShot(1, (16, 16))
    if changes.pop("double", False):
        method.double()
    late = changes.pop("late", 0)
    evaluators = {"late": lambda _: arrive(late)} if late else {}
    try:
        train(method, source, batching(method), recipe(output, **changes), evaluators=evaluators)
    except Stopped as stopped:
        return stopped.status
    return 0


def main() -> int:
    torch.set_num_threads(1)
    statuses = [run(Path(output), changes) for output, changes in json.loads(sys.argv[1])]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
