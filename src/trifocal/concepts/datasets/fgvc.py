"""FGVC-Aircraft at the level of variants, from its own text files (Maji et al., arXiv 1306.5151)."""

from __future__ import annotations

from pathlib import Path

from trifocal.concepts.datasets.dataset import PARTS
from trifocal.concepts.datasets.split_files import Split, make_split
from trifocal.errors import UserError

VARIANTS = "variants.txt"
FILES = (VARIANTS, *(f"images_variant_{part}.txt" for part in PARTS))


def read_variants(folder: Path) -> Split:
    """Read `variants.txt` (a name a line) and `images_variant_*.txt` ("0034309 Boeing 707-320").

    Raises:
        UserError: a file cannot be read, or names a variant that is not in `variants.txt`.
    """
    labels = {name: label for label, name in enumerate(_lines(folder / VARIANTS))}
    parts = {}
    for part, file in zip(PARTS, FILES[1:], strict=True):
        entries = []
        for line in _lines(folder / file):
            number, _, name = line.partition(" ")
            if name not in labels:
                raise UserError(f"{folder / file}: {VARIANTS} has no variant {name!r}.")
            entries.append((f"{number}.jpg", labels[name], name))
        parts[part] = entries
    return make_split(parts, f"{folder}/images_variant_*.txt")


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file} ({error}); get it again.") from None
    return [line.strip() for line in lines if line.strip()]
