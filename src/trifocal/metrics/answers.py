"""Questions answered right or wrong, and the means over them that a benchmark reports.

Every accuracy of the field is a weighted mean over questions: micro gives each the same weight,
macro first averages inside parts. So a mean is a vector of weights, which gives its value, its
chance, its ties and what each question adds to it alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trifocal.metrics.benchmark import Sheet

Tree = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Answers:
    """The outcome of N questions.

    Attributes:
        part: Which part of the benchmark each is of.
        right: (N,) bool.
        tied: (N,) bool, wrong because of an equality alone.
        chance: (N,) float64, how often a guess is right.
        blind: (N,) bool, right where the pictures are not seen; None where that has no meaning.
    """

    part: Sequence[str]
    right: Tensor
    tied: Tensor
    chance: Tensor
    blind: Tensor | None = None

    def __len__(self) -> int:
        return len(self.part)

    def at(self, rows: Tensor) -> Answers:
        """Return the questions that (N,) bool `rows` is True of."""
        part = [name for name, kept in zip(self.part, rows.tolist(), strict=True) if kept]
        blind = None if self.blind is None else self.blind[rows]
        return Answers(part, self.right[rows], self.tied[rows], self.chance[rows], blind)

    def ties_right(self) -> Answers:
        """Return the outcome under a rule that counts an equality as right."""
        return replace(self, right=self.right | self.tied, tied=torch.zeros_like(self.tied))

    def of_part(self, *names: str) -> Tensor:
        """Return (N,) float64 weights of the mean over the questions of a part, or of several (micro).

        Zeros where there is no such question.
        """
        member = torch.tensor([one in names for one in self.part], dtype=torch.float64)
        return member / member.sum().clamp_min(1)

    def micro(self) -> Tensor:
        """Return (N,) weights of the mean over all questions."""
        return torch.full((len(self),), 1 / max(1, len(self)), dtype=torch.float64)

    def mean_weights(self, tree: Tree) -> dict[str, Tensor]:
        """Return the weights of every part, and of every mean of a tree.

        Args:
            tree: For each mean the names of its members, which are parts, or means above it. A
                member counts as much as any other, however many questions it has (macro).

        Returns:
            Parts in order of appearance, then means; without a mean that lacks a member.
        """
        found = {name: self.of_part(name) for name in dict.fromkeys(self.part)}
        for name, members in tree.items():
            if all(member in found for member in members):
                found[name] = torch.stack([found[member] for member in members]).mean(dim=0)
        return found

    def add_row(self, sheet: Sheet, task: str, metric: str, weights: Tensor) -> None:
        """Append the row of one mean, given by its (N,) weights."""
        asked = weights > 0
        count = int(asked.sum())
        if not count:
            return
        own = weights[asked]
        marks = self.right[asked].double() * own * count
        blind = None if self.blind is None else float((self.blind[asked].double() * own).sum())
        sheet.add(
            task,
            metric,
            float((self.right[asked].double() * own).sum()),
            count,
            float((self.chance[asked] * own).sum()),
            int(self.tied[asked].sum()),
            marks,
            blind,
        )

    def add_rows(
        self,
        sheet: Sheet,
        metric: str = "acc",
        tree: Tree | None = None,
        *,
        parts: bool = True,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Append the rows of all parts (unless `parts` is False), then of the means of a tree.

        `names` maps a mean to its metric where that is not `metric`.
        """
        weights = self.mean_weights(tree or {})
        own = set(self.part)
        for name, weight in weights.items():
            if parts or name not in own:
                self.add_row(sheet, name, (names or {}).get(name, metric), weight)
