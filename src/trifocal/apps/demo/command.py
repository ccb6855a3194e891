"""`trifocal demo`: from nothing to a report, without a download.

Each focus has a chapter, a module with `run(folder, seeds, steps) -> Chapter` and with
`step_count(seeds)`. All of it runs on the built-in world; what is interrupted goes on when the
command is given again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trifocal.apps.demo import composition, concepts, regions
from trifocal.apps.demo.steps import Steps
from trifocal.errors import UserError, nearest
from trifocal.files import check_folder, is_marked, mark_folder
from trifocal.report.page import Facts, Report, check_report, write_report

_KIND = "tour"

# In this order, on the page too: the larger what is to be seen, the earlier. Regions go from guessing
# to nearly all right; heads on concepts gain tens of points on zero-shot; what methods for
# composition differ in is a few points, and needs intervals.
CHAPTERS = {"regions": regions, "concepts": concepts, "composition": composition}

_NEXT = (
    (
        "Train on captions of your own (a table with columns image and caption).",
        "trifocal train fsc_clip-coco-ViT-B-32 "
        "--data.path captions.csv --data.images photos --name mine",
    ),
    (
        "See what it gained and what it cost, and every step on the way between base and result.",
        "trifocal eval runs/mine sugarcrepe --root DATA --base ViT-B-32:openai "
        "--interpolate 0,0.1,...,1 --report mine.html",
    ),
    (
        "Ask what follows from a part of a photo (the bank: a file with an explanation a line).",
        "trifocal explain photo.jpg --box 40,60,120,80 --bank explanations.txt --model runs/rca "
        "--out explained.png",
    ),
    (
        "Learn classes from a few photos of each (a folder of class folders), and ask for reasons.",
        "trifocal classify fit photos --out runs/photos && "
        "trifocal classify explain runs/photos photo.jpg --out why.png",
    ),
    ("Look at every setting of a run before it starts.", "trifocal train RECIPE --print"),
)


def run(arguments: argparse.Namespace) -> int:
    """Run the chapters that the command line names.

    Raises:
        UserError: There is no such chapter.
    """
    run_demo(arguments.chapters, arguments.out, seeds=arguments.seeds)
    return 0


def run_demo(chapters: Sequence[str], out: str, *, seeds: int = 1) -> Path:
    """Run the chapters (all of them by default) and write `report.html`; return its path.

    Raises:
        UserError: There is no such chapter.
    """
    for name in chapters:
        if name not in CHAPTERS:
            raise UserError(
                f"the demo has no chapter {name!r}.{nearest(name, CHAPTERS)} "
                f"There are: {', '.join(CHAPTERS)}."
            )
    if seeds < 1:
        raise UserError(f"--seeds is {seeds}; at least one run is needed.")
    console = Console()
    begun = time.perf_counter()
    folder = Path(out)
    _claim(folder)
    chosen = [CHAPTERS[name] for name in (chapters or CHAPTERS)]
    steps = Steps(console, sum(one.step_count(seeds) for one in chosen))
    made = [one.run(folder, seeds, steps) for one in chosen]
    report = Report(
        "trifocal on its built-in world",
        "A tour that needs no data: a tiny CLIP, trained and measured on drawn scenes. It shows "
        "that the machinery works and how the methods differ; it says nothing about photos. The "
        "chapter with the most to see comes first.",
        made,
        facts=[Facts("How this was made", _facts(folder), commands=_command(chapters, out, seeds))],
        next_steps=_NEXT,
    )
    path = write_report(folder / "report.html", report)
    console.print(f"\n[bold]The report is in {path}[/bold] ({time.perf_counter() - begun:.0f} s)")
    console.print("Next, on data of your own:")
    for text, command in _NEXT:
        console.print(f"  {text}\n    [cyan]{command}[/cyan]", highlight=False, soft_wrap=True)
    return path


def _claim(folder: Path) -> None:
    """Make a folder the tour's, unless it holds something else.

    Raises:
        UserError: it does.
    """
    if not is_marked(folder, _KIND):
        check_folder(folder, _KIND)
        mark_folder(folder, _KIND)
    check_report(folder / "report.html")


def _facts(folder: Path) -> list[tuple[str, str]]:
    import torch
    import transformers

    from trifocal.version import __version__

    return [
        ("trifocal", __version__),
        ("torch", torch.__version__),
        ("transformers", transformers.__version__),
        ("runs, logs and checkpoints", str(folder)),
    ]


def _command(chapters: Sequence[str], out: str, seeds: int) -> list[str]:
    words = ["trifocal demo", *chapters]
    words += [f"--out {out}"] if out != "runs/demo" else []
    words += [f"--seeds {seeds}"] if seeds != 1 else []
    return [" ".join(words)]
