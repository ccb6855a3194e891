"""What is true of a scene, read from its graph."""

from __future__ import annotations

from trifocal.world import WORLD_CONCEPTS
from trifocal.world.scene import Scene, Thing
from trifocal.world.truth import concept_truth

SCENE = Scene(
    "drawn",
    (
        Thing("cup", "red", "small", "striped", (0.0, 0.4, 0.2, 0.6)),
        Thing("star", "blue", "medium", "plain", (0.4, 0.4, 0.6, 0.6)),
    ),
    "field",
    "snow",
)


def test_what_the_graph_says_is_true_and_nothing_else() -> None:
    true = {concept for concept, holds in zip(WORLD_CONCEPTS, concept_truth(SCENE)) if holds}
    assert true == {
        "a cup", "a red cup", "a striped cup", "a small cup", "a cup on the left",
        "a star", "a blue star",
        "in a field", "in a snowy field", "in a field in the snow",
    }  # fmt: skip


def test_every_concept_is_decided() -> None:
    assert len(concept_truth(SCENE)) == len(WORLD_CONCEPTS)
