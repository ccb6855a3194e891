"""Requests answered: each function takes a form and returns plain data for JSON."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from trifocal.apps.classify.classifier import load_classifier
from trifocal.apps.classify.examples import read_examples
from trifocal.apps.classify.fit import fit_classifier
from trifocal.apps.explain.explanation import explain
from trifocal.apps.region_lists import GivenRegion
from trifocal.apps.serve.archives import File, unpack
from trifocal.apps.serve.forms import Form, boxes, number, picture, texts
from trifocal.apps.serve.limits import Limits, Refused
from trifocal.apps.serve.served import Served, bank_of
from trifocal.data.boxes import clip_box, edges
from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError
from trifocal.features.dense import patch_features
from trifocal.features.embed import encode_images, encode_texts
from trifocal.losses.alignment import local_alignment_scores
from trifocal.report.page import data_uri
from trifocal.report.word_maps import word_maps
from trifocal.search.query import Query, search

Answer = dict[str, Any]
Respond = Callable[[Served, Limits, Form], Answer]

_THUMBNAIL = 320  # pixels of a picture's longer side
_MOST_TOP = 50


def facts(served: Served, limits: Limits) -> Answer:
    """Return what a page must know before anything is asked."""
    return {
        "model": served.clip.name,
        "searched": len(served.index),
        "explanations": len(served.bank.texts),
        "examples": [
            {"name": example.name, "captions": list(example.captions)}
            for example in served.examples
        ],
        "limits": vars(limits),
    }


def explained(served: Served, limits: Limits, form: Form) -> Answer:
    """Rank explanations of a picture's boxes, and map where the best of them is seen."""
    image = picture(form, served.pictures, limits)
    marked = boxes(form, image.size, limits)
    own = texts(form, "texts", limits)
    top = number(form, "top", 1, _MOST_TOP, 5)
    bank = bank_of(own, served.regions) if own else served.bank
    found = explain(served.regions, [GivenRegion(image, marked)], bank, top)[0]
    answer: Answer = {
        "size": image.size,
        "boxes": marked,
        "explanations": [one.as_dict() for one in found],
    }
    grid = _seen(served, image, found[0].text)
    return answer if grid is None else {**answer, "map": grid}


def _seen(served: Served, image: Image.Image, text: str) -> list[list[float]] | None:
    """Return (rows, columns) of how much more each patch is like a text than like any other."""
    if not hasattr(served.clip, "patch_grid"):
        return None
    asked = encode_texts(served.clip, [text])[0]
    patches = patch_features(served.clip, [image])[0]
    return _shares(patches @ (asked - served.index.background.mean))


def composed(served: Served, limits: Limits, form: Form) -> Answer:
    """Score captions of a picture, and map each word of the one that is asked for."""
    image = picture(form, served.pictures, limits)
    said = texts(form, "captions", limits)
    if not said:
        raise Refused(422, "there is no caption; send some as `captions`, one a line.")
    shown = number(form, "shown", 0, len(said) - 1, 0)
    clip = served.clip
    seen = encode_images(clip, [image])[0]
    cosines = encode_texts(clip, said) @ seen
    chances = (cosines * clip.logit_scale.item()).softmax(dim=0)
    rows = [
        {"text": text, "score": round(float(cosine), 6), "probability": round(float(share), 6)}
        for text, cosine, share in zip(said, cosines, chances)
    ]
    if not hasattr(clip, "patch_grid"):
        return {"captions": rows}
    with torch.no_grad():
        patches = clip.encode_image(clip.preprocess(image)[None], patches=True).patches
        made = clip.encode_text(clip.tokenize(said), tokens=True)
        assert patches is not None
        assert made.tokens is not None
        assert made.mask is not None
        scale = clip.logit_scale.item()
        local = local_alignment_scores(
            patches.expand(len(said), -1, -1), made.tokens, made.mask, scale, length_normalized=True
        )
    for row, value in zip(rows, (local / scale).tolist()):
        row["local"] = round(value, 6)
    maps = [
        {"word": one.word, "map": _shares(torch.from_numpy(one.weights))}
        for one in word_maps(clip, image, said[shown])
    ]
    return {"captions": rows, "shown": shown, "words": maps}


def _shares(grid: torch.Tensor) -> list[list[float]]:
    """Return a grid from 0 (its lowest) to 1."""
    low, high = grid.aminmax()
    return [[round(float(cell), 3) for cell in row] for row in (grid - low) / (high - low + 1e-9)]


def fitted(served: Served, limits: Limits, files: list[File]) -> Answer:
    """Fit a classifier to class folders, or take one that is sent; return its name."""
    folder = Path(tempfile.mkdtemp(dir=served.folder))
    whole = unpack(files, folder, limits)
    if whole:
        classifier = load_classifier(folder, model=served.clip)
        return {
            "classifier": served.classifiers.keep(classifier, folder),
            "classes": list(classifier.saved.classes),
            "method": classifier.saved.method,
        }
    examples = read_examples(folder, most_left_out=1.0)
    cache = served.folder / "features"
    made = fit_classifier(examples, served.clip, views=0, most_left_out=1.0, cache=cache)
    target = folder / "classifier"
    made.save(target)
    classifier = load_classifier(target, model=served.clip)
    answer = {
        "classifier": served.classifiers.keep(classifier, folder),
        "classes": list(classifier.saved.classes),
        "method": classifier.saved.method,
        "pictures": len(examples),
    }
    measured = made.saved.metrics
    if measured:
        answer |= {"accuracy": measured["acc1"], "held_out": measured["n"]}
    return answer


def predicted(served: Served, limits: Limits, form: Form) -> Answer:
    """Name a picture's class, and why."""
    classifier = served.classifiers.get(form.get("classifier"))
    image = picture(form, served.pictures, limits)
    top = number(form, "top", 1, _MOST_TOP, 6)
    whole = (0.0, 0.0, float(image.width), float(image.height))  # without a box it must be a file
    return classifier.explain(GivenRegion(image, (whole,)), None, top).as_dict()


def searched(served: Served, limits: Limits, form: Form) -> Answer:
    """Rank the index's pictures for words, a picture, or both."""
    words = texts(form, "text", limits, most=1)
    unwanted = texts(form, "not", limits)
    top = number(form, "top", 1, _MOST_TOP, 12)
    image = None
    if form.get("image") or "example" in form:
        image = picture(form, served.pictures, limits)
        marked = boxes(form, image.size, limits)
        if marked:
            image = image.crop(edges(clip_box(marked[0], image.size)))
    query = Query(words[0] if words else "", image, tuple(unwanted))
    found = search(served.clip, served.index, query, top, cut=served.cut)
    answer = found.as_dict()
    for hit, row in zip(found.hits, answer["hits"]):
        row["image"] = Path(hit.name).name  # where it lies is nobody's business
        row["copies"] = len(hit.copies)
        try:
            shown = open_image(hit.picture.content(), name=hit.name)
            row["thumbnail"] = data_uri(shown, _THUMBNAIL)
        except (BadImage, OSError, UserError):
            row["thumbnail"] = ""
    return answer
