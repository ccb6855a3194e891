"""Concept scores and the concept inference network, as one reads CCLI's abstract.

    s = phi(U x)          concept scores of a picture
    f(s) = s A + relu((s - mu) / sigma W1 + b1) W2
    logits = scale * x Wᵀ + alpha * f(s)

A is the association of concepts with classes; W may have a learned residual (TaskRes, arXiv
2211.10277). The network starts at W2 = 0, so that training starts from the training-free head `tf`.
`linear` learns A, `mlp_plain` drops it, `clip_adapter` lets the scores move the feature itself
(CLIP-Adapter, arXiv 2110.04544). With cosine scores and linear weights B, f = x (Uᵀ B): a linear
classifier on the span of the support, and nothing more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.baselines.common import in_blocks
from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Fitted
from trifocal.concepts.inference import ConceptBasis
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.scores import Score, activated, transferred
from trifocal.concepts.search import AlphaCounter, TipGrid, choose_scale, quality
from trifocal.concepts.support import Labeled, Support, unit

Kind = Literal["tf", "linear", "full", "mlp_plain", "clip_adapter"]
BLEND = 0.2  # CLIP-Adapter's ratio
ALPHAS = (0.1, 0.3, 1.0, 3.0)  # tried for a learned head, and on held-out support images
BETAS = (1.0, 3.0, 5.5, 10.0)


def linear_start(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Return (rows, columns) weights as `torch.nn.Linear` draws them (Kaiming, a = sqrt(5))."""
    bound = 1 / math.sqrt(rows)
    values = torch.rand(rows, columns, generator=generator)
    return ((2 * values - 1) * bound).to(like)


@dataclass(frozen=True)
class AssociationSettings:
    """Settings of the inference; see `CCLI`."""

    kind: Kind
    scale: float
    score: Score
    beta: float
    alpha: float
    alpha_max: float
    beta_max: float
    hidden: int
    dropout: float
    text_residual: bool
    eta: float
    learn_concepts: bool
    keep_images: bool
    transfer: Literal["none", "text"]
    recipe: Recipe
    seed: int


@dataclass(frozen=True)
class Scored:
    """Concept scores, and what follows from them before anything is learned.

    Attributes:
        scores: (n, I).
        standard: (n, I) standardized as the support is, for the network; None without one.
        known: (n, D) scores times the association; None where that is learned, or plays no part.
    """

    scores: Tensor
    standard: Tensor | None
    known: Tensor | None

    def rows(self, rows: Tensor) -> Scored:
        """Return some of the rows."""
        standard = None if self.standard is None else self.standard[rows]
        if self.known is not None:  # then the scores themselves are of no further use
            return Scored(self.scores[:0], standard, self.known[rows])
        return Scored(self.scores[rows], standard, None)


