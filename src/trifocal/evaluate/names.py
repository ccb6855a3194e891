"""Names in result rows that writers and readers of them share."""

from __future__ import annotations

WORLD = "world"  # what was measured on the built-in world is filed under "world/…"
DRAWN = ("world", "world_regions")  # benchmarks that read no data
WORLD_NOTE = "on the built-in drawn world"  # what a table or a report says beside such numbers
RETRIEVAL = "zeroshot_retrieval"
ZERO_SHOT = "zeroshot_classification"
