"""Training beside a frozen tower at the price of the other: what it gives is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from accelerate import Accelerator

from trifocal import config
from trifocal.data.batching import Batching
from trifocal.data.samples import PictureSource, Source
from trifocal.data.shown import Showing
from trifocal.errors import UserError
from trifocal.features.kept_views import KeptViews, keep_views
from trifocal.features.store import default_cache
from trifocal.features.views import ViewPlan
from trifocal.progress import Progress
from trifocal.tuning.kept_texts import KeptTexts
from trifocal.tuning.tuned_clip import TunedClip

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class EmbeddingsRecipe:
    """What a frozen tower gives is computed once, instead of in every step.

    Attributes:
        views: Crops (and mirrored pictures, where the run has them) that are drawn once of each
            picture; every sample then shows one of them. With a centered crop there is one.
        seed: Of these draws. It is not that of the run, so that runs of several seeds share them.
        patches: The numbers that patches are kept in, for an objective that reads them. Pooled
            embeddings are always float32.
        cache: A folder for the embeddings; by default the user's own for features.
        max_gb: How much disk the embeddings of pictures may take.
        texts_gb: How much memory those of texts may take; the ones used last stay.
    """

    views: int = 1
    seed: int = 0
    patches: Literal["float32", "float16"] = "float32"
    cache: str | None = None
    max_gb: float = 8.0
    texts_gb: float = 0.5

    def __post_init__(self) -> None:
        least = {"views": 1, "seed": 0, "max_gb": 0, "texts_gb": 0}
        config.at_least(self, least, "embeddings")


class KeptSource:
    """A source whose pictures have been embedded; which view a sample shows is drawn each time."""

    def __init__(self, source: PictureSource, kept: KeptViews) -> None:
        self.source, self.kept = source, kept

    def __len__(self) -> int:
        return len(self.source)

    @property
    def stores(self) -> list[str]:
        """The names of the folders that the embeddings are in; hashes of all that decides them."""
        return [folder.name for folder in self.kept.folders]

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """Draw sample `index`, without opening its picture.

        Raises:
            BadImage: the picture could not be read.
        """
        view = int(rng.integers(self.kept.views)) if self.kept.views > 1 else 0
        return self.source.sample(index, rng, self.kept.row(index, view))


def use_embeddings(
    recipe: EmbeddingsRecipe,
    method: TunedClip,
    source: Source,
    batching: Batching,
    accelerator: Accelerator,
    progress: Progress,
) -> Source:
    """Let a run look up what its frozen tower gives.

    Args:
        recipe: How.
        method: What is trained, on its device.
        source: Where its samples come from.
        batching: How they become batches.
        accelerator: The run's processes, which share the work.
        progress: Told of every picture that has to be embedded.

    Returns:
        The source to draw from.

    Raises:
        UserError: both towers are trained, the pictures are not of a kind that can be kept, or
            the embeddings would take too much.
    """
    if method.trains_images and method.trains_texts:
        raise UserError(
            "embeddings keeps what a frozen tower gives, but this method trains both; leave it "
            "out, or freeze one (method.tuning: text, or method.lora.towers)."
        )
    if not method.trains_texts:
        method.kept_texts = KeptTexts(int(recipe.texts_gb * 1e9))
    if method.trains_images:
        return source
    showing = getattr(batching, "showing", None)
    if not isinstance(showing, Showing) or not hasattr(source, "picture_key"):
        raise UserError(
            "embeddings keeps those of whole pictures, but this run shows its pictures otherwise "
            "(regions, or a source of its own); leave it out."
        )
    if recipe.views > 1 and not showing.is_random:
        raise UserError(
            f"embeddings.views is {recipe.views}, but without a random crop all views of a picture "
            "are the same; set it to 1, or give data.crop."
        )
    plan = ViewPlan(
        showing, recipe.views, recipe.seed, method.dense, getattr(torch, recipe.patches)
    )
    pictures = cast(PictureSource, source)
    kept = keep_views(
        method.clip,
        pictures,
        plan,
        Path(recipe.cache).expanduser() if recipe.cache else default_cache(),
        most_bytes=int(recipe.max_gb * 1e9),
        share=(accelerator.process_index, accelerator.num_processes),
        wait=accelerator.wait_for_everyone,
        progress=progress,
    )
    return KeptSource(pictures, kept)
