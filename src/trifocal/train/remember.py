"""What a run trains on, remembered by the model: hashes of its picture files.

They are read in one pass before the first step, by all processes together. Which pictures a run draws
follows from its recipe, so a run that is taken up remembers the same.
"""

from __future__ import annotations

import logging

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from trifocal.clip import Clip
from trifocal.clip.trained_on import TrainedOn
from trifocal.data.samples import FromFiles, Source
from trifocal.features.in_training import digests
from trifocal.progress import Progress

logger = logging.getLogger(__name__)


def remember(
    clip: Clip, source: Source, drawn: np.ndarray, accelerator: Accelerator, progress: Progress
) -> None:
    """Add the pictures of a run to what its model was trained on.

    Pictures that cannot be read are not trained on; what takes their places is of the same run.

    Args:
        clip: The model.
        source: Where samples come from; one whose pictures are no files adds nothing.
        drawn: The indices of those that the run draws.
        accelerator: The run's processes, which share the work.
        progress: Told of every picture.
    """
    if not isinstance(source, FromFiles):
        return
    share = np.array_split(drawn, accelerator.num_processes)[accelerator.process_index]
    parts = dict.fromkeys(source.file_part(int(index)) for index in share)
    found = digests([part.read for part in parts if part is not None], progress=progress)
    if accelerator.num_processes > 1:
        found = gather_object(found)
    clip.trained_on |= TrainedOn.of(found)
    if accelerator.is_main_process and len(clip.trained_on):
        logger.info("the model will remember %s pictures", f"{len(clip.trained_on):,}")
