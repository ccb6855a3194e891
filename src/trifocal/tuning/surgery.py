"""What is changed inside a backbone for tuning, and which of its parameters are trained.

One description for every way to tune: whole towers, one tower, low-rank updates, adapters, prompt
tokens, a learned context of texts, or the edges of the towers alone. It is what an adaptation on disk keeps beside its tensors,
so that the same changes can be made to the same base again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn
from transformers import CLIPModel

from trifocal.clip.towers import stretch_positions
from trifocal.errors import UserError
from trifocal.tuning.adapters import AdapterConfig, attach_adapters
from trifocal.tuning.context import ContextConfig, attach_context
from trifocal.tuning.deep_prompts import DeepPromptConfig, attach_deep_prompts
from trifocal.tuning.groups import edge_parameters, text_tower
from trifocal.tuning.lora import LoraConfig, apply_lora, merge_lora

Trained = Literal["all", "text", "edges", "scale", "none"]


@dataclass(frozen=True)
class PositionConfig:
    """A position table of the image tower for pictures that are not square.

    Attributes:
        rows, columns: The grid of patches.
        mode: "interpolate" stretches the present table; "tile" gives each half of the grid the
            positions of a whole picture and a learned embedding of its own.
    """

    rows: int
    columns: int
    mode: Literal["interpolate", "tile"] = "interpolate"


@dataclass(frozen=True)
class Surgery:
    """Changes to a backbone. What is new (adapters, factors, vectors) is always trained.

    Attributes:
        trained: Which of the pretrained parameters are trained: "all"; the "text" tower and the
            logit scale; the "edges" (RCA's pass group: embeddings, last norms, projections, logit
            scale); the logit "scale" alone; "none".
        lora: Low-rank updates.
        adapters: RCA's adapters.
        prompts: Prompt tokens in front of every block.
        positions: Another position table.
        context: Vectors among the words of every text.
    """

    trained: Trained = "all"
    lora: LoraConfig | None = None
    adapters: AdapterConfig | None = None
    prompts: DeepPromptConfig | None = None
    positions: PositionConfig | None = None
    context: ContextConfig | None = None

    def __post_init__(self) -> None:
        if self.trained not in get_args(Trained):
            known = ", ".join(get_args(Trained))
            raise UserError(f"trained is {self.trained!r}; it must be one of {known}.")
        if self.adapters and self.prompts:
            raise UserError("adapters and prompt tokens cannot be in the same blocks; choose one.")

    @property
    def is_plain(self) -> bool:
        """Whether the towers stay those of a plain CLIP."""
        parts = (self.lora, self.adapters, self.prompts, self.positions, self.context)
        return not any(parts)


def operate(network: CLIPModel, surgery: Surgery) -> list[nn.Parameter]:
    """Make the changes in place; afterwards exactly the trained parameters require gradients.

    Returns:
        The parameters that are new (adapters, factors, vectors, an embedding of the halves), in
        the order of the network.
    """
    # The parameters themselves, not their ids: one that is replaced must not lend its id.
    known = set(network.parameters())
    if surgery.positions is not None:
        where = surgery.positions
        stretch_positions(network, where.rows, where.columns, tile=where.mode == "tile")
        embeddings: Any = network.vision_model.embeddings
        known.add(embeddings.position_embedding.weight)  # replaced, but not new
    if surgery.lora is not None:
        apply_lora(network, surgery.lora)
    if surgery.adapters is not None:
        attach_adapters(network, surgery.adapters)
    if surgery.prompts is not None:
        attach_deep_prompts(network, surgery.prompts)
    if surgery.context is not None:
        attach_context(network, surgery.context)
    added = [parameter for parameter in network.parameters() if parameter not in known]
    chosen = {*added, *_pretrained(network, surgery.trained)}
    for parameter in network.parameters():
        parameter.requires_grad_(parameter in chosen)
    return added


def _pretrained(network: CLIPModel, trained: Trained) -> list[nn.Parameter]:
    if trained == "all":
        return list(network.parameters())
    if trained == "edges":
        return edge_parameters(network)
    if trained == "text":
        return [*text_tower(network.named_parameters()), network.logit_scale]
    return [network.logit_scale] if trained == "scale" else []


def merge(network: CLIPModel, surgery: Surgery) -> None:
    """Fold into the weights what can be folded (low-rank updates), in place."""
    if surgery.lora is not None:
        merge_lora(network)
