"""WiSE-FT: a straight line in weight space from the base to the tuned model.

Wortsman et al., CVPR 2022 (arXiv 2109.01903): theta(a) = (1 - a) theta_base + a theta_tuned, for
every weight. For LoRA the tuned weights are those with the update merged, so the update is scaled
by a; scaling both factors by a would scale it by a squared.
"""

from __future__ import annotations

import copy

import torch

from trifocal.clip import Clip
from trifocal.errors import UserError


@torch.no_grad()
def interpolate(base: Clip, tuned: Clip, alpha: float) -> Clip:
    """Return a new model at `alpha` between `base` (0) and `tuned` (1).

    A shorter text context in `tuned` is respected: the base's position table is cut to it.

    Raises:
        UserError: The two differ in shape or in activation, so no line joins them.

    Example:
        >>> import trifocal
        >>> base = trifocal.load_clip("builtin")
        >>> trifocal.interpolate(base, base, 0.5).embed_dim
        128
    """
    target = copy.deepcopy(tuned)
    theirs = base.network.state_dict()
    if base.activation != tuned.activation:
        raise UserError(
            f"{base.name!r} uses {base.activation} and {tuned.name!r} {tuned.activation}; "
            "models with different activations cannot be interpolated."
        )
    for name, value in target.network.state_dict().items():
        start = theirs.get(name)
        if start is not None and name.endswith("text_model.embeddings.position_embedding.weight"):
            start = start[: value.shape[0]]
        if start is None or start.shape != value.shape:
            raise UserError(
                f"{base.name!r} and {tuned.name!r} differ in {name!r}, so they cannot be "
                "interpolated; give the base that the model was tuned from."
            )
        if value.is_floating_point():
            # The ends are exact: lerp at 0 and 1 may round, so they are copied.
            exact = {0.0: start, 1.0: value}.get(float(alpha))
            value.copy_(torch.lerp(start.to(value), value, alpha) if exact is None else exact)
    target.name = f"{tuned.name}@{alpha:g}"
    target.trained_on = base.trained_on | tuned.trained_on
    return target
