"""When is nothing found? The cut of `trifocal search`, chosen on Flickr8k's dev photos, tried on its test photos.

    python benchmarks/search_cut.py --photos FLICKR8K --model MODEL --names lvis_names.json

FLICKR8K has `images/`, `captions.txt`, `devImages.txt` and `testImages.txt`. Three kinds of questions are
asked of the 1,000 photos of a part: names that five captions or more have (present), names of which no
caption has a word (absent), and the photos' own captions. A name or caption is found if the best
photo stands out by more than the cut, which lets a share of the absent names of the dev photos pass; the
same is done with a flat cut of the cosine.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import torch
from torch import Tensor

from trifocal.features.embed import encode_images, encode_texts
from trifocal.features.sharing import sharing
from trifocal.features.store import default_cache
from trifocal.search.background import Background, embed_background
from trifocal.tuning import load_model

_TOP = 50  # photos looked at, as in a search
_SHARES = (0.05, 0.1, 0.2)


def captions_of(folder: Path, part: str) -> tuple[list[Path], list[str]]:
    """Return the photos of a part, and their captions."""
    names = (folder / f"{part}Images.txt").read_text().split()
    wanted, said = set(names), []
    for line in (folder / "captions.txt").read_text().splitlines()[1:]:
        name, _, caption = line.partition(",")
        if name in wanted:
            said.append(caption.strip(' "'))
    return [folder / "images" / name for name in names], said


def asked(names: list[str], captions: list[str]) -> tuple[list[str], list[str]]:
    """Return the names that are present, and those that are absent."""
    whole = " ".join(captions).lower()
    words = {*re.findall("[a-z]+", whole)}
    present, absent = [], []
    for name in names:
        if len(re.findall(rf"\b{re.escape(name)}s?\b", whole)) >= 5:
            present.append(name)
        elif not any(word in words or f"{word}s" in words for word in name.split()):
            absent.append(name)
    return present, absent


def stands_out(ground: Background, photos: Tensor, questions: Tensor) -> dict[str, Tensor]:
    """Return the best deviation, and the best cosine, of each question."""
    found = []
    for question in questions:
        near = photos[(photos @ question).topk(_TOP).indices]
        found.append(ground.deviations(question, near).max())
    return {
        "deviation": torch.stack(found),
        "cosine": (questions @ photos.T).max(dim=1).values,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The cut of a search, chosen on dev photos.")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--names", type=Path, help="a JSON list of names of things")
    options = parser.parse_args()
    if not options.photos:
        print("give --photos, --model and --names; see the top of this file")
        return
    model = load_model(options.model)
    names = [name.replace("_", " ").split("(")[0] for name in json.loads(options.names.read_text())]
    names = list(dict.fromkeys(name.strip().lower() for name in names))
    told: dict[str, list[dict[str, Tensor]]] = {}
    with sharing(model, cache=default_cache()):
        ground = embed_background(model)
        for part in ("dev", "test"):
            files, captions = captions_of(options.photos, part)
            photos = encode_images(model, files)
            kinds = [*asked(names, captions), captions]
            print(f"{part}: {len(kinds[0])} names present, {len(kinds[1])} absent")
            told[part] = [stands_out(ground, photos, encode_texts(model, texts)) for texts in kinds]
    print("cut by      at    | test: false alarms  names found  captions found")
    for way in ("deviation", "cosine"):
        for share in _SHARES:
            cut = float(told["dev"][1][way].quantile(1 - share))
            present, absent, own = (
                float((kind[way] > cut).float().mean()) for kind in told["test"]
            )
            print(f"{way:<10} {cut:>6.2f}  | {absent:>18.1%} {present:>12.1%} {own:>15.1%}")


if __name__ == "__main__":
    main()
