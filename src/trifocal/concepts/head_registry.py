"""The few-shot heads by name, which can be had without the methods that train inside a backbone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trifocal.concepts.baselines.ape import APE, APET
from trifocal.concepts.baselines.clap import CLAP, ZSLP
from trifocal.concepts.baselines.clip_adapter import CLIPAdapter
from trifocal.concepts.baselines.gda import GDA
from trifocal.concepts.baselines.linear_probe import LinearProbe
from trifocal.concepts.baselines.lp_plus_plus import LPPlusPlus
from trifocal.concepts.baselines.proker import ProKeR
from trifocal.concepts.baselines.prolip import ProLIP
from trifocal.concepts.baselines.ss_text import SSText
from trifocal.concepts.baselines.taskres import TaskRes
from trifocal.concepts.baselines.tip_adapter import TipAdapter, TipAdapterF
from trifocal.concepts.baselines.zero_shot import ZeroShot
from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.head import Head
from trifocal.plugins import Registry

DEFAULT_HEAD = "concept-map"  # of `classify fit`: what validation chose (docs/concepts.md)

_OWN: dict[str, Callable[..., Head]] = {
    # Ours, and the same inference without visual concepts: the text concepts themselves, and raw
    # features.
    "concept-map": ConceptMap,
    "concept-map-text": partial(ConceptMap, visual="text"),
    "concept-map-raw": partial(ConceptMap, visual="raw"),
    # CCLI's network as its abstract describes it; without the network, training-free and with
    # learned associations; and with nothing that no published source mentions.
    "ccli": CCLI,
    "ccli-tf": partial(CCLI, head="tf"),
    "ccli-linear": partial(CCLI, head="linear"),
    "ccli-paper": partial(CCLI, debias=False, column_mass=False, text_residual=False),
    # The field around them.
    "zero-shot": ZeroShot,
    "linear-probe": LinearProbe,
    "tip-adapter": TipAdapter,
    "tip-adapter-f": TipAdapterF,
    "clip-adapter": CLIPAdapter,
    "taskres": TaskRes,
    "ape": APE,
    "ape-t": APET,
    "gda": GDA,
    "proker": ProKeR,
    "lp++": LPPlusPlus,
    "zs-lp": ZSLP,
    "clap": CLAP,
    "ss-text": SSText,
    "prolip": ProLIP,
}

HEADS: Registry[Callable[..., Head]] = Registry("head", _OWN)
