"""`python -m trifocal` is the command `trifocal`."""

from __future__ import annotations

import sys

from trifocal.cli import main

sys.exit(main())
