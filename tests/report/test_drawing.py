"""What drawn explanations share."""

from __future__ import annotations

from PIL import Image

from trifocal.report.drawing import marked


def test_boxes_are_drawn() -> None:
    gray = Image.new("RGB", (100, 50), (128, 128, 128))
    picture = marked(gray, [(20, 10, 40, 20)], 256)
    assert picture.size == (256, 128)
    edge = picture.getpixel((round(20 * 2.56), round(20 * 2.56)))
    assert edge[0] > 150 > edge[1]
    assert picture.getpixel((100, 50)) == (128, 128, 128)
