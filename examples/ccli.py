"""CCLI by hand: classes learned from four pictures of each, and the concepts they are told by.

After the abstract of Zhang et al., 2023 (arXiv 2307.15460). Run it without arguments: the model and
the drawn pictures come with the package, and half a minute is enough. The network is in
`trifocal/concepts/ccli.py`, our convex inference on the same visual concepts in
`trifocal/concepts/concept_map.py`; for a folder of your photos, `trifocal classify fit` is the same
with files.
"""

from __future__ import annotations

import torch

from trifocal import CCLI, ConceptMap, load_clip
from trifocal.concepts import Head
from trifocal.concepts.baselines import TipAdapter, ZeroShot
from trifocal.features.embed import encode_images, encode_texts
from trifocal.metrics.accuracy import accuracy
from trifocal.world import FEW_SHOT_CLASSES, WORLD_CONCEPTS, few_shot_dataset

SHOTS, TESTED, SIDE = 4, 10, 96  # pictures of a class to learn from and to test on; pixels


def main() -> None:
    """Embed once, fit four heads, compare them, and ask one for its reasons."""
    torch.set_num_threads(1)  # matrices are small
    clip = load_clip("builtin").eval()

    def pictures(count: int, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        items = few_shot_dataset(count, split=split)
        features = encode_images(clip, [item.picture(SIDE) for item in items])
        return features, torch.tensor([item.label for item in items])

    support, labels = pictures(SHOTS, "train")
    asked, answers = pictures(TESTED, "test")
    class_text = encode_texts(clip, [one.descriptions[0] for one in FEW_SHOT_CLASSES])
    concept_text = encode_texts(clip, WORLD_CONCEPTS)

    scale = float(clip.logit_scale.detach())
    heads: dict[str, Head] = {
        "zero-shot": ZeroShot(scale),
        "Tip-Adapter": TipAdapter(scale),
        "CCLI": CCLI(scale),
        "concept map": ConceptMap(scale),
    }
    print(f"{len(FEW_SHOT_CLASSES)} classes, {SHOTS} pictures of each, {len(answers)} to test on")
    for name, head in heads.items():
        head.fit(support, labels, class_text, concept_text)
        learned = f"{head.trainable_parameters:,} numbers learned"
        print(f"{name:12}{100 * accuracy(head.logits(asked), answers):6.1f} %   {learned}")

    # What is the first test picture, and why? The terms add up to the logit of the class.
    print(f"\na test picture of {FEW_SHOT_CLASSES[answers[0]].descriptions[0]}")
    for name in ("CCLI", "concept map"):
        (why,) = heads[name].explain(asked[:1], top=4)
        print(f"{name}: {FEW_SHOT_CLASSES[why.label].descriptions[0]}, logit {why.logit:.2f}")
        for term in why.terms:
            concept = "" if term.index is None else f" “{WORLD_CONCEPTS[term.index]}”"
            print(f"  {term.value:+7.2f}  {term.kind}{concept}")


if __name__ == "__main__":
    main()
