"""The field around CCLI: few-shot heads on the features of a frozen CLIP, one file each."""

from __future__ import annotations

from collections.abc import Callable

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
from trifocal.concepts.head import Head

BASELINES: dict[str, Callable[..., Head]] = {
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

__all__ = [
    "APE",
    "APET",
    "BASELINES",
    "CLAP",
    "GDA",
    "ZSLP",
    "CLIPAdapter",
    "LPPlusPlus",
    "LinearProbe",
    "ProKeR",
    "ProLIP",
    "SSText",
    "TaskRes",
    "TipAdapter",
    "TipAdapterF",
    "ZeroShot",
]
