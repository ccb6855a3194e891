"""The built-in world: drawn scenes with captions, boxes, relations and tests, all from a seed.

It is for learning, testing and demonstrating; a number measured on it says nothing about photos.
"""

from __future__ import annotations

from trifocal.world.abduction import (
    AbductionItem,
    AbductionScene,
    WorldAbduction,
    abduction_items,
    abduction_scene,
)
from trifocal.world.captions import Mention, Statement, Style, caption, captions, holds, render
from trifocal.world.composition import TASKS as COMPOSITION_TASKS
from trifocal.world.composition import CompositionItem, composition_items
from trifocal.world.concepts import WORLD_CONCEPT_FAMILIES, WORLD_CONCEPTS
from trifocal.world.domains import DOMAINS, shift
from trifocal.world.draw import draw
from trifocal.world.export import ExportConfig, export_world
from trifocal.world.few_shot import (
    FEW_SHOT_CLASSES,
    FEW_SHOT_TEMPLATES,
    FewShotClass,
    FewShotItem,
    few_shot_dataset,
    few_shot_item,
)
from trifocal.world.occasions import MEANINGS, inference_wordings
from trifocal.world.referring import (
    Expression,
    ReferringItem,
    ReferringScene,
    WorldReferring,
    referring_items,
    referring_scene,
    refers,
)
from trifocal.world.scene import SPLITS, Scene, Thing, make_scene
from trifocal.world.source import WorldCaptions, to_tensor
from trifocal.world.zero_shot import ZERO_SHOT, ZeroShotItem, ZeroShotTask, zero_shot_task

__all__ = [
    "COMPOSITION_TASKS", "DOMAINS", "FEW_SHOT_CLASSES", "FEW_SHOT_TEMPLATES", "MEANINGS", "SPLITS",
    "WORLD_CONCEPTS", "WORLD_CONCEPT_FAMILIES", "ZERO_SHOT", "AbductionItem", "AbductionScene",
    "CompositionItem", "ExportConfig", "Expression", "FewShotClass", "FewShotItem", "Mention",
    "ReferringItem", "ReferringScene", "Scene", "Statement", "Style", "Thing", "WorldAbduction",
    "WorldCaptions", "WorldReferring", "ZeroShotItem", "ZeroShotTask", "abduction_items",
    "abduction_scene", "caption", "captions", "composition_items", "draw", "export_world",
    "few_shot_dataset", "few_shot_item", "holds", "inference_wordings", "make_scene",
    "referring_items", "referring_scene", "refers", "render", "shift", "to_tensor",
    "zero_shot_task",
]  # fmt: skip
