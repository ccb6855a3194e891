"""The world as files: pictures and annotations in the formats of the benchmarks they stand for.

Layout::

    images/                       every picture once
    scenes.jsonl                  the scene graphs, one a line: boxes, looks, place
    dataset_world.json            captions in Karpathy's format (Karpathy & Fei-Fei, CVPR 2015)
    sugarcrepe/<task>.json        seven files in SugarCrepe's format (arXiv 2306.14610)
    zero_shot/<task>/             class folders below test/, and the two text files of
                                  CLIP_benchmark: classnames.txt and
                                  zeroshot_classification_templates.txt
    sherlock/                     sherlock_train.json, sherlock_val.json (`region_files`)
    refcoco/                      instances.json, refs(world).json, detections.json
    few_shot/                     CoOp's split_zhou_World.json and its pictures, below images/
    few_shot_domains/<domain>/    its test pictures, shifted, in class folders (`few_shot_files`)
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from PIL import Image

from trifocal.data.sherlock_files import write_instances
from trifocal.errors import UserError
from trifocal.files import atomic_folder
from trifocal.world.abduction import abduction_items
from trifocal.world.captions import captions
from trifocal.world.composition import TASKS, composition_items
from trifocal.world.draw import draw
from trifocal.world.few_shot_files import write_few_shot
from trifocal.world.referring import referring_items
from trifocal.world.region_files import refcoco_files, sherlock_instances
from trifocal.world.scene import Scene, generator, make_scene
from trifocal.world.zero_shot import ZERO_SHOT, zero_shot_task

_WORDING = 50  # the purpose of the draw of exported captions
_KIND = "drawn world"
_SAVE: dict[str, dict] = {"png": {}, "jpg": {"quality": 92, "subsampling": 0}}


@dataclass(frozen=True)
class ExportConfig:
    """What is exported.

    Attributes:
        seed: which world.
        size: picture side in pixels, or (height, width).
        train, val, test: number of captioned scenes of each split.
        captions: captions a scene.
        composition: tests a task.
        zero_shot: pictures a task.
        abduction: scenes of either of Sherlock's files; a multiple of 20 fills its folds.
        referring: scenes of each split of the referring expressions.
        few_shot: training pictures of each few-shot class; a quarter as many more are for
            validation and half as many for testing, in every domain.
        format: "png" (exact) or "jpg" (a third of the space).
    """

    seed: int = 0
    size: int | tuple[int, int] = 224
    train: int = 1000
    val: int = 200
    test: int = 200
    captions: int = 5
    composition: int = 200
    zero_shot: int = 200
    abduction: int = 200
    referring: int = 200
    few_shot: int = 20
    format: str = "png"


@dataclass
class _Writer:
    """Writes each scene once, whichever files mention it."""

    folder: Path
    config: ExportConfig
    scenes: dict[str, Scene] = field(default_factory=dict)

    def filename(self, scene: Scene) -> str:
        return f"{scene.id}.{self.config.format}"

    def picture(self, scene: Scene) -> Path:
        """Draw a scene unless that has been done; return the path of its picture."""
        path = self.folder / "images" / self.filename(scene)
        if scene.id not in self.scenes:
            self.scenes[scene.id] = scene
            _save(draw(scene, self.config.size), path)
        return path

    def json(self, name: str, content: object) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def export_world(
    folder: str | os.PathLike[str], config: ExportConfig | None = None, *, force: bool = False
) -> Path:
    """Write pictures and annotations; the folder is there wholly or not at all.

    Args:
        folder: where to; must not exist yet, or be empty.
        config: what and how much.
        force: replace a world that is there.

    Returns:
        The folder.

    Raises:
        UserError: the folder has content, or the configuration makes no sense.
    """
    config = config or ExportConfig()
    target = Path(folder)
    _check(config)
    with atomic_folder(target, _KIND, force=force) as aside:
        (aside / "images").mkdir()
        writer = _Writer(aside, config)
        _write_captions(writer)
        _write_composition(writer)
        _write_zero_shot(writer)
        _write_abduction(writer)
        _write_referring(writer)
        write_few_shot(aside, config.few_shot, config.seed, config.size, config.format, _save)
        lines = (json.dumps(scene.to_dict()) + "\n" for scene in writer.scenes.values())
        (aside / "scenes.jsonl").write_text("".join(lines), encoding="utf-8")
    return target


def _check(config: ExportConfig) -> None:
    if config.format not in _SAVE:
        raise UserError(f"Pictures are written as png or jpg, not as {config.format!r}.")
    counts = (
        *("train", "val", "test", "captions"),
        *("composition", "zero_shot", "abduction", "referring", "few_shot"),
    )
    for name in counts:
        if getattr(config, name) < (1 if name == "captions" else 0):
            raise UserError(f"{name} is a number of things to write, not {getattr(config, name)}.")


def _save(image: Image.Image, path: Path) -> None:
    image.save(path, **_SAVE[path.suffix[1:]])


def _write_captions(writer: _Writer) -> None:
    """Write `dataset_world.json` as Karpathy's files are: tokens lower-case, without marks."""
    config = writer.config
    images: list[dict] = []
    sentence_count = 0
    for split in ("train", "val", "test"):
        for index in range(getattr(config, split)):
            scene = make_scene(config.seed, index, split)
            writer.picture(scene)
            rng = generator(config.seed, split, index, _WORDING)
            sentences = [
                {
                    "tokens": re.findall(r"\w+", raw.lower()),
                    "raw": raw,
                    "imgid": len(images),
                    "sentid": sentence_count + k,
                }
                for k, raw in enumerate(captions(scene, rng, config.captions))
            ]
            images.append(
                {
                    "filepath": "images",
                    "filename": writer.filename(scene),
                    "imgid": len(images),
                    "cocoid": len(images),
                    "split": split,
                    "sentids": [sentence["sentid"] for sentence in sentences],
                    "sentences": sentences,
                }
            )
            sentence_count += len(sentences)
    writer.json("dataset_world.json", {"dataset": "world", "images": images})


