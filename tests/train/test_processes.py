"""Runs of several processes, and of processes that are stopped and killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import forked
from tests.forked import Forked
from tests.train import worker
from trifocal.train.checkpoints import Checkpoints
from trifocal.train.logs import read_lines

WORKER = str(Path(__file__).with_name("worker.py"))
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "TOKENIZERS_PARALLELISM": "false",
}


CASES = {
    "plain": {"method": "fsc_clip"},
    "late": {"method": "finetune", "checkpoint_every": 2, "eval_every": 2, "late": 0.5},
    "cached": {"method": "fsc_clip", "gradient_cache": 3, "bad": [4, 9]},
    "accumulated": {"method": "negclip", "accumulation": 2, "gradient_cache": 2},
    "lora": {"method": "lora"},
    "muon": {"method": "finetune", "optimizer": "muon"},
    "text": {"method": "text", "text_from": 1},
    "rca": {"method": "rca-dual"},
    "rca-cached": {"method": "rca-wrong_region", "gradient_cache": 3},
    "coop": {"method": "coop", "optimizer": "sgd"},
    "coop-cached": {"method": "coop", "gradient_cache": 3, "accumulation": 2},
    "clip_lora": {"method": "clip_lora"},
    "sharded-coop": {"method": "coop", "sharding": "full", "checkpoint_every": 2},
    "sharded": {"method": "fsc_clip", "sharding": "full", "checkpoint_every": 2, "keep": 2},
    "sharded-cached": {"method": "fsc_clip", "sharding": "full", "gradient_cache": 2},
    "sharded-text": {"method": "text", "sharding": "full", "text_from": 1},
    "sharded-lora": {"method": "lora", "sharding": "full", "accumulation": 2},
}


def command(*runs: tuple[Path, dict], processes: int = 1) -> list[str]:
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*start, WORKER, json.dumps([(str(output), changes) for output, changes in runs])]


def launch(words: list[str]) -> None:
    done = subprocess.run(
        words, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def final(output: Path, kind: str = "model") -> dict[str, torch.Tensor]:
    checkpoints = Checkpoints(output / "t")
    return load_file(checkpoints.path(checkpoints.steps()[-1]) / f"{kind}.safetensors")


def gap(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.fixture
def one_thread():
    """As many threads as `ENVIRONMENT` gives: sums of more are rounded otherwise, and a forked
    child must not wait for threads that only its parent has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """A folder with every case run by one process and by two."""
    folder = tmp_path_factory.mktemp("pairs")
    cases = {name: {**case, "steps": 4, "double": True} for name, case in CASES.items()}
    for name, case in cases.items():
        assert worker.run(folder / name / "one", case) == 0
    # Half of this one is made by one process, and taken up by two that share the parameters.
    half = folder / "sharded" / "two"
    worker.run(half, cases["sharded"])
    shutil.rmtree(Checkpoints(half / "t").path(4))
    launch(command(*((folder / name / "two", c) for name, c in cases.items()), processes=2))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one(pairs, name):
    tmp_path = pairs / name
    assert gap(final(tmp_path / "one"), final(tmp_path / "two")) < 1e-6
    lines = [
        [r for r in read_lines(tmp_path / name / "t" / "metrics.jsonl") if r["event"] == "train"]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in lines[1]] == [1, 2, 3, 4]
    starts = [
        [r for r in read_lines(tmp_path / n / "t" / "metrics.jsonl") if r["event"] == "start"][-1]
        for n in ("one", "two")
    ]
    assert [start["processes"] for start in starts] == [1, 2]
    assert starts[1]["step"] == (2 if name == "sharded" else 0)
    for one, two in zip(*lines):
        for key in ("loss", "gradient_norm", "logit_scale", "lr"):
            assert two[key] == pytest.approx(one[key], rel=1e-5), key
    saved = [next((tmp_path / n / "t" / "model").glob("*.safetensors")) for n in ("one", "two")]
    assert gap(load_file(saved[0]), load_file(saved[1])) < 1e-6
    skipped = [read_lines(tmp_path / name / "t" / "skipped.jsonl") for name in ("one", "two")]
    assert skipped[0] == skipped[1]


@pytest.mark.slow
def test_a_new_process_goes_on_bit_by_bit(tmp_path, one_thread):
    changes = {"method": "fsc_clip", "steps": 20, "workers": 1}
    assert worker.run(tmp_path / "straight", changes) == 0
    process = Forked(command((tmp_path / "cut", changes)), env=ENVIRONMENT)
    log = tmp_path / "cut" / "t" / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while sum(r["event"] == "train" for r in read_lines(log)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) in (143, 0)
    stopped = Checkpoints(tmp_path / "cut" / "t").steps()[-1]
    assert stopped >= 5
    done = forked.run(command((tmp_path / "cut", changes)), env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    for kind in ("model", "optimizer"):
        assert gap(final(tmp_path / "straight", kind), final(tmp_path / "cut", kind)) == 0


@pytest.mark.slow
def test_fifty_kills_leave_fifty_loadable_checkpoints(tmp_path, one_thread):
    """Children are forked from this process, which has paid for the imports already."""
    changes = {"steps": 1_000_000, "checkpoint_every": 1, "log_every": 1_000_000}
    checkpoints = Checkpoints(tmp_path / "t")
    rng, reached = random.Random(0), 0
    method = worker.make("finetune")
    for _ in range(50):
        child = os.fork()
        if child == 0:
            try:
                worker.run(tmp_path, changes)
            finally:
                os._exit(1)
        deadline = time.monotonic() + 300
        while (checkpoints.steps() or [0])[-1] <= reached and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        steps = checkpoints.steps()
        assert steps[-1] > reached
        reached = steps[-1]
        checkpoints.read(reached)
        checkpoints.load(reached, method)
        tensors = load_file(checkpoints.path(reached) / "optimizer.safetensors")
        assert float(tensors["step:clip.network.logit_scale"]) == reached
