"""Runs of several processes, and of processes that are stopped and killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trifocal.train.checkpoints import Checkpoints
from trifocal.train.logs import read_lines

WORKER = str(Path(__file__).with_name("worker.py"))
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ACCELERATE_USE_CPU": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "TOKENIZERS_PARALLELISM": "false",
}


def launch(output: Path, changes: dict, processes: int = 1) -> None:
    command = [sys.executable, WORKER, str(output), json.dumps(changes)]
    if processes > 1:
        command[1:1] = [
            "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
        ]  # fmt: skip
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def final(output: Path, kind: str = "model") -> dict[str, torch.Tensor]:
    checkpoints = Checkpoints(output / "t")
    return load_file(checkpoints.path(checkpoints.steps()[-1]) / f"{kind}.safetensors")


def gap(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "fsc_clip"},
        {"method": "fsc_clip", "gradient_cache": 3, "bad": [4, 9]},
        {"method": "negclip", "accumulation": 2, "gradient_cache": 2},
        {"method": "lora"},
    ],
    ids=["plain", "cached", "accumulated", "lora"],
)
def test_two_processes_equal_one(tmp_path, changes):
    changes = {**changes, "steps": 4, "double": True}
    launch(tmp_path / "one", changes)
    launch(tmp_path / "two", changes, processes=2)
    assert gap(final(tmp_path / "one"), final(tmp_path / "two")) < 1e-6
    lines = [
        [r for r in read_lines(tmp_path / name / "t" / "metrics.jsonl") if r["event"] == "train"]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in lines[1]] == [1, 2, 3, 4]
    for one, two in zip(*lines):
        for key in ("loss", "gradient_norm", "logit_scale", "lr"):
            assert two[key] == pytest.approx(one[key], rel=1e-5), key
    skipped = [read_lines(tmp_path / name / "t" / "skipped.jsonl") for name in ("one", "two")]
    assert skipped[0] == skipped[1]


@pytest.mark.slow
def test_a_new_process_goes_on_bit_by_bit(tmp_path):
    changes = {"method": "fsc_clip", "steps": 20, "workers": 1}
    launch(tmp_path / "straight", changes)
    process = subprocess.Popen(
        [sys.executable, WORKER, str(tmp_path / "cut"), json.dumps({**changes, "log_every": 1})],
        env=ENVIRONMENT,
    )
    log = tmp_path / "cut" / "t" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while sum(r["event"] == "train" for r in read_lines(log)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (143, 0)
    stopped = Checkpoints(tmp_path / "cut" / "t").steps()[-1]
    assert stopped >= 5
    launch(tmp_path / "cut", changes)
    for kind in ("model", "optimizer"):
        assert gap(final(tmp_path / "straight", kind), final(tmp_path / "cut", kind)) == 0


@pytest.mark.slow
def test_fifty_kills_leave_fifty_loadable_checkpoints(tmp_path):
    """Children are forked from this process, which has paid for the imports already."""
    from . import worker

    changes = {"steps": 1_000_000, "checkpoint_every": 1, "log_every": 1_000_000}
    arguments = ["worker", str(tmp_path), json.dumps(changes)]
    checkpoints = Checkpoints(tmp_path / "t")
    rng, reached = random.Random(0), 0
    torch.set_num_threads(1)
    method = worker.make("finetune")
    for _ in range(50):
        child = os.fork()
        if child == 0:
            os.setsid()
            sys.argv = arguments
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            try:
                worker.main()
            finally:
                os._exit(1)
        deadline = time.monotonic() + 60
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