def _write_composition(writer: _Writer) -> None:
    config = writer.config
    for task in TASKS:
        rows: dict[str, dict[str, str]] = {}
        for number, item in enumerate(composition_items(task, config.composition, config.seed)):
            scene = make_scene(config.seed, item.scene, "test")
            writer.picture(scene)
            rows[str(number)] = {
                "filename": writer.filename(scene),
                "caption": item.caption,
                "negative_caption": item.negative_caption,
            }
        writer.json(f"sugarcrepe/{task}.json", rows)


def _write_zero_shot(writer: _Writer) -> None:
    """Write class folders; `classnames.txt` is in the order of the folders' names."""
    config = writer.config
    for name in ZERO_SHOT:
        task = zero_shot_task(name, config.zero_shot, config.seed)
        root = writer.folder / "zero_shot" / name
        for classname in task.classnames:
            (root / "test" / _folder_name(classname)).mkdir(parents=True)
        for position, item in enumerate(task.items):
            picture = writer.picture(task.scene(position))
            folder = root / "test" / _folder_name(task.classnames[item.label])
            shutil.copyfile(picture, folder / picture.name)
        _write_lines(root / "classnames.txt", sorted(task.classnames, key=_folder_name))
        _write_lines(root / "zeroshot_classification_templates.txt", task.templates)


def _write_abduction(writer: _Writer) -> None:
    config, folder = writer.config, writer.folder / "sherlock"
    for split in ("train", "val"):
        items = abduction_items(config.abduction, config.seed, split)
        for item in items:
            writer.picture(item.scene.scene)
        found = sherlock_instances(items, config.size, config.format, folds=split == "val")
        folder.mkdir(exist_ok=True)
        write_instances(folder / f"sherlock_{split}.json", found)


def _write_referring(writer: _Writer) -> None:
    config = writer.config
    items = {
        split: referring_items(config.referring, config.seed, split)
        for split in ("train", "val", "test")
    }
    for item in chain.from_iterable(items.values()):
        writer.picture(item.scene.scene)
    for name, content in refcoco_files(items, config.size, config.format).items():
        writer.json(f"refcoco/{name}", content)


def _folder_name(classname: str) -> str:
    return classname.replace(" ", "_")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
