"""Concept map: logistic regression and Gaussian classes in concept space, with zero-shot CLIP as prior.

Ours, not a paper's. As in CCLI (`ccli`), text concepts find visual concepts among the support images;
what is made of them is convex instead of a network:

    z = K P (x - m) / |P (x - m)|            P: a power of the concepts' covariance, 1/4 as a rule
                                             K: scatter within classes, whitened
    logits = text * scale * x Wᵀ + (1 - share) * a z B + share * g z M + bias

B is most probable given the labeled pictures and the class names: the logits of the class texts W are
an offset, and the weights on top of them have a Gaussian prior with mean 0. The mode is the minimum of

    sum_i CE(offset_i + z_i B, y_i) + penalty / 2 |B|^2,

so there is one answer whatever the start; and since the sum grows with the number of pictures, the
texts count less the more pictures there are. M are the classes' means, which are Gaussian classes of one
covariance since z is whitened. The scales a and g, the share, and how sure the head may be are learned
from support pictures that each fit had not seen; what texts count, from how well they tell the
support. Without class texts left-out pictures also choose the power in P, and whether points keep the root
of their length. "map" is both: a maximum a posteriori estimate, and a map of a picture by its concepts.

Reading order: `ConceptMap` from `_fit` down, `space` for z, `likely_space` for which, `map_fit` for the
parts together, `regression` for B, `gaussians` for M, `mixture` for what each counts, `crossed` for how
that is learned, `sparse` for how an answer is explained; `discovery` has the visual concepts.

When to use: by default, from one photo a class on.

Relations: without concepts (`visual="raw"`) and with share 1 it is GDA (arXiv 2402.04087); with share 0,
GDA's whitening under a logistic regression that CLIP's texts start, where a linear probe starts from
nothing. Tip-Adapter adds to the texts what similar support images say, with a weight to choose.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trifocal.concepts.calibration import doubt
from trifocal.concepts.discovery import Visual, VisualConcepts, concept_features, describe, retrieve
from trifocal.concepts.explanation import Term, concept_terms
from trifocal.concepts.head import Head
from trifocal.concepts.likely_space import LENGTHS, POWERS
from trifocal.concepts.map_fit import fit_map
from trifocal.concepts.mixture import text_weight
from trifocal.concepts.parts import parts_metric
from trifocal.concepts.placed import Frame, Places, concept_frame
from trifocal.concepts.rows import queries
from trifocal.concepts.space import kept_length
from trifocal.concepts.sparse import sparse_code
from trifocal.concepts.support import Support, unit

logger = logging.getLogger(__name__)

ATOMS = 8  # concepts that a picture is explained by; more are less often in it


@dataclass(eq=False)
class ConceptMap(Head):
    """Logistic regression and Gaussian classes in concept space, with zero-shot CLIP as their prior.

    What `fit` selects: how much Gaussians and class texts count, and how sure answers are; with
    validation data on them, without on the support, each picture asked of a fit without it. Without
    class texts the space, too, always on the support. Where no class has two images nothing is but
    what the texts count.

    Attributes:
        visual: What a concept is in image space; see `concept_features`.
        top: T, images that are shown for a concept; None is the number of shots, 8 at most.
        debias: See `discover_visual_concepts`.
        ridge: Penalty of visual="reconstruct", in mean squared lengths.
        metric: What P is made of: "concepts", or "parts", what views of one picture differ in (see
            `parts`); that wants several views, and concepts then only name what is found.
        shrinkage: Isotropic part of the scatter within classes.
        penalty: Inverse prior variance of the weights.
        power: Of the concepts' covariance, in P; None selects one of `likely_space.POWERS`.
        length: The power of its length that a point keeps, 0 for unit points; None selects one of
            `likely_space.LENGTHS`.
        share: What Gaussians count, in [0, 1]; None selects it.
        text: What class texts count; None selects it, 1 at most.
        select: Whether anything is selected; False keeps what is given, validation data or not, and
            takes for None a share of 0.7 (0 beside class texts), a text of 1, a power of 1/4 and
            a length of 0.

    Example:
        >>> import torch, trifocal
        >>> support, labels = torch.eye(4).repeat(2, 1), torch.arange(4).repeat(2)
        >>> head = trifocal.ConceptMap().fit(support, labels, torch.eye(4), torch.eye(4))
        >>> head.predict(torch.eye(4)).tolist()
        [0, 1, 2, 3]
    """

    visual: Visual = "reconstruct"
    top: int | None = None
    debias: bool = True
    ridge: float = 0.01
    metric: Literal["concepts", "parts"] = "concepts"
    shrinkage: float = 1.0
    penalty: float = 0.1
    power: float | None = None
    length: float | None = None
    share: float | None = None
    text: float | None = None
    select: bool = True

    version: ClassVar[int] = 3  # 1 selected a penalty, and had no Gaussians; 2 had one space
    wants_text: ClassVar[bool] = False
    wants_concepts: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    # --- fitting --------------------------------------------------------------------------

    def _fit(self, data: Support) -> None:
        found = retrieve(data, self.top, self.debias)
        self.images_, self.grounding_ = found.images, found.grounding
        self.diagnostics_ = found.diagnostics
        logger.debug("visual concepts: %s", describe(self.diagnostics_))
        concepts = self._concepts(data, found)
        if concepts is not None:
            self.concepts_ = concepts
        text = self._text_weight(data)
        self.text_ = text * data.class_text
        fit = fit_map(
            Places(self._frame(data, concepts), data, self.shrinkage),
            data,
            self._texts,
            penalty=self.penalty,
            shrinkage=self.shrinkage,
            powers=self._powers(data, concepts),
            lengths=_tried(self.length, LENGTHS, data),
            share=self.share,
            select=self.select,
            seed=self.seed,
        )
        space = fit.where.space
        self.chosen_ = {
            "share": fit.share,
            "text": text,
            "power": space.power,
            "length": space.length,
        }
        self.center_, self.metric_ = space.center, space.metric
        self.weights_, self.biases_ = fit.weights()
        self.doubt_ = doubt(len(data.labels))
        if fit.asked is not None:
            self.calibrate(*fit.asked)

    def _concepts(self, data: Support, found: VisualConcepts) -> Tensor | None:
        if self.visual == "mean":
            return found.features
        return concept_features(self.visual, data, self.ridge)

    def _frame(self, data: Support, concepts: Tensor | None) -> Frame:
        if self.metric == "parts":
            return Frame(data.features.mean(0), parts_metric(unit(data.views)))
        return concept_frame(data.features, concepts)

    def _powers(self, data: Support, concepts: Tensor | None) -> tuple[float, ...]:
        """Return what may be tried; without concepts that weigh, a power is nothing."""
        if self.metric == "parts" or concepts is None:
            return (0.0,)
        return _tried(self.power, POWERS, data)

    def _text_weight(self, data: Support) -> float:
        if self.text is not None or not self.select or data.text is None:
            return 1.0 if self.text is None else self.text
        return text_weight(self.scale * data.features @ data.class_text.T, data.labels)

    def _texts(self, features: Tensor) -> Tensor:
        """Return (n, D) what class texts add to the logits."""
        return self.scale * unit(features) @ self.text_.T

    @property
    def trainable_parameters(self) -> int:
        """d D."""
        return self.weights_.numel()

    # --- use ------------------------------------------------------------------------------

    def _points(self, x: Tensor) -> Tensor:
        """Return (n, k) points of unit features before whitening, which is in the weights."""
        return kept_length((x - self.center_) @ self.metric_, self.chosen_.get("length", 0.0))

    def _logits(self, features: Tensor) -> Tensor:
        x = queries(features, self.text_)
        logits = torch.addmm(self.scale * x @ self.text_.T, self._points(x), self.weights_)
        return logits + self.biases_ if hasattr(self, "biases_") else logits

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        return self._terms_among(feature, label, None)

    def _terms_among(self, feature: Tensor, label: int, among: Tensor | None) -> list[Term]:
        """Return the text's part, one term for each of a few concepts, and what they leave.

        The picture's point in the space is written as a few concepts and a remainder (`sparse`),
        whatever the class; each part times the weights of the class is a term.
        """
        x = queries(feature, self.text_)
        point, weights = self._points(x)[0], self.weights_[:, label]
        terms = [Term("text", float(self.scale * x[0] @ self.text_[label]))]
        if self.chosen_.get("share"):
            terms.append(Term("bias", float(self.biases_[label])))
        if not hasattr(self, "concepts_"):
            return [*terms, Term("rest", float(point @ weights))]
        concepts = unit((self.concepts_ - self.concepts_.mean(0)) @ self.metric_)
        found, shares = sparse_code(point, concepts, ATOMS, among)
        values = shares * (concepts[found] @ weights)
        images, grounding = self.images_[found], self.grounding_[found]
        terms += concept_terms(found.tolist(), values, shares, images, grounding)
        return [*terms, Term("rest", float((point - shares @ concepts[found]) @ weights))]


def _tried(given: float | None, usual: tuple[float, ...], data: Support) -> tuple[float, ...]:
    """Return what may be tried of a space: what is given, or all, where Gaussians are to decide.

    Beside class texts they count nothing as a rule, and what they find likely says little of what
    learned weights would.
    """
    if given is not None:
        return (given,)
    return usual if data.text is None else usual[:1]
