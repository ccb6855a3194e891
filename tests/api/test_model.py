"""`load`: whatever a picture comes as, it is the same picture, and mistakes are named."""

from __future__ import annotations

import io
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpies
from PIL import Image

import trifocal
from trifocal.clip import Clip
from trifocal.data.given import open_picture
from trifocal.data.images import BadImage
from trifocal.data.web import fetch
from trifocal.errors import UserError
from trifocal.features.embed import encode_images, encode_texts


@pytest.fixture
def model(tiny_clip: Clip) -> trifocal.Model:
    return trifocal.load(tiny_clip)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def path(photo: Image.Image, tmp_path: Path) -> Path:
    photo.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_one_picture_is_a_vector_of_unit_length(model: trifocal.Model, path: Path) -> None:
    found = model.encode_image(path)
    assert found.shape == (model.embed_dim,)
    assert found.dtype == torch.float32
    assert float(found.norm()) == pytest.approx(1)
    torch.testing.assert_close(model.encode_images([path, str(path)]), found.expand(2, -1))
    assert torch.equal(found, encode_images(model.clip, [path])[0])


def test_all_forms_of_a_picture_are_the_same(
    model: trifocal.Model, path: Path, photo: Image.Image
) -> None:
    array = np.asarray(photo)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    forms: list[Any] = [path, path.read_bytes(), photo, array, tensor]
    forms += [array / 255, (array / 255).astype(np.float32), tensor / 255, tensor.double() / 255]
    found = model.encode_images(forms)
    assert torch.equal(found, found[:1].expand(len(forms), -1))


@pytest.mark.parametrize("form", ["array", "tensor", "generator", "empty"])
def test_batches(model: trifocal.Model, photo: Image.Image, form: str) -> None:
    array = np.stack([np.asarray(photo)] * 3)
    batch: dict[str, Any] = {
        "array": array,
        "tensor": torch.from_numpy(array).permute(0, 3, 1, 2),
        "generator": (one for one in array),
        "empty": [],
    }
    assert model.encode_images(batch[form]).shape == (0 if form == "empty" else 3, model.embed_dim)


def test_gray_and_turned_pictures(model: trifocal.Model, photo: Image.Image) -> None:
    gray = photo.convert("L")
    assert torch.equal(model.encode_image(np.asarray(gray)), model.encode_image(gray))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(turned, "PNG", exif=exif)
    as_image = Image.open(io.BytesIO(turned.getvalue()))
    assert torch.equal(model.encode_image(turned.getvalue()), model.encode_image(as_image))


def test_features_that_are_not_normalized(model: trifocal.Model, path: Path) -> None:
    raw = model.encode_image(path, normalize=False)
    assert float(raw.norm()) != pytest.approx(1)
    torch.testing.assert_close(torch.nn.functional.normalize(raw, dim=0), model.encode_image(path))
    raw = model.encode_text("a dog", normalize=False)
    torch.testing.assert_close(
        torch.nn.functional.normalize(raw, dim=0), model.encode_text("a dog")
    )


def test_texts(model: trifocal.Model) -> None:
    assert model.encode_text("a red ball").shape == (model.embed_dim,)
    texts = ("a red ball", "a dog")
    assert torch.equal(model.encode_texts(texts), encode_texts(model.clip, texts))
    assert model.encode_texts([]).shape == (0, model.embed_dim)


def test_similarity_is_a_table_of_cosines(model: trifocal.Model, photo: Image.Image) -> None:
    table = model.similarity([photo, photo], ["a dog", "a cat", "a ball"])
    assert table.shape == (2, 3)
    assert float(table.abs().max()) <= 1 + 1e-6
    assert model.similarity(photo, "a dog").shape == (1, 1)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (7, "the picture is of type int"),
        ([b"", None], "picture 1 is of type NoneType"),
        ([["a.jpg"]], "picture 0 is of type list"),
        (np.zeros((3, 8, 9)), r"shape \(3, 8, 9\).*transpose"),
        (torch.zeros(8, 9, 3), r"shape \(8, 9, 3\).*permute"),
        (np.zeros((2, 8, 9, 5)), r"picture 0 is of shape \(8, 9, 5\)"),
        (np.zeros((0, 4, 3)), r"shape \(0, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_a_type_error(model: trifocal.Model, given: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        model.encode_images(given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("nowhere.jpg", "nowhere.jpg .no such file"),
        (b"no picture", "picture 0 .not a JPEG"),
        (np.full((8, 8, 3), 200.0), r"picture 0 has floats from 200 to 200.*\[0, 1\]"),
        (np.full((8, 8, 3), np.nan), "picture 0 has floats"),
        (torch.full((3, 8, 8), -1.5), "leave out the normalization"),
        (np.zeros((8, 8, 3), np.int64), "numbers of type int64"),
        ("https://example.org/a.jpg", "urls=True"),
    ],
)
def test_what_cannot_be_read_is_a_user_error(model: trifocal.Model, given: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        model.encode_images([given])


def test_a_folder_is_not_a_picture(model: trifocal.Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; give its files, as Path"):
        model.encode_image(tmp_path)


@pytest.mark.parametrize(("given", "named"), [(3, "type int"), (["a", 3], "text 1 is of type int")])
def test_what_is_no_text_is_a_type_error(model: trifocal.Model, given: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        model.encode_texts(given)


def test_a_model_is_loaded_once(model: trifocal.Model) -> None:
    assert trifocal.load(model) is model
    with pytest.raises(TypeError, match="not of type int"):
        trifocal.load(3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no-such-model"):
        trifocal.load("no-such-model")


def test_whoever_watches_is_told(model: trifocal.Model, photo: Image.Image) -> None:
    class Told:
        steps = 0

        def start(self, what: str, total: int) -> None:
            self.what, self.total = what, total

        def advance(self, count: int) -> None:
            self.steps += count

    told = Told()
    model.encode_images([photo] * 5, progress=told)
    assert (told.what, told.total, told.steps) == ("pictures", 5, 5)


@given(numpies.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_integers_and_floats_are_the_same_picture(array: np.ndarray) -> None:
    same = [array / 255, (array / 255).astype(np.float32), torch.from_numpy(array).permute(2, 0, 1)]
    for other in same:
        assert np.array_equal(np.asarray(open_picture(other)), array)


@pytest.fixture
def server(path: Path) -> Any:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", path.as_uri())
                self.end_headers()
                return
            self.send_response(200 if self.path == "/photo.png" else 404)
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_addresses_are_fetched_when_asked_for(
    model: trifocal.Model, path: Path, server: str
) -> None:
    found = model.encode_image(f"{server}/photo.png", urls=True)
    assert torch.equal(found, model.encode_image(path))
    with pytest.raises(UserError, match="Not Found"):
        model.encode_image(f"{server}/other.png", urls=True)


def test_an_address_leads_to_no_file_and_has_a_bound(server: str) -> None:
    with pytest.raises(BadImage, match="not allowed"):
        fetch(f"{server}/away")
    with pytest.raises(BadImage, match="more than 0 MB"):
        fetch(f"{server}/photo.png", most=10)
