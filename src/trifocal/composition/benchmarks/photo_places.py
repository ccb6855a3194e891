"""What the field calls the folders of the photo collections that several benchmarks share.

The first name is the usual one, and the one that an error names.
"""

from __future__ import annotations

VISUAL_GENOME = (
    "VG_100K",
    "VG_100K_2",
    "vg/VG_100K",
    "vg/VG_100K_2",
    "visual_genome/VG_100K",
    "visual_genome/VG_100K_2",
    "vg_images",
    "vg_gqa_images",
)
FROM_VISUAL_GENOME = (
    "get Visual Genome's photos (visualgenome.org, images.zip and images2.zip, 15 GB; CC BY 4.0)"
)


def coco(*splits: str) -> tuple[str, ...]:
    """Return the folders of COCO's photos of some splits, e.g. "val2017"."""
    return tuple(
        f"{above}{split}" for split in splits for above in ("", "coco/", "coco/images/", "images/")
    )
