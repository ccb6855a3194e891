"""A forest plot is a picture that tells its contenders apart."""

import io

import numpy as np
from PIL import Image

from trifocal.metrics.intervals import Interval
from trifocal.report.figures import PALETTE
from trifocal.report.forest import Panel, forest


def test_points_have_the_color_of_their_place():
    panels = [
        Panel("GT-Box", [Interval(40, 30, 50), None], 25.0),
        Panel("acc1", [Interval(10, 8, 12), Interval(20, 15, 25)]),
    ]
    picture = Image.open(io.BytesIO(forest(["base", "ours"], panels, [1, 3]))).convert("RGB")
    assert picture.width > picture.height
    seen = {tuple(color) for color in np.asarray(picture).reshape(-1, 3)}
    for place in (1, 3):
        assert tuple(int(PALETTE[place][i : i + 2], 16) for i in (1, 3, 5)) in seen
    assert forest(["base", "ours"], panels, [1, 3]) == forest(["base", "ours"], panels, [1, 3])
