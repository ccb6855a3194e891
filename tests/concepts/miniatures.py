"""The data sets of the field in their true layouts, with a few tiny pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from scipy.io import savemat

COLORS = ((200, 40, 40), (40, 160, 60), (50, 70, 200), (210, 190, 40), (150, 60, 170))
PARTS = ("train", "val", "test")

# Folder, image folder, split file, and (folder or stem of the pictures, class name) of classes.
COOP: dict[str, tuple[str, str, str, tuple[tuple[str, str], ...]]] = {
    "caltech101": (
        "caltech-101",
        "101_ObjectCategories",
        "Caltech101",
        (("Faces", "face"), ("Leopards", "leopard"), ("car_side", "car_side"), ("emu", "emu")),
    ),
    "oxford_pets": (
        "oxford_pets",
        "images",
        "OxfordPets",
        (
            ("Abyssinian", "abyssinian"),
            ("american_bulldog", "american_bulldog"),
            ("Sphynx", "sphynx"),
            ("pug", "pug"),
        ),
    ),
    "stanford_cars": (
        "stanford_cars",
        "",
        "StanfordCars",
        (
            ("AM General Hummer SUV 2000", "2000 AM General Hummer SUV"),
            ("Acura RL Sedan 2012", "2012 Acura RL Sedan"),
            ("Audi TTS Coupe 2012", "2012 Audi TTS Coupe"),
            ("BMW M3 Coupe 2012", "2012 BMW M3 Coupe"),
        ),
    ),
    "oxford_flowers": (
        "oxford_flowers",
        "jpg",
        "OxfordFlowers",
        (
            ("1", "pink primrose"),
            ("2", "hard-leaved pocket orchid"),
            ("3", "canterbury bells"),
            ("4", "sweet pea"),
        ),
    ),
    "food101": (
        "food-101",
        "images",
        "Food101",
        tuple((x, x) for x in ("apple_pie", "baby_back_ribs", "baklava", "waffles")),
    ),
    "sun397": (
        "sun397",
        "SUN397",
        "SUN397",
        (
            ("a/abbey", "abbey"),
            ("b/bakery/shop", "shop bakery"),
            ("w/wheat_field", "wheat_field"),
            ("y/youth_hostel", "youth_hostel"),
        ),
    ),
    "dtd": (
        "dtd",
        "images",
        "DescribableTextures",
        tuple((x, x) for x in ("banded", "blotchy", "polka-dotted", "zigzagged")),
    ),
    "eurosat": (
        "eurosat",
        "2750",
        "EuroSAT",
        (
            ("AnnualCrop", "Annual Crop Land"),
            ("Forest", "Forest"),
            ("Highway", "Highway or Road"),
            ("SeaLake", "Sea or Lake"),
        ),
    ),
    "ucf101": (
        "ucf101",
        "UCF-101-midframes",
        "UCF101",
        (
            ("Apply_Eye_Makeup", "Apply_Eye_Makeup"),
            ("Handstand_Pushups", "Handstand_Pushups"),
            ("Yo_Yo", "Yo_Yo"),
            ("Archery", "Archery"),
        ),
    ),
}
VARIANTS = ("707-320", "727-200", "Boeing 747-100", "A300B4")
WNIDS = ("n01440764", "n01443537", "n01608432", "n02007558")
WNID_NAMES = ("tench", "goldfish", "kite (bird of prey)", "flamingo")

NAMES = (*COOP, "fgvc_aircraft", "imagenet")


def make_dataset(
    root: Path, name: str, per_class: int = 6, classes: int = 3, *, split: bool = True
) -> Path:
    """Write one of the eleven data sets of CoOp as it is published; return its folder.

    Args:
        root: The folder for data sets; the set goes into a folder of its own there.
        name: One of `NAMES`.
        per_class: Pictures of a class: half of them for training, a sixth for validation.
        classes: 2 to 4.
        split: With CoOp's split file; otherwise with the data set's own annotations.
    """
    if name == "imagenet":
        return _imagenet(root, per_class, classes)
    if name == "fgvc_aircraft":
        return _aircraft(root, per_class, classes)
    folder_name, image_folder, file, kinds = COOP[name]
    folder = root / folder_name
    entries: list[tuple[str, str, int, str]] = []  # part, path, label, class name
    for label, (stem, classname) in enumerate(kinds[:classes]):
        for number in range(per_class):
            part = part_of(number, per_class)
            path = _path(name, stem, label, number, per_class, part)
            entries.append((part, path, label, classname))
            picture(folder / image_folder / path, label, number)
    if split:
        parts = {part: [list(e[1:]) for e in entries if e[0] == part] for part in PARTS}
        text = json.dumps(parts, indent=4, separators=(",", ": "))
        (folder / f"split_zhou_{file}.json").write_text(text)
    else:
        _annotations(name, folder, entries, [kind[0] for kind in kinds[:classes]])
    return folder


def picture(path: Path, label: int, number: int = 0) -> Path:
    """Write a picture of 16 x 16 pixels: the class's color, with noise that differs by number.

    Files of the same pixels differ in a comment: they are no copies of each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(100 * label + number).integers(-30, 30, (16, 16, 3))
    pixels = (np.array(COLORS[label % len(COLORS)]) + noise).clip(0, 255).astype(np.uint8)
    where = "/".join(path.parts[-3:])
    comment = PngImagePlugin.PngInfo()
    comment.add_text("place", where)
    Image.fromarray(pixels).save(path, pnginfo=comment, comment=where)
    return path


