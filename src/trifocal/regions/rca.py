"""RCA: region conditioned adaptation of CLIP.

Zhang, Ee and Fernando, "Region Conditioned Adaptation for Visual Abductive Reasoning", ACM
Multimedia 2024 (arXiv 2303.10428). Three parts: a regional prompt shows the magnified region and
the marked whole picture in one input; adapters in every block of both towers, one of them inside
the attention, learn while the blocks stay frozen; a dual contrastive loss ties the picture to what
is literally in the region and to what follows from it.

Reading order: `prompts.py` (how a region becomes an input), `batching.py`, `region_tuned.py`
(`objective` is the dual loss, over `losses/dual.py`), this file (what is trained, at which rate),
then `tuning/adapters.py` for the adapters themselves. `examples/rca.py` trains it by hand.

When to use: a question is about a place in the picture, and what follows from it stands in no
caption. It learns from regions with texts, and keeps the backbone's blocks as they are, so that one
base serves many tasks.

Relations: without adapters it is `RegionEdges`, with all weights instead `RegionFinetune`, with
other small updates `RegionLora` and `RegionPrompts`; `adapters.modules` [attention] or [mlp] are
adapters of the usual kind. `cls_attention` shows where a trained model looks.

Example:
    >>> from trifocal import load_clip
    >>> method = Rca(load_clip("builtin"), RcaConfig(trains="strict_frozen"))
    >>> sum(p.numel() for p in method.parameters() if p.requires_grad)  # adapters and the scale
    174721

"Frozen" is not the whole story in the published code: it also trains the embeddings, the last
norms and the projections, at a learning rate of their own (64 % of what RCA trains on ViT-B/16).
`trains` says which of the two is meant.

Differs from the authors' code: the map adapter starts at exactly zero and goes through fused
attention, DropPath drops samples instead of positions, tuned tensors are chosen by module instead
of by name, several boxes of a region are averaged at test instead of drawn, averaged embeddings
are unit vectors in all benchmarks. Switches restore each of these (`adapters.map_start`,
`adapters.drop_path_axis`, `prompt.boxes`, `prompt.renormalize`, `prompt.period`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from trifocal.clip import Clip
from trifocal.regions.region_tuned import RegionConfig, RegionTuned, position_surgery
from trifocal.tuning import AdapterConfig, Surgery, decay_groups


@dataclass(frozen=True)
class RcaConfig(RegionConfig):
    """Settings of RCA; the defaults are the paper's.

    Attributes:
        trains: "published": the adapters, and at `edge_lr` the embeddings, last norms and
            projections; "strict_frozen": the adapters and the logit scale alone.
        edge_lr: Learning rate of these pretrained parameters.
        adapters: Which adapters, where, how large.

    Example:
        >>> import trifocal
        >>> trifocal.RcaConfig(trains="strict_frozen").edge_lr
        1e-05
    """

    trains: Literal["published", "strict_frozen"] = "published"
    edge_lr: float = 1e-5
    adapters: AdapterConfig = field(default_factory=AdapterConfig)


class Rca(RegionTuned):
    """A CLIP with RCA's adapters, trained on regions.

    Example:
        >>> import trifocal
        >>> method = trifocal.Rca(trifocal.load_clip("builtin"))
        >>> any(parameter.requires_grad for parameter in method.parameters())
        True
    """

    def __init__(self, clip: Clip, config: RcaConfig | None = None) -> None:
        config = config or RcaConfig()
        published = config.trains == "published"
        surgery = Surgery(
            "edges" if published else "scale",
            adapters=config.adapters,
            positions=position_surgery(clip, config, trained=published),
        )
        super().__init__(clip, config, surgery)
        self.edge_lr = config.edge_lr if published else None

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the adapters' groups, then those of the pretrained parameters."""
        groups = decay_groups(self._named(added=True), weight_decay)
        rate = {} if self.edge_lr is None else {"base_lr": self.edge_lr}
        edges = decay_groups(self._named(added=False), weight_decay)
        return [*groups, *({**group, **rate} for group in edges)]

    def _named(self, *, added: bool) -> list[tuple[str, Any]]:
        new = set(self.added)
        return [(n, p) for n, p in self.named_parameters() if (p in new) == added]
