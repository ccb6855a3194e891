"""SS-Text+ (Silva-Rodríguez et al., MICCAI 2025): class texts moved towards the images, closed form.

    w_k = t_k + 1 / (0.01 n λ_k) · sum of the class's v_i,    λ_k = max(1 / n_k, 1e-3)
    logits = scale * cos(x, w_k)

with n support images, n_k of them of class k. Nothing is selected, with or without validation
data, and uneven numbers of shots are provided for by λ. Made for medical tasks with a handful of
classes: the fewer classes, the more images outweigh texts.

When to use: a handful of classes, no training, no validation data.

Relations: one closed-form step from the texts towards class means; CLAP takes many.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trifocal.concepts.explanation import Term, image_terms
from trifocal.concepts.head import Head
from trifocal.concepts.rows import class_sums, queries
from trifocal.concepts.support import Support, unit

TEMPERATURE = 0.01


@dataclass(eq=False)
class SSText(Head):
    """SS-Text: training-free and validation-free."""

    def _fit(self, data: Support) -> None:
        self.text_ = data.class_text
        self.features_, self.labels_ = data.features, data.labels
        penalty = (1 / data.counts.to(self.text_)).clamp(min=1e-3)
        self.weights_ = 1 / (len(self.labels_) * penalty * TEMPERATURE)
        sums = class_sums(self.features_, self.labels_, self.classes_)
        self.classifier_ = self.text_ + self.weights_[:, None] * sums

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * queries(features, self.text_) @ unit(self.classifier_).T

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.text_)[0]
        scale = self.scale / self.classifier_[label].norm()
        images = (self.labels_ == label).nonzero().flatten()
        cosines = self.features_[images] @ x
        text = Term("text", float(scale * x @ self.text_[label]))
        return [text, *image_terms(scale * self.weights_[label] * cosines, cosines, images)]
