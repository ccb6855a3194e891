"""The model that a command line names, with what it says of bare weights (`parser.add_bare_weights`)."""

from __future__ import annotations

import argparse
from typing import Any

from trifocal.clip import Clip
from trifocal.tuning import load_model


def bare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what bare weights do not say themselves."""
    return {"activation": arguments.activation, "tokenizer": arguments.tokenizer}


def load_stated(name: str, arguments: argparse.Namespace, device: str) -> Clip:
    """Load a model onto a device, ready to be asked.

    Raises:
        UserError: it cannot be had.
    """
    return load_model(name, device=device, **bare(arguments)).eval()
