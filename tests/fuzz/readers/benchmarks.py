"""Benchmarks of composition: for each, the smallest files that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.fuzz.reader import Reader, Seed, lines
from trifocal.composition.benchmarks.crepe import KINDS
from trifocal.composition.benchmarks.sugarcrepe_pp import PARTS as PAIRS
from trifocal.composition.benchmarks.suite import Suite
from trifocal.composition.benchmarks.valse import PARTS as PHENOMENA
from trifocal.composition.benchmarks.vl_checklist import CORPORA
from trifocal.composition.benchmarks.whatsup import LISTS
from trifocal.composition.registry import BENCHMARKS
from trifocal.features.questions import Question


def _sugarcrepe_pp() -> dict[str, Any]:
    entry = {"filename": "a.jpg", "caption": "a", "caption2": "b", "negative_caption": "c"}
    return {f"{part}.json": [entry] for part in PAIRS}


def _valse() -> dict[str, Any]:
    entry = {
        "dataset": "FOIL dataset",
        "image_file": "COCO_val2014_1.jpg",
        "caption": "a dog",
        "foil": "a cat",
        "mturk": {"caption": 3, "foil": 0, "other": 0},
    }
    return {f"{part}.json": {"a": entry} for part in PHENOMENA}


def _whatsup() -> dict[str, Any]:
    controlled = {"image_path": "data/a_left_of_b.jpeg", "caption_options": ["a", "b", "c", "d"]}
    both = {f"controlled_{name}_dataset.json": [controlled] for name in ("images", "clevr")}
    return {**both, **{f"{name}.json": [[1, "a dog", "a cat"]] for name in LISTS}}


def _crepe() -> dict[str, Any]:
    header = "image_id,caption,hard_negs,x,y,width,height\n"
    row = "1,a dog,\"['a cat', 'a fox']\",1.0,2.0,30.0,40.0\n"
    name = "prod_hard_negatives/{0}/prod_vg_hard_negs_{0}_complexity_4.csv"
    return {name.format(kind): header + row for kind in KINDS}


def _vsr() -> dict[str, Any]:
    entry = {"image": "1.jpg", "caption": "The dog is left of the cat.", "label": 1}
    content = lines(entry, {**entry, "label": 0}).decode()
    return {"zeroshot_test.jsonl": content, "zeroshot_dev.jsonl": content}


def _svo_probes() -> dict[str, Any]:
    header = "sentence,pos_image_id,neg_image_id,subj_neg,verb_neg,obj_neg\n"
    return {"svo_probes.csv": header + "A dog sits.,1,2,True,False,False\n"}


def _cola() -> dict[str, Any]:
    return {
        "COLA_multiobjects_matching_benchmark.json": [["h/1.jpg", "a dog", "h/2.jpg", "a cat"]],
        "COLA_singleobjects_benchmark_GQA.json": [["red dog"], [["a/1.jpg", {}, [1], [1]]]],
        "COLA_singleobjects_benchmark_PACO.json": {"labels": ["a"], "data": [["1.jpg", [0], [1]]]},
    }


def _vl_checklist() -> dict[str, Any]:
    entry = ["VG_100K/1.jpg", {"POS": ["a red dog"], "NEG": ["a blue dog"]}]
    return {f"data/{corpus.path}": [entry] for corpus in CORPORA}


def _negbench() -> dict[str, Any]:
    captions = ",".join(f"caption_{number}" for number in range(4))
    header = f"image_path,{captions},correct_answer,correct_answer_template\n"
    content = header + "val2017/1.jpg,a dog,no dog,a cat,no cat,0,positive\n"
    names = ("COCO_val_mcq_llama3.1_rephrased.csv", "VOC2007_mcq_llama3.1_rephrased.csv")
    return dict.fromkeys(names, content)


_FILES: Mapping[str, Any] = {
    "sugarcrepe_pp": _sugarcrepe_pp,
    "vl_checklist": _vl_checklist,
    "negbench": _negbench,
    "valse": _valse,
    "whatsup": _whatsup,
    "crepe": _crepe,
    "vsr": _vsr,
    "imagecode": lambda: {"valid_data.json": {"open-images-1_a": {"0": "a dog", "9": "a cat"}}},
    "svo_probes": _svo_probes,
    "cola": _cola,
}


def _seeds(name: str) -> list[Seed]:
    files = _FILES[name]()
    return [
        Seed(
            {
                file: (content if isinstance(content, str) else json.dumps(content)).encode()
                for file, content in files.items()
            }
        )
    ]


def _read(name: str, file: Path) -> list[Question]:
    """Read what is around a file, and ask which pictures are missing."""
    depth = next(iter(_FILES[name]())).count("/")
    benchmark: Suite = BENCHMARKS[name](available_only=True)
    root = file.parents[depth]
    benchmark.check(root)
    return benchmark.read(root)


def _check(found: list[Question]) -> None:
    assert all(isinstance(text, str) for question in found for text in question.texts)
    assert all(question.part and question.images and question.texts for question in found)


READERS = {name: Reader(partial(_seeds, name), partial(_read, name), _check) for name in _FILES}
