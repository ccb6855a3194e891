"""A model as ONNX: its two towers, or a few-shot classifier from pixels to classes.

What is written runs without this package, and without torch: `onnxruntime`, or any other that reads
ONNX. Batches may have any size. Beside the towers lie transformers' own preprocessor and tokenizer
files, so that its processors make the inputs. What was written is run once and compared.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.clip import Clip, towers
from trifocal.errors import UserError, install
from trifocal.files import atomic_folder, check_folder

if TYPE_CHECKING:
    from trifocal.concepts.head import Head
    from trifocal.concepts.head_files import SavedHead

KIND = "ONNX model"
IMAGE, TEXT, CLASSIFIER, FACTS = "image.onnx", "text.onnx", "classifier.onnx", "onnx.json"
TOLERANCE = 1e-4  # of what onnxruntime gives, against torch
_OPSET = 18
_IN_ONE_FILE = 1 << 30  # bytes of weights that lie in the .onnx file itself


class ImageTower(nn.Module):
    """Normalized pixels (B, 3, H, W) to unit vectors (B, D)."""

    def __init__(self, clip: Clip, *, normalize: bool = True) -> None:
        super().__init__()
        self.network, self.normalize = clip.network, normalize

    def forward(self, pixel_values: Tensor) -> Tensor:
        states = towers.image_states(self.network, pixel_values)[:, 0]
        found = towers.project_image(self.network, states)
        return F.normalize(found, dim=-1) if self.normalize else found


class TextTower(nn.Module):
    """Ids (B, L), padded behind the end of text, to unit vectors (B, D)."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.network, self.end = clip.network, clip.tokenizer.eot_id

    def forward(self, input_ids: Tensor) -> Tensor:
        last = (input_ids == self.end).int().argmax(dim=1)
        states = towers.text_states(self.network, input_ids, last + 1)
        ends = states.gather(1, last[:, None, None].expand(-1, 1, states.shape[-1]))[:, 0]
        return F.normalize(towers.project_text(self.network, ends), dim=-1)


class Classifying(nn.Module):
    """Normalized pixels (B, 3, H, W) to logits and probabilities (B, C)."""

    def __init__(self, clip: Clip, head: Head) -> None:
        super().__init__()
        self.tower = ImageTower(clip, normalize=False)
        self.head: Any = copy.copy(head)
        self.head.logits = head._logits  # the checks of numbers are no part of a graph

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        features = self.tower(pixel_values)
        return self.head.logits(features), self.head.predict_proba(features)


