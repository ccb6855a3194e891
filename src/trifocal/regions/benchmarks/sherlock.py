"""Sherlock: which inference follows from this region, and which region does it follow from?

Hessel et al., "The Abduction of Sherlock Holmes", ECCV 2022 (arXiv 2202.04800): retrieval within
folds of a thousand, localization among annotated and detected regions, comparison with people's
ratings. The annotation file of the validation set is enough for the first two (Auto-Box needs a
detector's boxes besides). The leaderboard's instance files, where they are, are scored as they
stand, in place of what the annotation file gives; only they have the comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trifocal.data.box_formats import BoxFormat, Placed, check_format, read_proposals
from trifocal.data.json_stream import json_mapping
from trifocal.data.regions import Box
from trifocal.data.sherlock_files import Instance, read_instances
from trifocal.errors import UserError
from trifocal.features.in_training import in_training
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.regions.benchmarks.annotated import Annotated, annotated
from trifocal.regions.benchmarks.answer_keys import (
    ComparisonKey,
    LocalizationKey,
    RetrievalKey,
    comparison_scores,
    localization_scores,
    retrieval_scores,
)
from trifocal.regions.benchmarks.leaderboard import FOLDS, Task, find_tasks, read_task
from trifocal.regions.benchmarks.localization import LocalizationScores
from trifocal.regions.benchmarks.pool import Embedded, Pool, embed
from trifocal.regions.benchmarks.retrieval import RetrievalScores, mean_over_folds
from trifocal.regions.benchmarks.sherlock_places import (
    FILES,
    absent_pictures,
    annotation_file,
    image_roots,
    missing_annotations,
)
from trifocal.regions.benchmarks.submission import submission_file, write_submission
from trifocal.regions.encoder import RegionModel, region_encoder
from trifocal.regions.prompts import Layout
from trifocal.tally import MOST_LEFT_OUT

logger = logging.getLogger(__name__)

SPLITS = ("val", "test")


@dataclass(frozen=True)
class SherlockItems:
    """What is to be scored."""

    pool: Pool  # distinct regions and inferences
    instances: Sequence[Instance]  # entries of the annotation file whose questions are asked
    of: int  # how many entries the file has
    annotated: Annotated | None  # their questions; None without an annotation file
    tasks: Sequence[Task]  # the leaderboard's instance files

    def __len__(self) -> int:
        return len(self.instances) or sum(len(task) for task in self.tasks)

    def without(self, unreadable: Unreadable) -> SherlockItems:
        """Return the questions but for those about pictures that cannot be read."""
        if self.annotated is None or not unreadable.found:
            return self
        bad = np.array([one.item.region.image in unreadable for one in self.instances])
        return replace(self, annotated=self.annotated.without(bad))


@dataclass
class Sherlock:
    """The benchmark over files in their published form.

    Attributes:
        annotations: Annotation file; by default `sherlock_val_with_split_idxs_v1_1.json` (or
            another `sherlock_val*`, or `val.json`), zipped or not, in the root or in `sherlock`,
            `annotations` or `data` below it.
        images: Folder of the pictures: it may hold `VG_100K`, `VG_100K_2` and `vcr1images`, and
            relative paths start from it. By default the root or the folder around it, and for
            relative paths the annotation file's folder.
        vg: Folder that holds `VG_100K` and `VG_100K_2`, where it is another.
        vcr: Folder that holds `vcr1images`, where it is another.
        available_only: Ask the questions whose picture is present instead of requiring them all.
            The rows say how many there were. The leaderboard's files, which count only whole,
            are then left aside.
        proposals: JSON file that maps picture URLs to a detector's boxes, for Auto-Box; by
            default the instances' own (`yolo_box`), if they have any.
        box_format, proposal_format: What the four numbers of a box are in the annotations and in
            the file of proposals, if not left, top, width and height (see `data.box_formats`).
        split: "val", or "test", for which only the leaderboard's instances are public.
        folds: Retrieval folds to score; all by default.
        leaderboard: Use the leaderboard's instance files where they are under the root.
        submission: Zip file to write the scores of these to, as the leaderboard takes them.
        variant, layout: Show regions so, instead of as the model was trained to see them.
        most_left_out: The largest share of the pictures that may turn out broken; their instances
            are left out. With the leaderboard's files, which count only whole, none may.
        batch_size: Regions in one pass.
    """

    annotations: str | Path | None = None
    images: str | Path | None = None
    vg: str | Path | None = None
    vcr: str | Path | None = None
    available_only: bool = False
    proposals: str | Path | None = None
    box_format: BoxFormat | None = None
    proposal_format: BoxFormat | None = None
    split: str = "val"
    folds: Sequence[int] | None = None
    leaderboard: bool = True
    submission: str | Path | None = None
    variant: str | None = None
    layout: Layout | None = None
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128
    name = "sherlock"
    source = (
        "github.com/allenai/sherlock (CC BY 4.0); pictures: Visual Genome (CC BY 4.0) and VCR "
        "(its own terms)"
    )
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the annotations, or pictures (one entry for each folder)."""
        return self._read(Path(root))[1]

    def items(self, root: str | Path) -> SherlockItems:
        """Read the questions.

        Raises:
            UserError: Files are missing or not in their format, or an option does not fit.
        """
        items, missing = self._read(Path(root))
        require(missing, self.name)
        if self.submission is not None:
            submission_file(self.submission)
        if self.submission is not None and not items.tasks:
            raise UserError(
                "a submission needs the leaderboard's instance files, and none are used from "
                f"{root}; {FILES}, and leave available_only unset"
            )
        answered = items.annotated is not None or any(task.key for task in items.tasks)
        if not answered and self.submission is None:
            raise UserError(
                f"Sherlock's {self.split} answers are not there (those of test are not public); "
                "set submission to a zip file to write scores for the leaderboard to"
            )
        return items

    def score(
        self, model: RegionModel, items: SherlockItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Score a model.

        Args:
            model: Whatever `trifocal.regions.encoder.region_encoder` takes.
            items: What `items` returned.
            progress: Told of distinct regions and inferences.

        Returns:
            Rows `im2txt`, `txt2im` and `P@1` of the task "retrieval" (means over folds), `GT-Box`,
            `Auto-Box` and `Auto-Box oracle` of "localization", and `Human Acc` of "comparison",
            as far as there are data. All but the first two are fractions; the leaderboard
            multiplies them by 100.
        """
        sheet = Sheet(self.name, model_name(model), "", version=self.version)
        encoder = region_encoder(model, variant=self.variant, layout=self.layout)
        unreadable = None if items.tasks else Unreadable(self.name, self.most_left_out)
        embedded = embed(
            encoder,
            items.pool,
            batch_size=self.batch_size,
            progress=progress,
            unreadable=unreadable,
        )
        if unreadable is None:
            shown = (region.image for region in items.pool.regions)
            training = in_training(model, shown, self.name)
            sheet.account, note = training.account(), training.note
        else:
            items = items.without(unreadable)
            sheet.account = unreadable.account()
            note = unreadable.note_of("with their instances")
        embedded = replace(embedded, protocol=embedded.protocol + note)
        handed_in = self._score_tasks(sheet, items.tasks, embedded)
        if self.submission is not None:
            write_submission(self.submission, handed_in)
        if items.annotated is not None:
            _score_annotated(sheet, items, items.annotated, embedded)
        return sheet.done()

    def _read(self, root: Path) -> tuple[SherlockItems, list[Missing]]:
        """Read everything but the pictures, and say what is missing."""
        if self.split not in SPLITS:
            raise UserError(f"Sherlock has no split {self.split!r}; there are val and test")
        file = annotation_file(root, self.split, self.annotations)
        found = {}
        if self.leaderboard and not self.available_only:
            below = ("", "leaderboard", "leaderboard_data", "sherlock")
            found = find_tasks([root / folder for folder in below], self.split, self.folds)
        pool, roots = Pool(), image_roots(root, file, self.images, self.vg, self.vcr)
        tasks = []
        for name, path in found.items():
            logger.info("reading %s", path.name)  # a fold has a million pairs
            tasks.append(read_task(name, path, pool, roots))
        if file is None:
            items = SherlockItems(pool, (), 0, None, tasks)
            lacks_file = self.annotations is not None or not tasks
            missing = [missing_annotations(root, self.split, self.annotations)]
            return items, missing if lacks_file else _absent(pool)
        box_format = check_format(self.box_format)
        every = read_instances(file, roots=roots, box_format=box_format)
        if not every:
            raise UserError(f"{file} is an empty list; {FILES}")
        chosen = every
        if self.available_only:
            # Without a single picture all of them are asked for, and reported missing.
            chosen = (
                read_instances(file, roots=roots, missing="drop", box_format=box_format) or every
            )
        proposals = self._read_proposals(every)
        questions = annotated(chosen, pool, proposals=proposals, folds=self.folds)
        if not questions.folds:
            raise UserError(f"{file} has none of the folds {list(self.folds or ())}")
        return SherlockItems(pool, chosen, len(every), questions, tasks), _absent(pool)

    def _read_proposals(self, instances: Sequence[Instance]) -> dict[str, tuple[Box, ...]] | None:
        """Return a detector's boxes by picture URL, in pixels; None where no file is given."""
        proposal_format = check_format(self.proposal_format)
        if self.proposals is None:
            if proposal_format is not None:
                raise UserError(
                    "proposal_format is about a file of proposals, and none is given; set "
                    "proposals to it, or leave proposal_format out"
                )
            return None
        frames = {one.url: one.item.region.frame for one in instances}
        place = Placed(self.proposals, proposal_format)
        found = {}
        for url, boxes in _read_boxes(self.proposals, proposal_format).items():
            frame = frames.get(url)
            if frame is not None:
                found[url] = place(boxes, frame, url)
        place.close()
        return found

    def _score_tasks(
        self, sheet: Sheet, tasks: Sequence[Task], embedded: Embedded
    ) -> dict[str, np.ndarray]:
        """Add the rows of instance files with answers; return the scores of all files."""
        folds: list[RetrievalScores] = []
        handed_in = {}
        base = f"{embedded.protocol}; the leaderboard's {self.split} instances"
        for task in tasks:
            scores = handed_in[task.name] = task.scores(embedded)
            match task.key:
                case RetrievalKey():
                    folds.append(retrieval_scores(scores, task.key))
                case LocalizationKey():
                    add_localization(sheet, base, localization_scores(scores, task.key))
                case ComparisonKey():
                    found = comparison_scores(scores, task.key)
                    sheet.protocol = (
                        f"{base}; pairwise order, 2 (accuracy - 1/2); people reach "
                        f"{found.human:.4f}, their mean {found.oracle:.4f}"
                    )
                    sheet.add("comparison", "Human Acc", found.model, found.n, 0.0, found.ties)
        if folds:
            base += f"; {len(folds)} of {FOLDS} folds"
            add_retrieval(sheet, base, mean_over_folds(folds))
        return handed_in


def _absent(pool: Pool) -> list[Missing]:
    # As texts first: a picture has a hundred regions.
    return absent_pictures(Path(path) for path in {str(region.image) for region in pool.regions})


def _read_boxes(file: str | Path, box_format: BoxFormat | None) -> dict[str, tuple[Box, ...]]:
    """Read a detector's boxes by picture URL."""
    boxes = {}
    for url, value in json_mapping(file):
        try:
            boxes[url] = read_proposals(value, box_format)
        except ValueError as fault:
            raise UserError(f"{file}: the entry of {url} {fault}") from None
    return boxes


def _score_annotated(
    sheet: Sheet, items: SherlockItems, questions: Annotated, embedded: Embedded
) -> None:
    """Add the rows of an annotation file that the leaderboard's files did not give."""
    done = {row.task for row in sheet.rows}
    base = f"{embedded.protocol}; from the annotation file"
    if len(items.instances) < items.of:
        base += f", {len(items.instances)} of {items.of} instances, whose pictures are present"
    if "retrieval" not in done:
        count = len(questions.folds)
        folds = f"{count} folds" if questions.own_folds else f"{count} folds in the file's order"
        add_retrieval(sheet, f"{base}; {folds}", questions.retrieval(embedded))
    if "localization" not in done:
        add_localization(sheet, base, questions.localization(embedded))


def add_retrieval(sheet: Sheet, base: str, found: RetrievalScores) -> None:
    """Add the rows of retrieval; `base` begins their protocol."""
    sheet.protocol = f"{base}; mean over folds, ties share their mean place"
    sheet.add("retrieval", "im2txt", found.im2txt, found.n, found.chance_rank, found.ties_to_text)
    sheet.add("retrieval", "txt2im", found.txt2im, found.n, found.chance_rank, found.ties_to_image)
    sheet.add("retrieval", "P@1", found.p_at_1, found.n, found.chance_p_at_1, found.ties_at_top)


def add_localization(sheet: Sheet, base: str, found: LocalizationScores) -> None:
    """Add the rows of localization that there are; `base` begins their protocol."""
    if found.gt_box is not None:
        sheet.protocol = (
            f"{base}; one-to-one assignment, ties broken by noise of {found.tie_noise:g}; "
            "mean over pictures"
        )
        sheet.seed = found.seed
        sheet.add(
            "localization", "GT-Box", found.gt_box, found.gt_images, found.gt_chance, found.gt_ties
        )
        sheet.seed = None
    if found.auto_box is not None and found.oracle is not None:
        sheet.protocol = f"{base}; best-scoring proposal, IoU > 0.5; mean over pictures"
        n = found.auto_images
        sheet.add("localization", "Auto-Box", found.auto_box, n, found.auto_chance, found.auto_ties)
        sheet.add("localization", "Auto-Box oracle", found.oracle, n)
