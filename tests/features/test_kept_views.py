"""Processes share the work of embedding pictures, whether or not they share a disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trifocal.data.images import BadImage
from trifocal.data.picture_keys import drawn_key
from trifocal.data.shown import Showing
from trifocal.features.kept_views import keep_views
from trifocal.features.views import ViewPlan
from trifocal.progress import Quiet


class Drawn:
    """Seven pictures of noise, the last one unreadable; counts those that are asked for."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def __len__(self) -> int:
        return 7

    def picture(self, index: int) -> torch.Tensor:
        self.opened.append(index)
        if index == 6:
            raise BadImage("the last", "broken")
        pixels = np.random.default_rng(index).integers(0, 256, (3, 32, 32), dtype=np.uint8)
        return torch.from_numpy(pixels)

    def picture_key(self, index: int) -> bytes:
        return drawn_key("test", index)


@pytest.mark.parametrize("shared", [True, False])
def test_each_process_embeds_its_part(tiny_clip, tmp_path, shared):
    sources, results = [Drawn(), Drawn()], []

    def keep(rank, wait):
        cache = tmp_path if shared else tmp_path / str(rank)
        results.append(
            keep_views(
                tiny_clip, sources[rank], ViewPlan(Showing(), dense=True), cache,
                most_bytes=1_000_000, share=(rank, 2), wait=wait, progress=Quiet(),
            )
        )  # fmt: skip

    keep(0, lambda: keep(1, lambda: None))
    # The second ends first here, and so finds less of what the first one did.
    late = results[1]
    for index in range(6):
        pixels = Drawn().picture(index)[None]
        wanted = tiny_clip.encode_image(pixels, patches=True)
        found = late.row(index, 0)
        assert torch.allclose(found.pooled, wanted.pooled, atol=1e-6)
        assert torch.allclose(found.patches, wanted.patches, atol=1e-6)
    with pytest.raises(BadImage, match="broken"):
        late.row(6, 0)
    good = [index for index in sources[0].opened if index != 6]
    assert len(good) == (3 if shared else 6)
