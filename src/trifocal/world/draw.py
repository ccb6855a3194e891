"""A scene graph as a picture."""

from __future__ import annotations

from PIL import Image

from trifocal.errors import UserError
from trifocal.world.backgrounds import background, veil
from trifocal.world.boxes import pixel_box
from trifocal.world.scene import Scene
from trifocal.world.sprites import sprite


def draw(scene: Scene, size: int | tuple[int, int] = 64) -> Image.Image:
    """Draw a scene as an RGB picture with a side, or (height, width), of 16 or more pixels.

    Boxes fall on whole pixels, so a drawn box is within half a pixel of its thing's `box` times the
    size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 16 or max(height, width) > 4096:
        raise UserError(f"A scene is drawn with 16 to 4096 pixels a side, not {height} × {width}.")
    picture = background(scene.place, scene.condition, scene.variant, width, height).copy()
    for thing in scene.things:
        left, top, w, h = pixel_box(thing.box, width, height)
        image, margin = sprite(thing.kind, thing.color, thing.texture, w, h)
        picture.paste(image, (left - margin, top - margin), image)
    weather = None if scene.place == "room" else veil(scene.condition, scene.variant, width, height)
    if weather is not None:
        picture.paste(weather, (0, 0), weather)
    return picture
