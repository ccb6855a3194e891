"""`trifocal embed`: pictures to unit vectors, for other programs."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import torch

from trifocal.apps.embed.job import Job, by_model
from trifocal.apps.loaded import load_stated
from trifocal.apps.processes import first_of_all, join_processes, process_count
from trifocal.apps.said import say
from trifocal.apps.stated import refuse_idle
from trifocal.bars import ProgressBars
from trifocal.clip import Clip
from trifocal.data.picture_lists import list_pictures
from trifocal.devices import pick_device, usable_device
from trifocal.errors import UserError
from trifocal.features.embedding_files import check_embeddings

_WORKERS = 2


def run(arguments: argparse.Namespace) -> int:
    """Embed what the command line names.

    Raises:
        UserError: the pictures, the model, or where to write does not do.
    """
    refuse_idle(arguments, "workers", not arguments.ray, "they are those of --ray")
    workers = _WORKERS if arguments.workers is None else arguments.workers
    if min(arguments.batch_size, workers) < 1:
        raise UserError("--batch-size and --workers must be at least 1.")
    check_embeddings(arguments.out, force=arguments.force)
    listed = list_pictures(arguments.sources, image_column=arguments.image_column)
    rank, processes = int(os.environ.get("RANK", "0")), process_count()
    if arguments.ray and processes > 1:
        raise UserError("--ray shares the work itself; start the command without torchrun.")
    device = join_processes(pick_device(arguments.device))
    load = partial(_load, arguments, device)
    with ProgressBars(quiet=arguments.quiet) as bars:
        model = load()
        fingerprint = getattr(model, "fingerprint", lambda: "")()
        facts = {"model": model.name, "sha256": fingerprint}
        job = Job(listed, Path(arguments.out), facts)
        if arguments.ray:
            from trifocal.apps.embed.ray_job import by_ray

            gpus = int(device.startswith("cuda"))
            work = by_ray(load, arguments.batch_size, workers, gpus, bars)
        else:
            work = by_model(model, arguments.batch_size, bars)
        job.embed(work, bars, rank, processes)
    if processes > 1:
        torch.distributed.barrier()
    if first_of_all():
        count, left_out = job.write(getattr(torch, arguments.dtype), force=arguments.force)
        for name, reason in left_out[:5]:
            print(f"left out: {name} ({reason})", file=sys.stderr)
        more = f", {len(left_out):,} left out" if left_out else ""
        facts = {"out": arguments.out, "pictures": count, "left_out": dict(left_out)}
        say(arguments, f"{count:,} pictures are embedded in {arguments.out}{more}", facts)
    if processes > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return 0


def _load(arguments: argparse.Namespace, device: str) -> Clip:
    """Load the model onto its device."""
    with usable_device(device) as place:
        return load_stated(arguments.model, arguments, place)
