"""What RCA is compared with, on the same prompts, losses and engine.

Full fine-tuning is CPT-CLIP as RCA's authors rebuilt it (with prompt "cpt" and loss "inference"),
and, with RCA's own prompts, what separates the input from the adapters. Training the edges alone
shows what RCA's pretrained half does without adapters. LoRA (Hu et al., ICLR 2022) and deep visual
prompts (Jia et al., ECCV 2022) stand for the rest of the field. Adapters of the usual kind are RCA
itself with `adapters.modules` [attention] or [mlp]; a method that does not know the region is any
of these with prompt "ctx".

Reading order: `region_tuned.py` holds all that they share with RCA (prompts, batches, losses); the
classes below choose what is trained, in the words of `tuning/surgery.py`.

When to use: as contenders of RCA; `RegionFinetune` also where there are many regions to learn from
and the model will do nothing else, `RegionLora` where the result should be merged into the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trifocal.clip import Clip
from trifocal.regions.region_tuned import RegionConfig, RegionTuned, position_surgery
from trifocal.tuning import DeepPromptConfig, LoraConfig, Surgery

Pretrained = Literal["edges", "scale"]


@dataclass(frozen=True)
class RegionFinetuneConfig(RegionConfig):
    """Settings of full fine-tuning on regions."""


class RegionFinetune(RegionTuned):
    """All weights of both towers, trained on regional prompts."""

    def __init__(self, clip: Clip, config: RegionFinetuneConfig | None = None) -> None:
        config = config or RegionFinetuneConfig()
        positions = position_surgery(clip, config, trained=True)
        super().__init__(clip, config, Surgery("all", positions=positions))


@dataclass(frozen=True)
class RegionEdgesConfig(RegionConfig):
    """Settings of training the edges of the towers alone."""


class RegionEdges(RegionTuned):
    """The pretrained parameters that RCA trains beside its adapters, without any adapter."""

    def __init__(self, clip: Clip, config: RegionEdgesConfig | None = None) -> None:
        config = config or RegionEdgesConfig()
        positions = position_surgery(clip, config, trained=True)
        super().__init__(clip, config, Surgery("edges", positions=positions))


@dataclass(frozen=True)
class RegionLoraConfig(RegionConfig):
    """Settings of low-rank updates on regions.

    Attributes:
        pretrained: What is trained beside the updates: the "edges", as RCA does, or the "scale".
        lora: Shape and place of the updates.
    """

    pretrained: Pretrained = "edges"
    lora: LoraConfig = field(
        default_factory=lambda: LoraConfig(rank=8, targets=("q_proj", "k_proj", "v_proj"))
    )


class RegionLora(RegionTuned):
    """Low-rank updates in both towers, trained on regional prompts."""

    def __init__(self, clip: Clip, config: RegionLoraConfig | None = None) -> None:
        config = config or RegionLoraConfig()
        positions = position_surgery(clip, config, trained=config.pretrained == "edges")
        surgery = Surgery(config.pretrained, lora=config.lora, positions=positions)
        super().__init__(clip, config, surgery)


@dataclass(frozen=True)
class RegionPromptsConfig(RegionConfig):
    """Settings of deep visual prompts on regions.

    Attributes:
        pretrained: What is trained beside the prompts: the "edges", as RCA does, or the "scale".
        prompts: How many tokens, and where.
    """

    pretrained: Pretrained = "edges"
    prompts: DeepPromptConfig = field(default_factory=DeepPromptConfig)


class RegionPrompts(RegionTuned):
    """Learned tokens in front of every block, trained on regional prompts."""

    starts_as_base = False  # what stands among the tokens is seen at once

    def __init__(self, clip: Clip, config: RegionPromptsConfig | None = None) -> None:
        config = config or RegionPromptsConfig()
        positions = position_surgery(clip, config, trained=config.pretrained == "edges")
        surgery = Surgery(config.pretrained, prompts=config.prompts, positions=positions)
        super().__init__(clip, config, surgery)
