from .baselines import Finetune as Finetune
from .baselines import FinetuneConfig as FinetuneConfig
from .baselines import NegClip as NegClip
from .baselines import NegClipConfig as NegClipConfig
from .fsc_clip import FscClip as FscClip
from .fsc_clip import FscClipConfig as FscClipConfig
from .labclip import LabClip as LabClip
from .labclip import LabClipConfig as LabClipConfig
