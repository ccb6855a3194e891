"""Short commands of every kind that writes, what they read, and what must be equal afterwards."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS
from trifocal.metrics.result import COST_METRICS
from trifocal.world import MEANINGS, draw, inference_wordings, make_scene

CLASSES, EACH, WIDTH, SIDE = 3, 8, 16, 64
MEASURED = "seconds", "samples_per_second", "waited_share", "data_share", "time"


@dataclass(frozen=True)
class Command:
    """A command, `@` in its words being the folder with what it reads.

    Attributes:
        words: Of the command line.
        result: Returns what a whole run and one that was killed must have alike.
        call: What takes the words.
        made: What it makes, where a second run says that it is there.
    """

    words: str
    result: Callable[[Path], Any]
    call: str = "trifocal.cli:main"
    made: str = ""

    def given(self, folder: Path) -> list[str]:
        """Return the words, with the folder that holds what they read."""
        return self.words.replace("@", str(folder)).split()


def debris(work: Path) -> list[str]:
    """Return what no finished command leaves."""
    found = [*work.rglob(".*.part"), *work.rglob(".*.old"), *work.rglob(".old.*")]
    found += [*work.rglob(".tmp*"), *work.rglob("*.parts")]
    return sorted(str(path.relative_to(work)) for path in found)


def inputs(folder: Path) -> Path:
    """Write what the commands read."""
    rows = []
    for index in range(CLASSES * EACH):
        name = f"{index % CLASSES}/{index}.png"
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        draw(make_scene(0, index, "test", things=1), SIDE).save(folder / "photos" / name)
        rows.append((f"photos/{name}", f"a thing number {index}"))
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filepath", "title"), *rows])
    listed = [{"image": name, "boxes": [[4, 4, 20 + i, 30]]} for i, (name, _) in enumerate(rows)]
    (folder / "regions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in listed * 1))
    asked = [
        {"filename": name, "caption": text, "negative_caption": f"no {text}"} for name, text in rows
    ]
    for place, subset in enumerate(SUBSETS):
        entries = {str(number): one for number, one in enumerate(asked[place::3])}
        (folder / "photos" / f"{subset}.json").write_text(json.dumps(entries))
    texts = [inference_wordings(*meaning)[0] for meaning in MEANINGS][:30]
    (folder / "bank.txt").write_text("\n".join(texts))
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, each in (("train1", 1), ("train2", 2), ("test", 25)):
        labels = torch.arange(CLASSES).repeat_interleave(each)
        noise = torch.randn(len(labels), WIDTH, generator=generator)
        tensors |= {name: torch.eye(WIDTH)[labels] + 0.25 * noise, f"{name}_label": labels}
    save_file(tensors, folder / "clouds.safetensors")
    save_file({"names": torch.eye(WIDTH)[:CLASSES] + 0.3}, folder / "text.safetensors")
    return folder


def keep_features(words: Sequence[str]) -> int:
    """Keep the features of the pictures in a folder, a few in a file."""
    from trifocal.clip import load_clip
    from trifocal.features import pictures

    pictures.CHUNK = 3
    files = sorted(Path(words[0]).rglob("*.png"))
    made = pictures.image_features(load_clip("builtin"), files, cache=Path("kept"), batch_size=3)
    save_file({"features": made.features.contiguous()}, "features.safetensors")
    return 0


def keep_parses(words: Sequence[str]) -> int:
    """Make negatives of the captions in a table, and keep their parses in a store."""
    from trifocal.composition.negatives import HardNegatives

    negatives = HardNegatives(("swap",), parser="textblob", store=words[1])
    with open(words[0], newline="") as file:
        captions = [row["title"] for row in csv.DictReader(file)]
    for caption in captions:
        negatives(f"{caption} beside a red ball", None)
        assert negatives.store is not None
        negatives.store.flush()
    return 0


def _tensors(file: Path) -> dict[str, bytes]:
    return {name: t.numpy().tobytes() for name, t in sorted(load_file(file).items())}


def run_of(work: Path) -> Any:
    """Return a run's model, last checkpoint and numbers by step."""
    run = work / "runs" / "short"
    model = {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted((run / "model").rglob("*"))
        if path.is_file()
    }
    last = max((run / "checkpoints").glob("step-*"))
    states = [_tensors(last / f"{name}.safetensors") for name in ("model", "optimizer")]
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [(one["step"], one["loss"]) for one in records if one["event"] == "train"]
    return model, last.name, states, steps


def rows_of(work: Path) -> Any:
    """Return the rows of a results file but for the seconds, and what is kept beside it."""
    rows = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"]
        if row["metric"] in COST_METRICS:
            del row["value"]
    beside = {file.name: _tensors(file) for file in sorted(work.glob("out.answers/*.safetensors"))}
    return sorted(map(json.dumps, rows)), beside


def head_of(work: Path) -> Any:
    """Return the files of a classifier."""
    return {path.name: path.read_bytes() for path in sorted((work / "head").rglob("*.*"))}


def lines_of(work: Path) -> Any:
    """Return a file of answers."""
    return (work / "out.jsonl").read_bytes()


def kept_of(work: Path) -> Any:
    """Return features, and how many a store has."""
    kept = [load_file(file) for file in work.glob("kept/*/*.safetensors")]
    keys = [key.tobytes() for one in kept for key in one["keys"].numpy()]
    assert len(keys) == len(set(keys))
    return (work / "features.safetensors").read_bytes(), sorted(keys)


_TRAIN = (
    "train {} --name short --output runs --schedule.steps 4 --batch_size 4 --workers {} "
    "--log_every 1 --checkpoint_every 2 --evaluation [] "
)
COMMANDS = {
    "train composition": Command(
        _TRAIN.format("fsc_clip-captions-builtin", 1)
        + "--data.path @/captions.csv --data.images @ --schedule.warmup_steps 1",
        run_of,
    ),
    "train regions": Command(
        _TRAIN.format("rca-world-builtin", 0) + "--data.size 32 --schedule.warmup_steps 1", run_of
    ),
    "train concepts": Command(
        _TRAIN.format("coop-world", 0) + "--data.shots 2 --schedule.warmup_epochs 0", run_of
    ),
    "eval": Command(
        "eval builtin sugarcrepe zero_shot retrieval --root @/photos --captions @/captions.csv "
        "--images @ "
        "--out out.jsonl",
        rows_of,
    ),
    "eval few-shot": Command(
        "eval few-shot --datasets @/clouds.safetensors --class-text @/text.safetensors:names "
        "--shots 1,2 --methods zero-shot,tip-adapter,ss-text,taskres --val none --out out.jsonl",
        rows_of,
    ),
    "classify fit": Command(
        "classify fit @/photos --out head --method tip-adapter --views 1 --holdout 0.25",
        head_of,
        made="head",
    ),
    "features": Command("@/photos", kept_of, call="tests.faults.commands:keep_features"),
    "explain": Command(
        "explain @/regions.jsonl --bank @/bank.txt --model builtin --out out.jsonl", lines_of
    ),
}
