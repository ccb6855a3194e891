"""Clip: pooled and token embeddings of both towers.

CLIP (Radford et al. 2021) as transformers builds it, with what the methods here need: patches and
tokens in the joint space, padding that costs nothing, inputs of any shape, and the tokenizer and
preprocessing that belong to the weights. Token embeddings follow FSC-CLIP (Oh et al., EMNLP 2024,
arXiv 2410.05210): the same final LayerNorm and projection as the pooled vector, not normalized.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from trifocal.clip import towers
from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding, length_groups
from trifocal.clip.half_precision import HalfPrecision
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.trained_on import TrainedOn
from trifocal.clip.weights import hash_weights
from trifocal.clip.writing import save_pretrained
from trifocal.errors import UserError


class Clip(nn.Module):
    """A CLIP with everything that belongs to it.

    Attributes:
        network: transformers' model; parameters keep its names.
        tokenizer: captions to ids.
        preprocess: photos to pixels.
        name: how the field calls it ("ViT-B-32:openai", a Hub id, a folder's name).
        conventions: how a focus makes this model's inputs beyond `preprocess`, where its training
            decided so ({"regions": {...}}); plain data, kept with the weights.
        trained_on: the pictures that it is known to have been trained on, kept with the weights.

    Example:
        >>> import torch, trifocal
        >>> clip = trifocal.load_clip("builtin")
        >>> clip.encode_image(torch.zeros(2, 3, *clip.image_size), patches=True).patches.shape
        torch.Size([2, 36, 128])
        >>> clip.encode_text(["a red ball"]).pooled.shape
        torch.Size([1, 128])
    """

    network: CLIPModel

    def __init__(
        self,
        network: CLIPModel,
        tokenizer: Tokenizer,
        preprocess: Preprocess | None = None,
        name: str = "unnamed",
    ) -> None:
        super().__init__()
        vision, text = towers.tower_configs(network.config)
        if tokenizer.vocab_size > text.vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} ids but the text tower only "
                f"{text.vocab_size}; give the tokenizer that belongs to these weights."
            )
        if tokenizer.context_length != text.max_position_embeddings:
            tokenizer = copy.copy(tokenizer)
            tokenizer.context_length = text.max_position_embeddings
        towers.make_lean(network)
        self.network = network
        self.tokenizer = tokenizer
        side = vision.image_size
        self.preprocess = preprocess or Preprocess((side, side), rules="transformers")
        self.name = name
        self.conventions: dict[str, Any] = {}
        self.trained_on = TrainedOn()
        # One pass of the tower for all texts of a batch, however much of it is padding. Processes
        # that share parameters must take the same number of passes.
        self.text_in_one_pass = False
        self._half = HalfPrecision()
        self.training = network.training
        self._check_size(*self.preprocess.size)

    @classmethod
    def from_config(
        cls,
        config: CLIPConfig,
        tokenizer: Tokenizer,
        preprocess: Preprocess | None = None,
        *,
        seed: int = 0,
        name: str = "random",
    ) -> Clip:
        """Build a Clip with random weights that depend on `seed` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = CLIPModel(config)
        return cls(network.eval(), tokenizer, preprocess, name)

    # --- what the weights are -------------------------------------------------------------

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of what `preprocess` makes."""
        return self.preprocess.size

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self._vision.patch_size

    @property
    def patch_grid(self) -> tuple[int, int]:
        """(rows, columns) of patches at the default size."""
        height, width = self.image_size
        return height // self.patch_size, width // self.patch_size

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return self.network.visual_projection.out_features

    @property
    def context_length(self) -> int:
        """Ids a text may have at most."""
        return self._text.max_position_embeddings

    @property
    def activation(self) -> str:
        """The towers' activation: "quick_gelu" or "gelu"."""
        return self._vision.hidden_act

    @property
    def text_is_causal(self) -> bool:
        """Whether padding may be cut off without changing an embedding."""
        return towers.TEXT_IS_CAUSAL

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.logit_scale.device

    @property
    def logit_scale(self) -> Tensor:
        """exp of the learned parameter: what cosines are multiplied by (0-dim)."""
        return self.network.logit_scale.exp()

    # --- the two towers -------------------------------------------------------------------

    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageEmbedding:
        """Embed images.

        Args:
            pixels: (B, 3, H, W), uint8 (normalized here, on the device) or floats already
                normalized. H and W are any multiples of the patch size.
            patches: also return the patches.

        Raises:
            ValueError: the shape does not fit.
        """
        states = self._image_states(pixels)
        if not patches:
            pooled = towers.project_image(self.network, states[:, 0])
            return ImageEmbedding(F.normalize(pooled, dim=-1))
        tokens = towers.project_image(self.network, states)
        return ImageEmbedding(F.normalize(tokens[:, 0], dim=-1), tokens[:, 1:])

    def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
        """Return image features (B, D) that are not normalized.

        Normalized, they are what `encode_image` returns. Few-shot heads average several views of a
        picture before they normalize.

        Args:
            pixels: As for `encode_image`.
            projected: False for features (B, W) from before the projection into the joint space;
                times `image_projection` they are the others.
        """
        states = self._image_states(pixels)[:, 0]
        if not projected:
            return towers.finish_image(self.network, states)
        return towers.project_image(self.network, states)

    @property
    def image_projection(self) -> Tensor:
        """(W, D), without gradient: what features from before the projection are multiplied by."""
        return self.network.visual_projection.weight.detach().T

    def _image_states(self, pixels: Tensor) -> Tensor:
        """Return the last layer's states (B, 1 + P, W) of pixels as `encode_image` takes them."""
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels must be (B, 3, H, W), not {tuple(pixels.shape)}")
        self._check_size(*pixels.shape[-2:])
        self._half.in_use(self)
        pixels = pixels.to(self.device)
        if pixels.dtype == torch.uint8:
            pixels = self.preprocess.normalize(pixels)
        return towers.image_states(self.network, pixels)

    def encode_text(
        self, texts: Sequence[str] | TextBatch, *, tokens: bool = False
    ) -> TextEmbedding:
        """Embed texts.

        Args:
            texts: captions, or captions already tokenized.
            tokens: also return every position and the mask, cut to the longest text; padding is
                zero or not, as it came.
        """
        raw = self._raw_text(texts, tokens)
        return replace(raw, pooled=F.normalize(raw.pooled, dim=-1))

    def text_features(self, texts: Sequence[str] | TextBatch) -> Tensor:
        """Return text features (T, D) that are not normalized; else as `encode_text`."""
        return self._raw_text(texts, tokens=False).pooled

    def _raw_text(self, texts: Sequence[str] | TextBatch, tokens: bool) -> TextEmbedding:
        """Encode texts; the pooled vectors are not normalized yet."""
        batch = texts if isinstance(texts, TextBatch) else self.tokenize(texts)
        batch = (batch.trimmed() if self.text_is_causal else batch).to(self.device)
        # A CPU is spared the padding; to a GPU, further passes would cost more.
        splits = self.text_is_causal and not self.text_in_one_pass and self.device.type == "cpu"
        groups = length_groups(batch.lengths) if splits else []
        if len(groups) < 2:
            return self._encode_text(batch, tokens)
        parts = [self._encode_text(batch.rows(group).trimmed(), tokens) for group in groups]
        return _joined(parts, torch.cat(groups).argsort())

    def _encode_text(self, batch: TextBatch, tokens: bool) -> TextEmbedding:
        """Encode a batch as it is padded; the pooled vectors are not normalized yet."""
        self._half.in_use(self)
        states = towers.text_states(self.network, batch.ids, batch.lengths)
        row = torch.arange(len(batch), device=states.device)
        end = batch.lengths - 1
        if not tokens:
            return TextEmbedding(towers.project_text(self.network, states[row, end]))
        projected = towers.project_text(self.network, states)
        return TextEmbedding(projected[row, end], projected, batch.mask)

    def tokenize(self, texts: str | Sequence[str]) -> TextBatch:
        """Return the captions' ids, padded to the longest."""
        return self.tokenizer(texts)

    def gradient_checkpointing(self, enabled: bool = True) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time."""
        if enabled:
            self.network.activation_checkpointing_enable()
        else:
            self.network.activation_checkpointing_disable()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Clip:
        """Cast or move all parameters; `half()`, `to()` and the like end here."""
        self._half.before_cast(self, fn)
        return super()._apply(fn, recurse)

    # --- identity and disk ----------------------------------------------------------------

    def fingerprint(self) -> str:
        """Return a SHA-256 over weights, activation and preprocessing."""
        digest = hashlib.sha256()
        activations = (self._vision.hidden_act, self._text.hidden_act)
        # A half pixel's rounding does not make another model.
        pictures = replace(self.preprocess, rules="open_clip")
        digest.update(repr((activations, pictures)).encode())
        hash_weights(digest, self.network.state_dict())
        return digest.hexdigest()

    def image_fingerprint(self) -> str:
        """Return a SHA-256 over all that decides an image's embedding: image tower, preprocessing.

        Models of which only the text tower was trained have the same one, and see pictures alike.
        """
        tower = self._vision
        shape = (tower.hidden_act, tower.num_attention_heads, tower.layer_norm_eps)
        digest = hashlib.sha256(repr((shape, self.preprocess)).encode())
        for part in (self.network.vision_model, self.network.visual_projection):
            hash_weights(digest, part.state_dict())
        return digest.hexdigest()

    def save_pretrained(self, folder: str | Path, *, force: bool = False) -> None:
        """Write a folder that `load_clip` and plain transformers read; see `save_pretrained`."""
        save_pretrained(self, folder, force=force)

    @property
    def _vision(self) -> Any:
        return towers.tower_configs(self.network.config)[0]

    @property
    def _text(self) -> Any:
        return towers.tower_configs(self.network.config)[1]

    def _check_size(self, height: int, width: int) -> None:
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise ValueError(
                f"height and width must be multiples of {self.patch_size}, not {height}x{width}"
            )


def _joined(parts: list[TextEmbedding], order: Tensor) -> TextEmbedding:
    """Return the rows of all parts in `order`, tokens padded with zeros to the longest."""
    pooled = torch.cat([part.pooled for part in parts])[order]
    tokens = [part.tokens for part in parts if part.tokens is not None]
    mask = [part.mask for part in parts if part.mask is not None]
    if not tokens:
        return TextEmbedding(pooled)
    width = max(each.shape[1] for each in tokens)
    tokens = [F.pad(each, (0, 0, 0, width - each.shape[1])) for each in tokens]
    mask = [F.pad(each, (0, width - each.shape[1])) for each in mask]
    return TextEmbedding(pooled, torch.cat(tokens)[order], torch.cat(mask)[order])
