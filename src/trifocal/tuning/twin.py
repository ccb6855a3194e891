"""Copies of a Clip that share the memory of most of it."""

from __future__ import annotations

import copy

from torch import nn

from trifocal.clip import Clip


def frozen_twin(clip: Clip) -> Clip:
    """Return a frozen copy of a Clip that shares the parameters which are not trained."""
    fixed = [p for p in clip.network.parameters() if not p.requires_grad]
    shared: list[object] = [*fixed, clip.tokenizer, clip.preprocess]
    twin = copy.deepcopy(clip, {id(each): each for each in shared})
    twin.requires_grad_(False)
    return twin.eval()


def replaced(clip: Clip, name: str, module: nn.Module) -> Clip:
    """Return a Clip that shares all of `clip` but the part `name` of its network."""
    shared: list[object] = [*clip.network.parameters(), clip.tokenizer, clip.preprocess]
    twin = copy.deepcopy(clip, {id(each): each for each in shared})
    setattr(twin.network, name, module)
    return twin