class AssociationInference(Fitted):
    """Concept scores times associations, and what is learned on top."""

    inner_: Tensor  # (I, H)
    bias_: Tensor  # (H,)
    outer_: Tensor  # (H, D), or (H, d) where the feature is moved
    shift_: Tensor  # (D,) or (d,)
    residual_: Tensor  # (D, d)

    def __init__(self, settings: AssociationSettings) -> None:
        self.settings = settings

    # --- fitting --------------------------------------------------------------------------

    def fit(
        self,
        data: Support,
        basis: ConceptBasis,
        judged: Labeled | None = None,
        chosen: dict[str, float] | None = None,
    ) -> None:
        """Learn from the support; see `Inference.fit`."""
        self.text_, self.association_ = data.class_text, basis.association
        self.mass_ = len(data.labels) / data.classes
        self.alpha_, self.beta_ = self.settings.alpha, self.settings.beta
        if basis.features is not None:
            self.concepts_ = basis.features
        if self.settings.keep_images:
            self.keys_, self.images_ = data.features, basis.images
        if chosen:
            self.alpha_, self.beta_ = chosen["alpha"], chosen["beta"]
        self._learn(data)
        if judged is not None:
            self._select(unit(judged[0]), judged[1])

    def try_out(self, data: Support, basis: ConceptBasis, held: Labeled) -> dict[str, float]:
        """Return the alpha and beta with which the training-free head does best on held-out images.

        They are few, so that the grid is small and the cross-entropy decides among equals; what is
        as good as the given alpha and beta does not replace them. Without concepts there is nothing
        to try.

        Args:
            data: The support without them.
            basis: Its concepts.
            held: The images and their classes.
        """
        trial = AssociationInference(replace(self.settings, kind="tf"))
        trial.fit(data, basis)
        if basis.features is None:
            return trial.chosen
        x, labels = unit(held[0]), held[1]
        best, chosen = (-1, 0.0), trial.chosen
        base, cosines = trial._text(x), trial._cosines(x)
        alphas, betas = (self.settings.alpha, *ALPHAS), (self.settings.beta, *BETAS)
        for beta in betas if self.settings.score == "exp" else betas[:1]:
            scores = trial._pooled(activated(cosines, self.settings.score, beta))
            branch = scores @ trial.association_
            alpha = choose_scale(base, branch, labels, alphas)
            found = quality(base + alpha * branch, labels)
            if found > best:
                best, chosen = found, {"alpha": alpha, "beta": beta}
        return chosen

    def _learn(self, data: Support) -> None:
        if self.settings.kind == "tf":
            self.learned_ = 0
            return
        x = data.features
        scores = self._scores(x)
        self.mean_ = scores.mean(0)
        self.spread_ = scores.std(0, correction=0).clamp_min(1e-6)
        learned = self._start(scores, data.classes)
        self.learned_ = sum(tensor.numel() for tensor in learned.values())
        for name, tensor in learned.items():
            setattr(self, name, tensor)
        if not learned:
            return
        views = unit(data.views)
        moving = views.shape[1] > 1 or "concepts_" in learned
        fixed = None if moving else self._scored(x)

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            scored = self._scored(x) if fixed is None else fixed.rows(rows)
            logits = self._blended(x, scored, self.settings.dropout)
            return F.cross_entropy(logits, data.labels[rows])

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)  # dropout draws from the global generator
            renew = self._renew if "concepts_" in learned else None
            descend(
                list(learned.values()),
                loss,
                views,
                self.settings.recipe,
                seed=self.settings.seed,
                after_step=renew,
            )

    def _start(self, scores: Tensor, classes: int) -> dict[str, Tensor]:
        """Return the parameters that this kind learns, as they start."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        concepts, width, hidden = scores.shape[1], self.text_.shape[1], self.settings.hidden
        learned: dict[str, Tensor] = {}
        if self.settings.kind == "linear":
            learned["association_"] = self.association_.clone()
        if self.settings.kind in ("full", "mlp_plain", "clip_adapter") and hidden:
            learned["inner_"] = linear_start(concepts, hidden, generator, scores)
            out = width if self.settings.kind == "clip_adapter" else classes
            if self.settings.kind == "full":
                learned["bias_"] = scores.new_zeros(hidden)
                learned["outer_"] = scores.new_zeros(hidden, out)
            else:
                learned["bias_"] = linear_start(concepts, hidden, generator, scores)[0].clone()
                learned["outer_"] = linear_start(hidden, out, generator, scores)
                learned["shift_"] = linear_start(hidden, out, generator, scores)[0].clone()
        # A residual needs a text to start from: the direction of 0 + R is noise.
        if self.settings.kind == "full" and self.settings.text_residual and self.text_.any():
            learned["residual_"] = torch.zeros_like(self.text_)
        if (
            self.settings.learn_concepts
            and self.settings.kind != "tf"
            and not self.settings.keep_images
            and hasattr(self, "concepts_")
        ):
            learned["concepts_"] = self.concepts_.clone()
        return learned

    def _renew(self) -> None:
        self.concepts_.copy_(unit(self.concepts_))

    def _select(self, x: Tensor, labels: Tensor) -> None:
        """Choose alpha, and for `tf` beta, on other pictures."""
        base = self._text(x)
        if self.settings.kind != "tf":
            self.alpha_ = choose_scale(base, self._branch(self._scored(x)), labels, ALPHAS)
            return
        if not hasattr(self, "concepts_"):
            return
        alphas = TipGrid(
            self.settings.beta_max, self.settings.alpha_max, self.settings.alpha
        ).alphas
        betas = TipGrid(self.settings.beta_max, self.settings.alpha_max, self.settings.alpha).betas
        counter, best = AlphaCounter(base, labels, alphas), -1
        cosines = self._cosines(x)
        for beta in betas if self.settings.score == "exp" else [self.settings.beta]:
            scores = self._pooled(activated(cosines, self.settings.score, beta))
            counts = counter((scores @ self.association_).T.contiguous())
            if int(counts.max()) > best:
                best = int(counts.max())
                self.alpha_, self.beta_ = alphas[int(counts.argmax())], beta

    @property
    def chosen(self) -> dict[str, float]:
        """Alpha and beta."""
        return {"alpha": self.alpha_, "beta": self.beta_}

    @property
    def trainable_parameters(self) -> int:
        """I D (`linear`); I H + H + H D + D d (`full`)."""
        return self.learned_

    # --- use ------------------------------------------------------------------------------

    def _cosines(self, x: Tensor) -> Tensor:
        if self.settings.keep_images:
            return x @ self.keys_.T
        return x @ self.concepts_.T if hasattr(self, "concepts_") else x

    def _pooled(self, scores: Tensor) -> Tensor:
        """Return one score a concept: the mean over its images, where they are kept."""
        if not self.settings.keep_images:
            return scores
        return F.embedding_bag(self.images_, scores.T.contiguous(), mode="mean").T

    def _scores(self, x: Tensor) -> Tensor:
        """Return (n, I) concept scores; without concepts, the features themselves."""
        if not hasattr(self, "concepts_"):
            return x
        compared = self.keys_ if self.settings.keep_images else self.concepts_
        score, beta = self.settings.score, self.beta_
        return in_blocks(
            lambda rows: self._pooled(activated(self._cosines(rows), score, beta)), x, len(compared)
        )

    def _scored(self, x: Tensor) -> Scored:
        """Return what is known of unit features."""
        scores = self._scores(x)
        standard = (scores - self.mean_) / self.spread_ if hasattr(self, "inner_") else None
        fixed = self.settings.kind in ("tf", "full")
        return Scored(scores, standard, scores @ self.association_ if fixed else None)

    def _network(self, scored: Scored, dropout: float = 0.0) -> Tensor:
        """Return what the network adds, (n, D) or (n, d)."""
        assert scored.standard is not None
        hidden = torch.addmm(self.bias_, scored.standard, self.inner_).relu()
        if dropout:
            hidden = F.dropout(hidden, dropout)
        out = hidden @ self.outer_
        return out + self.shift_ if hasattr(self, "shift_") else out

    def _text(self, x: Tensor) -> Tensor:
        text = self.text_
        if hasattr(self, "residual_"):
            text = unit(text + self.settings.eta * self.residual_)
        return self.settings.scale * x @ text.T

    def _branch(self, scored: Scored, dropout: float = 0.0) -> Tensor:
        """Return f(s), (n, D)."""
        if self.settings.kind == "mlp_plain":
            return self._network(scored, dropout)
        known = scored.scores @ self.association_ if scored.known is None else scored.known
        return known + self._network(scored, dropout) if hasattr(self, "inner_") else known

    def _blended(self, x: Tensor, scored: Scored, dropout: float = 0.0) -> Tensor:
        if self.settings.kind == "clip_adapter":
            moved = unit(BLEND * self._network(scored, dropout).relu() + (1 - BLEND) * x)
            return self.settings.scale * moved @ self.text_.T
        return self._text(x) + self.alpha_ * self._branch(scored, dropout)

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, D) logits of unit features."""
        return in_blocks(
            lambda rows: self._blended(rows, self._scored(rows)), x, len(self.association_)
        )

    def terms(self, x: Tensor, label: int, basis: ConceptBasis) -> list[Term]:
        """Return the text's part, one term a concept, and the network's part."""
        scores = self._scores(x)
        terms = [Term("text", float(self._text(x)[0, label]))]
        if self.settings.kind in ("tf", "linear", "full"):
            values = self.alpha_ * scores[0] * self.association_[:, label]
            if basis.features is not None:
                terms += [
                    basis.term(i, value, score)
                    for i, (value, score) in enumerate(
                        zip(values.tolist(), scores[0].tolist(), strict=True)
                    )
                ]
        whole = float(self.logits(x)[0, label])
        left = whole - sum(term.value for term in terms)
        if hasattr(self, "inner_"):
            terms.append(Term("network", left))
        elif basis.features is None:
            terms.append(Term("rest", left))
        return terms

    def new_logits(self, x: Tensor, class_text: Tensor, text_concepts: Tensor) -> Tensor:
        """Return the text branch; with `transfer` also concepts associated by text alone."""
        logits = self.settings.scale * x @ class_text.T
        if self.settings.transfer == "none" or not hasattr(self, "concepts_"):
            return logits
        association = transferred(text_concepts, class_text, self.mass_)
        return logits + self.alpha_ * self._scores(x) @ association
