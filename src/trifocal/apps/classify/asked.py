"""What several actions of `trifocal classify` take from a command line."""

from __future__ import annotations

import argparse
from typing import Any

from trifocal.apps.classify.classifier import Classifier, load_classifier
from trifocal.apps.region_lists import stated_boxes
from trifocal.devices import usable_device


def classifier_of(arguments: argparse.Namespace) -> Classifier:
    """Load the classifier that is named, on the device that is.

    Raises:
        UserError: it, its backbone or the device cannot be had.
    """
    with usable_device(arguments.device) as device:
        return load_classifier(
            arguments.classifier,
            model=arguments.model,
            force=arguments.force,
            device=device,
            **bare(arguments),
        )


def bare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what bare weights do not say themselves."""
    return {"activation": arguments.activation, "tokenizer": arguments.tokenizer}


def boxes_of(arguments: argparse.Namespace) -> tuple[Any, ...]:
    """Return the boxes that mark a region.

    Raises:
        UserError: one is not written as it should be.
    """
    return stated_boxes(arguments.box, arguments.box_format)
