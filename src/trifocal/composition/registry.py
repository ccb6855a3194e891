"""What the focus on composition offers, by the names of recipes and of the command line."""

from __future__ import annotations

from trifocal.composition.baselines import Finetune, FinetuneConfig, NegClip, NegClipConfig
from trifocal.composition.benchmarks.aro import Aro
from trifocal.composition.benchmarks.bivlc import BiVlc
from trifocal.composition.benchmarks.coco_counterfactuals import CocoCounterfactuals
from trifocal.composition.benchmarks.cola import Cola
from trifocal.composition.benchmarks.colorswap import ColorSwap
from trifocal.composition.benchmarks.crepe import Crepe
from trifocal.composition.benchmarks.eqben import EqBen
from trifocal.composition.benchmarks.imagecode import ImageCode
from trifocal.composition.benchmarks.mmvp_vlm import MmvpVlm
from trifocal.composition.benchmarks.negbench import NegBench
from trifocal.composition.benchmarks.spec import Spec
from trifocal.composition.benchmarks.sugarcrepe import SugarCrepe
from trifocal.composition.benchmarks.sugarcrepe_pp import SugarCrepePlus
from trifocal.composition.benchmarks.svo_probes import SvoProbes
from trifocal.composition.benchmarks.valse import Valse
from trifocal.composition.benchmarks.vl_checklist import VlChecklist
from trifocal.composition.benchmarks.vsr import Vsr
from trifocal.composition.benchmarks.whatsup import WhatsUp
from trifocal.composition.benchmarks.winoground import Winoground
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.composition.labclip import LabClip, LabClipConfig

METHODS = {
    "finetune": (FinetuneConfig, Finetune),
    "negclip": (NegClipConfig, NegClip),
    "fsc_clip": (FscClipConfig, FscClip),
    "labclip": (LabClipConfig, LabClip),
}

BENCHMARKS = {
    one.name: one
    for one in (
        SugarCrepe,
        SugarCrepePlus,
        Winoground,
        BiVlc,
        ColorSwap,
        MmvpVlm,
        EqBen,
        CocoCounterfactuals,
        Spec,
        Aro,
        VlChecklist,
        NegBench,
        Valse,
        WhatsUp,
        Crepe,
        Vsr,
        ImageCode,
        SvoProbes,
        Cola,
    )
}