def make_folder(root: Path, names: Iterable[str], per_class: int = 6) -> Path:
    """Write class folders with pictures; return the folder that they are in."""
    for label, name in enumerate(names):
        for number in range(per_class):
            picture(root / name / f"{number}.png", label, number)
    return root


def part_of(number: int, per_class: int) -> str:
    """Return the part of a class's picture of this number."""
    train, val = (per_class + 1) // 2, max(per_class // 6, 1)
    return PARTS[0] if number < train else PARTS[1] if number < train + val else PARTS[2]


def _path(name: str, stem: str, label: int, number: int, per_class: int, part: str) -> str:
    """Return a picture's path from the image folder, as the data set has it."""
    serial = label * per_class + number + 1
    match name:
        case "oxford_pets":
            return f"{stem}_{number + 1}.jpg"
        case "stanford_cars":
            return f"cars_{'test' if part == 'test' else 'train'}/{serial:05d}.jpg"
        case "oxford_flowers":
            return f"image_{serial:05d}.jpg"
        case "sun397":
            return f"{stem}/sun_{serial:04d}.jpg"
        case "ucf101":
            return f"{stem}/v_{stem.replace('_', '')}_g{number + 1:02d}_c01.jpg"
        case "caltech101":
            return f"{stem}/image_{number + 1:04d}.jpg"
        case _:
            return f"{stem}/{stem}_{number + 1}.jpg"


def _annotations(
    name: str, folder: Path, entries: list[tuple[str, str, int, str]], stems: list[str]
) -> None:
    """Write the data set's own annotation files."""
    own = {"train": entries, "test": [e for e in entries if e[0] == "test"]}
    own["train"] = [e for e in entries if e[0] != "test"]

    def lines(path: str, texts: Iterable[str]) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("".join(f"{text}\n" for text in texts))

    match name:
        case "oxford_pets":
            for part, file in (("train", "trainval"), ("test", "test")):
                lines(
                    f"annotations/{file}.txt",
                    (f"{path[:-4]} {label + 1} 1 1" for _, path, label, _ in own[part]),
                )
        case "oxford_flowers":
            savemat(folder / "imagelabels.mat", {"labels": np.array([[e[2] + 1 for e in entries]])})
            names = {str(e[2] + 1): e[3] for e in entries}
            (folder / "cat_to_name.json").write_text(json.dumps(names))
        case "stanford_cars":
            (folder / "devkit").mkdir()
            savemat(
                folder / "devkit" / "cars_meta.mat",
                {"class_names": np.array([stems], dtype=object)},
            )
            for part, file in (
                ("train", "devkit/cars_train_annos.mat"),
                ("test", "cars_test_annos_withlabels.mat"),
            ):
                rows = [(float(e[2] + 1), Path(e[1]).name) for e in own[part]]
                notes = np.array([rows], dtype=[("class", object), ("fname", object)])
                savemat(folder / file, {"annotations": notes})
        case "sun397":
            lines("ClassName.txt", (f"/{stem}" for stem in stems))
            lines("Training_01.txt", (f"/{e[1]}" for e in own["train"]))
            lines("Testing_01.txt", (f"/{e[1]}" for e in own["test"]))
        case "ucf101":
            actions = [stem.replace("_", "") for stem in stems]
            base = "ucfTrainTestlist"
            lines(f"{base}/classInd.txt", (f"{i} {x}" for i, x in enumerate(actions, start=1)))
            for part in ("train", "test"):
                lines(
                    f"{base}/{part}list01.txt",
                    (
                        f"{actions[label]}/{Path(path).stem}.avi"
                        + (f" {label + 1}" if part == "train" else "")
                        for _, path, label, _ in own[part]
                    ),
                )


def _aircraft(root: Path, per_class: int, classes: int) -> Path:
    folder = root / "fgvc_aircraft"
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for label, variant in enumerate(VARIANTS[:classes]):
        for number in range(per_class):
            serial = f"{label * per_class + number:07d}"
            picture(folder / "images" / f"{serial}.jpg", label, number)
            parts[part_of(number, per_class)].append(f"{serial} {variant}")
    (folder / "variants.txt").write_text("\n".join(VARIANTS[:classes]) + "\n")
    for part, rows in parts.items():
        (folder / f"images_variant_{part}.txt").write_text("\n".join(rows) + "\n")
    return folder


def _imagenet(root: Path, per_class: int, classes: int) -> Path:
    folder = root / "imagenet"
    for label, wnid in enumerate(WNIDS[:classes]):
        for number in range(per_class):
            part = "train" if part_of(number, per_class) == "train" else "val"
            stem = f"{wnid}_{number}" if part == "train" else f"ILSVRC2012_val_{label}{number:03d}"
            picture(folder / "images" / part / wnid / f"{stem}.JPEG", label, number)
    rows = [f"{w} {n}" for w, n in zip(WNIDS[:classes], WNID_NAMES[:classes], strict=True)]
    # As published, the names are not in the order of the wnids.
    (folder / "classnames.txt").write_text("\n".join(reversed(rows)) + "\n")
    return folder
