"""A process that has imported everything once, and forks a child for each command it is told of.

`python -m tests.faults.server` reads a line, which holds the requests that run at once, and answers
in a line. So an attempt at a command costs no imports, and can be killed with all that it started.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

LONGEST = 120.0  # seconds; what takes longer hangs
HEAVY = (
    "torch", "transformers", "accelerate", "safetensors.torch", "scipy.optimize", "trifocal.tuning",
    "trifocal.train.engine", "trifocal.features.pictures", "trifocal.evaluate.runner",
    "trifocal.evaluate.few_shot.run", "trifocal.apps.classify.fit", "trifocal.apps.explain.command",
)  # fmt: skip


def main() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    for line in sys.stdin:
        begun, requests = time.monotonic(), json.loads(line)
        children = [_start(request) for request in requests]
        answers = [_end(*pair, begun) for pair in zip(requests, children, strict=True)]
        print(json.dumps(answers), flush=True)


def _start(request: dict[str, Any]) -> int:
    """Run a command in a child; see `tests.faults.attempts.Server.run` for what may be asked."""
    child = os.fork()
    os.setpgid(child, child)  # by both: neither may come too late
    if child == 0:
        _become(request)
    return child


def _end(request: dict[str, Any], child: int, begun: float) -> dict[str, Any]:
    """Send a child its signals, and return what became of it."""
    after = request["after"]
    signals = [] if after is None else [(after, request["signal"])]
    signals.append((LONGEST, signal.SIGKILL))
    for moment, number in signals:
        while time.monotonic() - begun < moment:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                return _answer(request, begun, status, usage)
            time.sleep(0.002)
        target = os.killpg if number == signal.SIGKILL else os.kill
        target(child, number)
    return _answer(request, begun, *os.wait4(child, 0)[1:])


def _answer(
    request: dict[str, Any], begun: float, status: int, usage: resource.struct_rusage
) -> dict[str, Any]:
    seconds = time.monotonic() - begun
    learned = Path(request["log"] + ".modules")
    if learned.is_file():
        for name in learned.read_text().split():
            try:
                importlib.import_module(name)
            except Exception:  # a name that stands for no module of its own
                continue
        learned.unlink()
    cpu = usage.ru_utime + usage.ru_stime
    return {"status": os.waitstatus_to_exitcode(status), "seconds": seconds, "cpu": cpu}


def _become(request: dict[str, Any]) -> None:
    """Be the command, and end."""
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    status = 1
    try:
        if request["largest"] is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"],) * 2)
        module, _, name = request["call"].partition(":")
        status = getattr(importlib.import_module(module), name)(request["words"])
        sys.stdout.flush()
        if request["learn"]:
            Path(request["log"] + ".modules").write_text("\n".join(list(sys.modules)))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status or 0)


if __name__ == "__main__":
    main()