def save_onnx(clip: Clip, folder: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write both towers of a model.

    Args:
        clip: The model. One that was trained on regions has the picture size of its prompt.
        folder: Where to: `image.onnx` (`pixel_values` to `image_embeds`), `text.onnx` (`input_ids` of
            the whole context length to `text_embeds`), preprocessor and tokenizer files, and
            `onnx.json` with the logit scale.
        force: Replace an older one.

    Raises:
        UserError: the towers are no transformers CLIP, ONNX is not installed, onnxruntime gives other
            numbers, or the folder holds something.
    """
    _check_towers(clip)
    check_folder(folder, KIND, force=force)
    height, width = shown_size(clip)
    pixels = torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    texts = ["a dog", "two red balls to the left of a blue box", "a cat"]
    ids = clip.tokenizer(texts, length=clip.context_length).ids
    facts = {
        "model": clip.name,
        "embed_dim": clip.embed_dim,
        "logit_scale": float(clip.logit_scale.detach()),
        "image_size": [height, width],
        "context_length": clip.context_length,
        "conventions": clip.conventions,
    }
    with atomic_folder(folder, KIND, force=force) as aside:
        _export(ImageTower(clip), pixels, "pixel_values", ["image_embeds"], aside / IMAGE)
        _export(TextTower(clip), ids, "input_ids", ["text_embeds"], aside / TEXT)
        _beside(clip, aside, facts)
        clip.tokenizer.save(aside)


def save_onnx_classifier(
    saved: SavedHead, clip: Clip, folder: str | os.PathLike[str], *, force: bool = False
) -> None:
    """Write a few-shot classifier, from pixels to classes.

    Args:
        saved: What `trifocal.concepts.head_files.load_head` returns.
        clip: The backbone it was fitted to.
        folder: Where to: `classifier.onnx` (`pixel_values` to `logits` and `probabilities`), the
            preprocessor file, and `onnx.json` with the classes.
        force: Replace an older one.

    Raises:
        UserError: as `save_onnx`; or the classifier was fitted to regions.
    """
    _check_towers(clip)
    check_folder(folder, KIND, force=force)
    if saved.backbone.shown.get("as", "pictures") != "pictures":
        raise UserError(
            f"{saved.folder} was fitted to regions, whose prompts ONNX cannot draw; export the "
            "towers of its backbone instead."
        )
    height, width = clip.image_size
    pixels = torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    facts = {
        "model": clip.name,
        "head": saved.method,
        "classes": list(saved.classes),
        "image_size": [height, width],
        "metrics": saved.metrics,
    }
    outputs = ["logits", "probabilities"]
    with atomic_folder(folder, KIND, force=force) as aside:
        module = Classifying(clip, saved.head)
        _export(module, pixels, "pixel_values", outputs, aside / CLASSIFIER, list(saved.classes))
        _beside(clip, aside, facts)


def shown_size(clip: Clip) -> tuple[int, int]:
    """Return height and width of the pictures that a model's image tower is shown."""
    from trifocal.clip.encoder import convention

    if not convention(clip, "regions"):
        return clip.image_size
    from PIL import Image

    from trifocal.regions.encoder import default_prompt
    from trifocal.regions.prompts import prompts

    side = clip.image_size[0]
    image = Image.new("RGB", (2 * side, 2 * side))
    box = (side / 2, side / 2, float(side), float(side))
    shown = prompts(image, (box,), default_prompt(clip), side, preprocess=clip.preprocess)
    return int(shown.shape[-2]), int(shown.shape[-1])


def _check_towers(clip: Clip) -> None:
    if not isinstance(clip, Clip):
        raise UserError(
            f"{getattr(clip, 'name', clip)} is a model of open_clip's own; export it with open_clip."
        )
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxruntime  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"ONNX needs {error.name}; install it with {install('onnx')}.") from error


def _beside(clip: Clip, folder: Path, facts: dict[str, Any]) -> None:
    """Write what a reader needs beside the graph."""
    side = towers.tower_configs(clip.network.config)[0].image_size
    clip.preprocess.save(folder, stretches=clip.preprocess.size != (side, side))
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _export(
    module: nn.Module,
    example: Tensor,
    name: str,
    outputs: Sequence[str],
    path: Path,
    classes: Sequence[str] = (),
) -> None:
    """Write a module of one input as ONNX, and compare what it gives there with what it gives here."""
    import onnx  # pyright: ignore[reportMissingImports]

    module.eval().cpu().float()
    size = sum(one.numel() * one.element_size() for one in module.parameters())
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad(), _silence():
            torch.onnx.export(
                module,
                (example[:2],),
                str(path),
                input_names=[name],
                output_names=list(outputs),
                dynamic_shapes=({0: batch},),
                opset_version=_OPSET,
                dynamo=True,
                external_data=size > _IN_ONE_FILE,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter makes of a module that it does not know
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"ONNX cannot express {path.stem} ({reason}); export to transformers instead."
        ) from error
    if classes:
        written = onnx.load(str(path), load_external_data=False)
        held = written.metadata_props.add()
        held.key, held.value = "classes", json.dumps(list(classes), ensure_ascii=False)
        path.write_bytes(written.SerializeToString())
    _compare(module, example, name, path)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's remarks on what it does to itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(module: Callable[..., Any], example: Tensor, name: str, path: Path) -> None:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        with torch.no_grad():
            wanted = module(example[:count])
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for one, found in zip(wanted, session.run(None, {name: example[:count].numpy()})):
            apart = float((one - torch.from_numpy(found)).abs().max())
            bound = TOLERANCE * max(1.0, float(one.abs().max()))
            if not apart <= bound:
                raise UserError(
                    f"onnxruntime gives {path.stem} other numbers than torch ({apart:.2g} apart); "
                    "use another version of onnxruntime."
                )
