"""Each request is answered as the command line would answer it."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.apps.serve.conftest import as_file, class_folders, zipped
from trifocal.apps.serve.served import Served


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/page.js", "/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "//" not in answer.text.replace("// ", "").replace("http://www.w3.org/", "")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    told = client.get("/api").json()
    assert told["model"] == "builtin"
    assert len(told["examples"]) == told["searched"]
    assert client.get("/api/examples/0").json()["picture"].startswith("data:image/webp")


def test_explain(client: TestClient) -> None:
    form = {"example": 0, "boxes": "[[20, 30, 100, 80]]", "top": 4}
    answer = client.post("/api/explain", data=form).json()
    scores = [one["score"] for one in answer["explanations"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4
    assert len(answer["map"]) == len(answer["map"][0]) > 1
    form["texts"] = "it rains\nsomebody left\n"
    own = client.post("/api/explain", data=form).json()["explanations"]
    assert {one["text"] for one in own} == {"it rains", "somebody left"}


def test_compose(client: TestClient, served: Served) -> None:
    said = [served.examples[0].captions[0], "a purple nothing"]
    form = {"example": 0, "captions": json.dumps(said), "shown": 1}
    answer = client.post("/api/compose", data=form).json()
    assert [row["text"] for row in answer["captions"]] == said
    assert sum(row["probability"] for row in answer["captions"]) == pytest.approx(1, abs=1e-4)
    assert all(-1 <= row["local"] <= 1 for row in answer["captions"])
    assert [one["word"] for one in answer["words"]] == ["a", "purple", "nothing"]


def test_search(client: TestClient) -> None:
    answer = client.post("/api/search", data={"text": "a red ball", "top": 3}).json()
    assert len(answer["hits"]) == 3
    assert isinstance(answer["good_match"], bool)
    assert answer["hits"][0]["thumbnail"].startswith("data:image/webp")
    assert "/" not in answer["hits"][0]["image"]
    like = client.post("/api/search", data={"example": 2, "top": 1}).json()
    assert like["hits"][0]["image"] == "003.png"


def test_classify(client: TestClient) -> None:
    files = {"files": ("photos.zip", zipped(class_folders()), "application/zip")}
    made = client.post("/api/classifiers", files=files).json()
    assert made["classes"] == ["blue", "red"]
    red = as_file(Image.new("RGB", (50, 50), "red"), "JPEG")
    ask = {"classifier": made["classifier"]}
    answer = client.post("/api/predict", data=ask, files={"image": red}).json()
    assert answer["class"] == "red"
    assert answer["reasons"]
    loose = [("files", (name, content)) for name, content in class_folders().items()]
    assert client.post("/api/classifiers", files=loose).json()["classes"] == ["blue", "red"]


def test_a_model_folder_is_taken_as_it_is(client: TestClient, served: Served) -> None:
    files = {"files": ("photos.zip", zipped(class_folders()), "application/zip")}
    client.post("/api/classifiers", files=files)
    folder = next(served.folder.glob("*/classifier"))
    model = {
        f"mine/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    answer = client.post("/api/classifiers", files={"files": ("m.zip", zipped(model))})
    made = answer.json()
    assert made.get("classes") == ["blue", "red"], answer.text
    form = {"classifier": made["classifier"], "example": 1}
    assert client.post("/api/predict", data=form).status_code == 200


@pytest.mark.parametrize("kind", ["CMYK", "turned", "L", "P", "RGBA"])
def test_odd_pictures_are_read(client: TestClient, kind: str) -> None:
    picture = Image.new("RGB", (60, 30), "red")
    if kind == "turned":
        exif = picture.getexif()
        exif[0x0112] = 6
        content = as_file(picture, "JPEG", exif=exif)
    else:
        content = as_file(picture.convert(kind), "JPEG" if kind == "CMYK" else "PNG")
    answer = client.post("/api/explain", files={"image": io.BytesIO(content)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == ([30, 60] if kind == "turned" else [60, 30])
