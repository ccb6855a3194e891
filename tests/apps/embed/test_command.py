"""`trifocal embed`: one result, however the work is shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.search.conftest import COLORS, paint
from trifocal.cli import main
from trifocal.clip import Clip, load_clip, save_pretrained
from trifocal.features import corpus
from trifocal.features.embed import encode_images


@pytest.fixture
def place(tmp_path: Path, tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and pictures, one of them broken; two pictures are a chunk."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    save_pretrained(tiny_clip, tmp_path / "model")
    return tmp_path


def embed(*words: str) -> int:
    return main(["embed", "photos", "--model", "model", "--device", "cpu", *words])


def test_the_embeddings_are_those_of_the_files(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed("--out", "a.safetensors") == 0
    assert "6 pictures are embedded in a.safetensors, 1 left out" in capsys.readouterr().out
    told = json.loads((place / "a.json").read_text())
    assert [Path(name).stem for name in told["images"]] == sorted(COLORS)
    assert told["left_out"][0]["image"].endswith("broken.png")
    made = load_file(place / "a.safetensors")["embeddings"]
    plain = encode_images(load_clip(place / "model"), [Path(name) for name in told["images"]])
    assert torch.allclose(made, plain, atol=1e-6)
    assert embed("--out", "a.safetensors") == 2
    assert embed("--out", "a.safetensors", "--force", "--dtype", "float16") == 0
    assert load_file(place / "a.safetensors")["embeddings"].dtype == torch.float16


def test_parquet_has_the_same(place: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert embed("--out", "a.parquet") == 0
    assert embed("--out", "a.safetensors") == 0
    table = parquet.read_table(place / "a.parquet")
    made = torch.tensor(table["embedding"].to_pylist())
    assert torch.equal(made, load_file(place / "a.safetensors")["embeddings"])
    assert json.loads(table.schema.metadata[b"trifocal"])["left_out"]


def test_a_stopped_run_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trifocal.apps.embed import job

    monkeypatch.setattr(job, "chunks", lambda listed: corpus.chunks(listed, 2))
    embed("--out", "whole.safetensors")
    whole, seen = job.embed_chunk, []

    def stopping(*given: object, **settings: object) -> corpus.Embedded:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(1)
        return whole(*given, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "embed_chunk", stopping)
    assert embed("--out", "a.safetensors") == 130
    assert not (place / "a.safetensors").exists()
    seen.clear()
    assert embed("--out", "a.safetensors") == 0
    assert len(seen) == 2
    made, plain = (place / f"{name}.safetensors" for name in ("a", "whole"))
    assert made.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.txt"], "does not end in"),
        (["--out", "a.safetensors", "--workers", "2"], "no effect"),
        (["--out", "a.safetensors", "--batch-size", "0"], "at least 1"),
    ],
)
def test_mistakes_are_sentences(
    place: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(*words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("way", ["torchrun", "ray"])
def test_shared_work_makes_the_same_bytes(place: Path, way: str) -> None:
    paint(place / "photos", ("purple", "orange", "brown", "pink"))
    script = place / "run.py"
    script.write_text(
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from trifocal.apps.embed import job\n"
        "from trifocal.features import corpus\n"
        "job.chunks = lambda listed: corpus.chunks(listed, 3)\n"
        "from trifocal.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["embed", "photos", "--model", "model", "--device", "cpu", "--out"]
    alone = [sys.executable, str(script), *words, "one.safetensors"]
    shared = [sys.executable, str(script), *words, "two.safetensors"]
    if way == "ray":
        pytest.importorskip("ray")
        shared += ["--ray", "--workers", "2"]
    else:
        start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        shared = [*start, "--master-port", "29713", *shared[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in (alone, shared):
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    assert (place / "one.safetensors").read_bytes() == (place / "two.safetensors").read_bytes()
