"""CCLI: text concepts find visual concepts among the images, and a network infers classes from them.

After the abstract of *Cross-Modal Concept Learning and Inference for Vision-Language Models* (Zhang,
Zhang, Tang, He, arXiv 2307.15460). Its body is not public to us and no code was published, so this is
a re-implementation in its spirit, not a reproduction; what the abstract leaves open is a parameter.

With unit rows V of the support's N images, C of I text concepts, W of D class texts, x of a picture:

    U, A    the T images that fit a concept best, averaged, and how their classes are spread
    s     = exp(-beta (1 - U x))                           how strongly x shows each concept
    f(s)  = s A + relu((s - mu) / sigma W1 + b1) W2        the concept inference network
    logits = scale * x W'ᵀ + alpha * f(s),  W' = unit(W + eta R)

"A large set of visual concepts, driven by a set of semantic text concepts" is the first line, "a
discriminative representation of images" the second, "a concept inference network" the third. W1, b1,
W2 and R are learned by cross-entropy. W2 and R start at 0, so that training starts from s A, which
needs none (`head="tf"`). The residual R of the class texts is TaskRes (arXiv 2211.10277); the
authors' next paper has one.

Reading order: `discovery` (the first line), then `CCLI` from `_fit` down; `optimize` is the training
loop, `search` the choice of alpha and beta.

Where there are no class texts W is made of the support's pictures instead (`prototypes`), a decision
of ours: association counts alone are a blunt classifier, at half of a linear probe's accuracy.

When to use: to measure what the abstract describes, or where a network on concept scores is wanted.
Where accuracy counts, `concept_map` is ahead of it (docs/concepts.md).

Relations: with support images as their own concepts, `tf` is Tip-Adapter, whose exponential this is.
With cosine scores and linear weights B, f = x (Uᵀ B): a linear classifier on the span of the support,
and nothing more. `clip_adapter` is CLIP-Adapter (arXiv 2110.04544) fed with concept scores.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.discovery import Visual, complaint, concept_features, describe, retrieve
from trifocal.concepts.explanation import Term, concept_terms
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend, linear_start
from trifocal.concepts.prototypes import class_prototypes
from trifocal.concepts.rows import in_blocks, queries
from trifocal.concepts.search import AlphaCounter, TipGrid, choose_scale, held_out, quality
from trifocal.concepts.support import Labeled, Support, unit
from trifocal.errors import UserError

logger = logging.getLogger(__name__)

Score = Literal["exp", "cosine", "softmax"]
TEMPERATURE = 0.01  # of softmax scores, and of concepts that are associated with classes by text
BLEND = 0.2  # CLIP-Adapter's ratio
ALPHAS = (0.1, 0.3, 1.0, 3.0)  # tried for a learned head, and on held-out support images
BETAS = (1.0, 3.0, 5.5, 10.0)


def concept_scores(cosines: Tensor, score: Score, beta: float) -> Tensor:
    """Return how strongly pictures show concepts, from their cosines (n, I).

    Args:
        cosines: Of unit pictures and unit concepts.
        score: "exp" is exp(-beta (1 - cosine)), in (0, 1]; "cosine"; "softmax" of the cosines at
            temperature 0.01.
        beta: Sharpness of "exp".
    """
    if score == "exp":
        return (beta * (cosines - 1)).exp()
    return (cosines / TEMPERATURE).softmax(-1) if score == "softmax" else cosines


def transferred(text_concepts: Tensor, class_text: Tensor, mass: float) -> Tensor:
    """Return (I, D') associations of new classes from texts alone, each column of this mass."""
    shares = (text_concepts @ class_text.T / TEMPERATURE).softmax(1)
    return mass * shares / shares.sum(0).clamp_min(torch.finfo(shares.dtype).tiny)


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


@dataclass(eq=False)
class CCLI(Head):
    """Concept inference on the scores of visual concepts, as the abstract of CCLI describes it.

    What `fit` selects: with validation data alpha, for `tf` beta too. Without, alpha and beta of
    the training-free head, on one held-out support image of each class (`tf`, `linear`, `full`),
    before all are fitted. With one image a class nothing is.

    Attributes:
        head: What is learned: "full", network and residual; "tf", nothing (training-free);
            "linear", the association; "mlp_plain", a network without association;
            "clip_adapter", a network that moves the feature itself.
        visual: What a concept is in image space; see `concept_features`.
        top: T, images a concept retrieves; None is the number of shots, 8 at most.
        debias, smoothing, column_mass: See `discover_visual_concepts`.
        ridge: Penalty of visual="reconstruct", in mean squared lengths.
        score: Concept scores: "exp", "cosine" or "softmax".
        alpha, beta: What concept logits count and how sharp exp scores are, where not selected.
        alpha_max, beta_max: Ends of the grids that `tf` searches.
        hidden: Width of the network; 0 leaves it out.
        dropout: Of the network's hidden layer.
        text_residual: Whether `full` learns a residual of the class texts.
        eta: What the residual counts.
        learn_concepts: Whether visual concepts are trained too (not with `tf`, or where images
            are kept).
        keep_images: Score every retrieved image instead of their mean, and average the scores.
        select: Whether anything is selected; False keeps the given values, validation data or not.
        without_text: What asks for a class where there are no class texts: "prototypes", the mean of its
            pictures, whitened (see `class_prototypes`); or "nothing", concepts alone.
        transfer: Whether new classes get concept associations from their "text", or "none".
        lr, epochs, batch, weight_decay: Of AdamW; see `Recipe`.

    Example:
        >>> import torch, trifocal
        >>> support, labels = torch.eye(4).repeat(2, 1), torch.arange(4).repeat(2)
        >>> head = trifocal.CCLI().fit(support, labels, torch.eye(4), torch.eye(4))
        >>> head.predict(torch.eye(4)).tolist()
        [0, 1, 2, 3]
    """

    head: Literal["full", "tf", "linear", "mlp_plain", "clip_adapter"] = "full"
    visual: Visual = "mean"
    top: int | None = None
    debias: bool = True
    smoothing: float = 0.01
    column_mass: bool = True
    ridge: float = 0.01
    score: Score = "exp"
    beta: float = 5.5
    alpha: float = 1.0
    alpha_max: float = 3.0
    beta_max: float = 7.0
    hidden: int = 64
    dropout: float = 0.5
    text_residual: bool = True
    eta: float = 0.5
    learn_concepts: bool = False
    keep_images: bool = False
    select: bool = True
    without_text: Literal["prototypes", "nothing"] = "prototypes"
    transfer: Literal["none", "text"] = "none"
    lr: float = 2e-4
    epochs: int = 10
    batch: int = 256
    weight_decay: float = 0.01

    version: ClassVar[int] = 3  # 1 was the concept map under this name, 2 had no prototypes
    wants_text: ClassVar[bool] = False
    wants_concepts: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        network = self.head in ("mlp_plain", "clip_adapter")
        if self.head == "clip_adapter" and data.text is None:
            raise UserError("the head 'clip_adapter' needs class_text; give it, or another head.")
        if network and self.hidden < 1:
            raise UserError(f"the head {self.head!r} is a network; give hidden, 1 at least.")
        self.chosen_ = {"alpha": self.alpha, "beta": self.beta}
        selects = self.select and self.head != "clip_adapter"  # which has no alpha
        if selects and data.val is None and data.shots > 1 and self.head != "mlp_plain":
            self.chosen_ = self._tried_out(*held_out(data, self.seed))
        self._find_concepts(data)
        self.learned_ = 0
        if self.head != "tf":
            self._learn(data)
        if selects and data.val is not None:
            self._select(unit(data.val[0]), data.val[1])
        logger.debug("visual concepts: %s", describe(self.diagnostics_))
        if warning := complaint(self.diagnostics_, self.debias):
            _warn_once(warning)

    # --- text concepts find visual concepts -----------------------------------------------

    def _find_concepts(self, data: Support) -> None:
        assert data.concepts is not None
        found = retrieve(data, self.top, self.debias, self.smoothing, self.column_mass)
        self.text_, self.text_concepts_ = self._class_queries(data), data.concepts
        self.images_, self.grounding_ = found.images, found.grounding
        self.diagnostics_, self.association_ = found.diagnostics, found.association
        self.mass_ = len(data.labels) / data.classes
        concepts = concept_features(self.visual, data, self.ridge, found.features)
        if concepts is None:
            self.association_ = data.views.new_zeros(data.views.shape[-1], data.classes)
        else:
            self.concepts_ = concepts
        if self.keep_images:
            self.keys_ = data.features

    def _class_queries(self, data: Support) -> Tensor:
        """Return (D, d) what asks for a class: its text, or what its pictures have in common."""
        if data.text is None and self.without_text == "prototypes":
            return class_prototypes(data)
        return data.class_text

    # --- a representation of images -------------------------------------------------------

    def _cosines(self, x: Tensor) -> Tensor:
        return x @ (self.keys_ if self.keep_images else self.concepts_).T

    def _pooled(self, scores: Tensor) -> Tensor:
        """Return one score a concept: the mean over its images, where they are kept."""
        if not self.keep_images:
            return scores
        return F.embedding_bag(self.images_, scores.T.contiguous(), mode="mean").T

    def _scores(self, x: Tensor) -> Tensor:
        """Return (n, I) concept scores; without concepts, the features themselves."""
        if not hasattr(self, "concepts_"):
            return x
        score, beta = self.score, self.chosen_["beta"]
        return in_blocks(
            lambda rows: self._pooled(concept_scores(self._cosines(rows), score, beta)),
            x,
            len(self.keys_ if self.keep_images else self.concepts_),
        )

    def _scored(self, x: Tensor) -> Scored:
        scores = self._scores(x)
        standard = (scores - self.mean_) / self.spread_ if hasattr(self, "inner_") else None
        fixed = self.head in ("tf", "full")
        return Scored(scores, standard, scores @ self.association_ if fixed else None)

    # --- the concept inference network ----------------------------------------------------

    def _network(self, scored: Scored, dropout: float = 0.0) -> Tensor:
        """Return what the network adds, (n, D), or (n, d) where it moves the feature."""
        assert scored.standard is not None
        hidden = torch.addmm(self.bias_, scored.standard, self.inner_).relu()
        if dropout:
            hidden = F.dropout(hidden, dropout)
        out = hidden @ self.outer_
        return out + self.shift_ if hasattr(self, "shift_") else out

    def _inferred(self, scored: Scored, dropout: float = 0.0) -> Tensor:
        if self.head == "mlp_plain":
            return self._network(scored, dropout)
        known = scored.scores @ self.association_ if scored.known is None else scored.known
        return known + self._network(scored, dropout) if hasattr(self, "inner_") else known

    def _text(self, x: Tensor) -> Tensor:
        text = self.text_
        if hasattr(self, "residual_"):
            text = unit(text + self.eta * self.residual_)
        return self.scale * x @ text.T

    def _blended(self, x: Tensor, scored: Scored, dropout: float = 0.0) -> Tensor:
        if self.head == "clip_adapter":
            moved = unit(BLEND * self._network(scored, dropout).relu() + (1 - BLEND) * x)
            return self.scale * moved @ self.text_.T
        return self._text(x) + self.chosen_["alpha"] * self._inferred(scored, dropout)

    # --- learning it ----------------------------------------------------------------------

    def _learn(self, data: Support) -> None:
        scores = self._scores(data.features)
        self.mean_ = scores.mean(0)
        self.spread_ = scores.std(0, correction=0).clamp_min(1e-6)
        learned = self._start(scores, data.classes)
        self.learned_ = sum(tensor.numel() for tensor in learned)
        if not learned:
            return
        views = unit(data.views)
        moving = self.learn_concepts and not self.keep_images and hasattr(self, "concepts_")
        again = moving or views.shape[1] > 1  # scores differ from step to step
        fixed = None if again else self._scored(data.features)

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            scored = self._scored(x) if fixed is None else fixed.rows(rows)
            return F.cross_entropy(self._blended(x, scored, self.dropout), data.labels[rows])

        def renew() -> None:
            self.concepts_.copy_(unit(self.concepts_))

        recipe = Recipe(self.epochs, self.batch, self.lr, weight_decay=self.weight_decay)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # dropout draws from the global generator
            after = renew if moving else None
            descend(learned, loss, views, recipe, seed=self.seed, after_step=after)

    def _start(self, scores: Tensor, classes: int) -> list[Tensor]:
        """Set what is learned as it starts, and return it."""
        generator = torch.Generator().manual_seed(self.seed)
        concepts, width, hidden = scores.shape[1], self.text_.shape[1], self.hidden
        learned: list[Tensor] = []
        if self.head == "linear":
            learned.append(self.association_)
        elif hidden:
            out = width if self.head == "clip_adapter" else classes
            self.inner_ = linear_start(concepts, hidden, generator, scores)
            if self.head == "full":
                self.bias_, self.outer_ = scores.new_zeros(hidden), scores.new_zeros(hidden, out)
            else:
                self.bias_ = linear_start(concepts, hidden, generator, scores)[0].clone()
                self.outer_ = linear_start(hidden, out, generator, scores)
                self.shift_ = linear_start(hidden, out, generator, scores)[0].clone()
                learned.append(self.shift_)
            learned += [self.inner_, self.bias_, self.outer_]
        # A residual needs a text to start from: the direction of 0 + R is noise.
        if self.head == "full" and self.text_residual and self.text_.any():
            self.residual_ = torch.zeros_like(self.text_)
            learned.append(self.residual_)
        if self.learn_concepts and not self.keep_images and hasattr(self, "concepts_"):
            self.concepts_ = self.concepts_.clone()  # they may be the text concepts
            learned.append(self.concepts_)
        return learned

    # --- choosing alpha and beta ----------------------------------------------------------

    def _tried_out(self, kept: Support, held: Labeled) -> dict[str, float]:
        """Return the alpha and beta with which `tf` does best on held-out support images.

        They are few, so that the grid is small and the cross-entropy decides among equals; what is
        as good as the given alpha and beta does not replace them. How sure answers may be is learned
        from the same images. Without concepts there is nothing to try.
        """
        trial = replace(self, head="tf")
        trial._find_concepts(kept)
        x, labels, chosen = unit(held[0]), held[1], self.chosen_
        if not hasattr(trial, "concepts_"):
            return chosen
        base, cosines, best = trial._text(x), trial._cosines(x), (-1, 0.0)
        asked = base
        alphas, betas = (self.alpha, *ALPHAS), (self.beta, *BETAS)
        for beta in betas if self.score == "exp" else betas[:1]:
            scores = trial._pooled(concept_scores(cosines, self.score, beta))
            branch = scores @ trial.association_
            alpha = choose_scale(base, branch, labels, alphas)
            logits = base + alpha * branch
            found = quality(logits, labels)
            if found > best:
                best, chosen, asked = found, {"alpha": alpha, "beta": beta}, logits
        self.calibrate(asked, labels)
        return chosen

    def _select(self, x: Tensor, labels: Tensor) -> None:
        base = self._text(x)
        if self.head != "tf":
            branch = self._inferred(self._scored(x))
            self.chosen_["alpha"] = choose_scale(base, branch, labels, ALPHAS)
            return
        if not hasattr(self, "concepts_"):
            return
        grid = TipGrid(self.beta_max, self.alpha_max, self.alpha)
        counter, best = AlphaCounter(base, labels, grid.alphas), -1
        cosines = self._cosines(x)
        for beta in grid.betas if self.score == "exp" else [self.beta]:
            scores = self._pooled(concept_scores(cosines, self.score, beta))
            counts = counter((scores @ self.association_).T.contiguous())
            if int(counts.max()) > best:
                best = int(counts.max())
                self.chosen_ = {"alpha": grid.alphas[int(counts.argmax())], "beta": beta}

    # --- use ------------------------------------------------------------------------------

    @property
    def trainable_parameters(self) -> int:
        """I D (`linear`); I H + H + H D + D d (`full`)."""
        return self.learned_

    def _logits(self, features: Tensor) -> Tensor:
        x = queries(features, self.text_)
        return in_blocks(
            lambda rows: self._blended(rows, self._scored(rows)), x, len(self.association_)
        )

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.text_)
        terms = [Term("text", float(self._text(x)[0, label]))]
        concepts = hasattr(self, "concepts_")
        if concepts and self.head in ("tf", "linear", "full"):
            scores = self._scores(x)[0]
            values = self.chosen_["alpha"] * scores * self.association_[:, label]
            every = range(len(scores))
            terms += concept_terms(every, values, scores, self.images_, self.grounding_)
        left = float(self._logits(feature)[0, label]) - sum(term.value for term in terms)
        if hasattr(self, "inner_"):
            terms.append(Term("network", left))
        elif not concepts:
            terms.append(Term("rest", left))
        return terms

    def new_logits(self, features: Tensor, class_text: Tensor) -> Tensor:
        """Return (n, D') logits of classes without a picture; see `transfer`."""
        x = queries(self._suited(features), self.text_)
        text = queries(class_text, x)
        logits = self.scale * x @ text.T
        if self.transfer == "none" or not hasattr(self, "concepts_"):
            return logits
        association = transferred(self.text_concepts_, text, self.mass_)
        return logits + self.chosen_["alpha"] * self._scores(x) @ association


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    """Warn; a comparison fits many heads to one data set, and they all would say the same."""
    logger.warning("%s", message)
