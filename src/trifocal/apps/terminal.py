"""What every command shows while it works; see `trifocal.bars`."""

from trifocal.bars import ProgressBars

__all__ = ["ProgressBars"]
