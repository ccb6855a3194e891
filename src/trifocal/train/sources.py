"""Where a run's samples come from: the kinds of `data` that a recipe knows, each beside its source."""

from __future__ import annotations

from trifocal.concepts.few_shot_data import FewShotData
from trifocal.data.captions import CaptionData
from trifocal.data.coco_regions import CocoRegionData
from trifocal.data.pairs import PairData
from trifocal.data.shards import ShardData
from trifocal.data.sherlock import SherlockData
from trifocal.world.abduction import WorldAbductionData
from trifocal.world.few_shot_source import WorldFewShotData
from trifocal.world.referring import WorldReferringData
from trifocal.world.source import WorldData

# The first is that of a recipe which names no source.
Data = (
    WorldData
    | CaptionData
    | ShardData
    | SherlockData
    | CocoRegionData
    | WorldAbductionData
    | WorldReferringData
    | FewShotData
    | WorldFewShotData
    | PairData
)
