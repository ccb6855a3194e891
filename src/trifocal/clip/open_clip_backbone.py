"""Any model of open_clip as a frozen backbone, for what needs pooled features only.

ResNets, SigLIP, CoCa and the rest: few-shot heads, zero-shot classification and retrieval work on
them. What looks inside a tower (adapters, regional prompts, local losses) does not, and says so.
Needs the extra `trifocal[open-clip]`; open_clip in turn needs a torchvision that fits torch.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.names import OPEN_CLIP_PREFIX
from trifocal.clip.preprocess import OPENAI_MEAN, OPENAI_STD, Preprocess
from trifocal.clip.trained_on import TrainedOn
from trifocal.clip.weights import hash_weights
from trifocal.errors import UserError, install, nearest

_FOLDER = "local-dir:"
_WHOLE = ("hf-hub:", _FOLDER)  # open_clip's own names for architecture and weights together


class OpenClipBackbone(nn.Module):
    """An open_clip model that embeds as a `Clip` does, pooled vectors only.

    Attributes:
        model: open_clip's module.
        preprocess: Photos to pixels, as the weights expect them.
        name: How it was asked for, "open_clip:RN50:openai".
        conventions: Empty; see `Clip`.
        trained_on: See `Clip`; empty unless it was loaded from a folder that says it.
        text_is_causal: False: texts keep their full length, since some towers read the padding.
    """

    text_is_causal = False

    def __init__(self, model: nn.Module, tokenizer: Any, name: str) -> None:
        """Wrap a model.

        Args:
            model: What `open_clip.create_model` returns.
            tokenizer: What `open_clip.get_tokenizer` returns.
            name: What to call it.

        Raises:
            UserError: its preprocessing is of a kind that `Preprocess` does not have.
        """
        super().__init__()
        self.model = model
        self._tokenizer = tokenizer
        self.preprocess = _preprocess(model, name)
        self.name = name
        self.conventions: dict[str, Any] = {}
        self.trained_on = TrainedOn()
        self.eval()

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of what `preprocess` makes, the only size that is taken."""
        return self.preprocess.size

    @cached_property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        with torch.no_grad():
            return self.text_features(["a"]).shape[1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def logit_scale(self) -> Tensor:
        """exp of the learned parameter (0-dim)."""
        scale: Any = self.model.logit_scale
        return scale.exp().reshape(())

    def tokenize(self, texts: str | Sequence[str]) -> TextBatch:
        """Return the texts' ids at full length, as open_clip's tokenizer makes them."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        ids = self._tokenizer(texts)
        lengths = torch.full((len(ids),), ids.shape[1])
        return TextBatch(ids, lengths, ids.shape[1], self._cut(texts, ids.shape[1]))

    def _cut(self, texts: Sequence[str], length: int) -> Tensor | None:
        """Return which texts are longer than the tower reads, None where the tokenizer cannot tell.

        CLIP's own has `encode`, which cuts nothing and leaves out start and end of text.
        """
        encode = getattr(self._tokenizer, "encode", None)
        if encode is None:
            return None
        return torch.tensor([len(encode(text)) > length - 2 for text in texts], dtype=torch.bool)

    def text_features(self, texts: Sequence[str] | TextBatch) -> Tensor:
        """Return text features (T, D) that are not normalized."""
        batch = texts if isinstance(texts, TextBatch) else self.tokenize(texts)
        encode: Any = self.model.encode_text
        return encode(batch.ids.to(self.device), normalize=False)

    def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
        """Return image features (B, D) that are not normalized.

        Args:
            pixels: (B, 3, H, W), uint8 (normalized here, on the device) or floats already
                normalized, of `image_size`.
            projected: There are no others.

        Raises:
            ValueError: the shape does not fit.
            UserError: features from before the projection are asked for.
        """
        if not projected:
            self._refuse()
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, *self.image_size):
            raise ValueError(
                f"pixels must be (B, 3, {self.image_size[0]}, {self.image_size[1]}), not "
                f"{tuple(pixels.shape)}"
            )
        pixels = pixels.to(self.device)
        if pixels.dtype == torch.uint8:
            pixels = self.preprocess.normalize(pixels)
        encode: Any = self.model.encode_image
        return encode(pixels.to(next(self.model.parameters()).dtype), normalize=False)

    def encode_text(
        self, texts: Sequence[str] | TextBatch, *, tokens: bool = False
    ) -> TextEmbedding:
        """Return pooled unit vectors of texts.

        Raises:
            UserError: tokens are asked for.
        """
        if tokens:
            self._refuse()
        return TextEmbedding(F.normalize(self.text_features(texts), dim=-1))

    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageEmbedding:
        """Return pooled unit vectors of images; see `image_features`.

        Raises:
            UserError: patches are asked for.
        """
        if patches:
            self._refuse()
        return ImageEmbedding(F.normalize(self.image_features(pixels), dim=-1))

    def fingerprint(self) -> str:
        """Return a SHA-256 over weights, structure (with activations) and preprocessing."""
        digest = hashlib.sha256(repr((repr(self.model), self.preprocess)).encode())
        hash_weights(digest, self.model.state_dict())
        return digest.hexdigest()

    # --- what others look for in a Clip ---------------------------------------------------

    @property
    def network(self) -> Never:
        """There are no towers to change.

        Raises:
            UserError: always.
        """
        self._refuse()

    patch_size = patch_grid = activation = network  # all of them refuse

    def save_pretrained(self, folder: str | Path, *, force: bool = False) -> None:
        """Refuse: open_clip's models are kept by open_clip.

        Raises:
            UserError: always.
        """
        self._refuse()

    def _refuse(self) -> Never:
        raise UserError(
            f"{self.name} offers pooled features only, so it can be tested and carry few-shot "
            "heads, but not be tuned, look at regions or be exported; load a CLIP without "
            f"'{OPEN_CLIP_PREFIX}' for that."
        )


def load_open_clip(name: str, *, device: torch.device | str = "cpu") -> OpenClipBackbone:
    """Load a model of open_clip, in float32 and in evaluation mode.

    Args:
        name: `open_clip:ARCHITECTURE:TAG` (or a file of weights in place of the tag), such as
            `open_clip:RN50:openai`; `open_clip:hf-hub:ID`; `open_clip:local-dir:PATH`.
        device: Where the weights go.

    Raises:
        UserError: open_clip cannot be imported, has no such model, or cannot get its weights.
    """
    package = _package()
    architecture, tag = _parsed(name.removeprefix(OPEN_CLIP_PREFIX), package)
    try:
        model = package.create_model(architecture, pretrained=tag, device=device)
        tokenizer = package.get_tokenizer(architecture)
    except Exception as error:  # of open_clip, of the Hub, of whatever reads the file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"open_clip cannot load {name!r} ({reason}).") from error
    backbone = OpenClipBackbone(model, tokenizer, name)
    if architecture.startswith(_FOLDER):
        backbone.trained_on = TrainedOn.read(architecture.removeprefix(_FOLDER))
    return backbone


def _package() -> Any:
    """Import open_clip."""
    try:
        return importlib.import_module("open_clip")
    except ModuleNotFoundError as error:
        raise UserError(
            f"{OPEN_CLIP_PREFIX} models need open_clip ({error}); install it with "
            f"{install('open-clip')}."
        ) from None
    except Exception as error:  # a torchvision that does not fit torch raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"open_clip is installed but cannot be imported ({reason}); install a torchvision that "
            "fits this torch."
        ) from error


def _parsed(text: str, package: Any) -> tuple[str, str | None]:
    """Return architecture and tag, both known to open_clip."""
    if text.startswith(_WHOLE):
        return text, None
    architecture, _, tag = text.partition(":")
    architecture = architecture.replace("/", "-")
    known = package.list_models()
    if architecture not in known:
        raise UserError(
            f"open_clip has no architecture {architecture!r}.{nearest(architecture, known)}"
        )
    if Path(tag).is_file():
        return architecture, tag
    tags = package.list_pretrained_tags_by_model(architecture)
    if tag.lower().replace("-", "_") not in {each.lower().replace("-", "_") for each in tags}:
        raise UserError(
            f"say which weights of {architecture}, as in "
            f"'{OPEN_CLIP_PREFIX}{architecture}:{tags[0] if tags else 'FILE'}'; open_clip has "
            f"{', '.join(tags) or 'none'}, and there is no file {tag!r}."
        )
    return architecture, tag


def _preprocess(model: nn.Module, name: str) -> Preprocess:
    """Return open_clip's evaluation transform."""
    config: dict[str, Any] = getattr(model.visual, "preprocess_cfg", None) or {}
    size = config.get("size") or getattr(model.visual, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    resize, interpolation = config.get("resize_mode"), config.get("interpolation")
    if resize not in (None, "shortest", "squash") or interpolation not in (
        None, "bicubic", "bilinear", "random",
    ):  # fmt: skip
        raise UserError(
            f"{name} resizes pictures in the manner {resize!r}, {interpolation!r}, which trifocal "
            "does not have."
        )
    mean, std = config.get("mean") or OPENAI_MEAN, config.get("std") or OPENAI_STD
    return Preprocess(
        size=(height, width),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
        resize="squash" if resize == "squash" else "shortest",
    )
