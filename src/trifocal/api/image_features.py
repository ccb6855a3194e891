"""The first step of a scikit-learn pipeline on pictures: they become vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trifocal.errors import UserError, nearest

if TYPE_CHECKING:
    from trifocal.api.model import Model
    from trifocal.clip import Clip
    from trifocal.data.given import Pictures

_PARAMETERS = ("model", "device", "batch_size")


class ImageFeatures:
    """A scikit-learn transformer of pictures into unit vectors (N, D); it learns nothing.

    Args:
        model: What `trifocal.load` takes, or a loaded model.
        device: Where to put it.
        batch_size: Most pictures in one pass.

    Example:
        >>> import trifocal
        >>> pictures = ["photos/red/0.jpg", "photos/red/1.jpg", "photos/blue/0.jpg", "photos/blue/1.jpg"]
        >>> features = trifocal.ImageFeatures("builtin").fit_transform(pictures)
        >>> features.shape
        (4, 128)
        >>> from sklearn.pipeline import make_pipeline
        >>> steps = make_pipeline(trifocal.ImageFeatures("builtin"), trifocal.HeadClassifier("gda"))
        >>> steps.fit(pictures, ["red", "red", "blue", "blue"]).predict(["new.jpg"])
        array(['red'], dtype='<U4')
    """

    def __init__(
        self, model: str | Model | Clip = "builtin", *, device: str = "auto", batch_size: int = 64
    ) -> None:
        self.model = model
        self.device = device
        self.batch_size = batch_size

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Do nothing, and return self."""
        return self

    def transform(self, X: Pictures) -> np.ndarray:
        """Return (N, D) float32 unit vectors of N pictures, as `Model.encode_images` takes them.

        Raises:
            TypeError, UserError: as `Model.encode_images`.
        """
        from trifocal.api.model import kept, load

        named = isinstance(self.model, str)
        model = kept(self.model, self.device) if named else load(self.model, self.device)
        found = model.encode_images(X, batch_size=self.batch_size)
        return np.atleast_2d(found.numpy())

    def fit_transform(self, X: Pictures, y: Any = None) -> np.ndarray:
        """Return what `transform` returns."""
        return self.transform(X)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the constructor was given."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Set what the constructor takes; return self.

        Raises:
            UserError: there is no such parameter.
        """
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise UserError(f"Invalid parameter {name!r}.{nearest(name, _PARAMETERS)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"ImageFeatures({self.model!r})"

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import (  # pyright: ignore[reportMissingImports]
            InputTags,
            Tags,
            TargetTags,
            TransformerTags,
        )

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            requires_fit=False,
            input_tags=InputTags(two_d_array=False, string=True),
        )
