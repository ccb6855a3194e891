"""A sentence encoder: texts to unit vectors that lie close where two sentences say the same.

Read are the folders of sentence-transformers (Reimers and Gurevych, EMNLP 2019): a transformers model, and in
`1_Pooling/config.json` how its words become one vector. Other modules than pooling and
normalization are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip.weights import read_json
from trifocal.errors import UserError
from trifocal.progress import Progress, Quiet, counted

_BATCH = 64


class SentenceEncoder:
    """A sentence-transformers model, in evaluation mode.

    Args:
        name: Its folder, or a Hub id.

    Raises:
        UserError: there is no such model, or it is made otherwise.
    """

    def __init__(self, name: str) -> None:
        from huggingface_hub import snapshot_download
        from transformers import AutoModel, AutoTokenizer

        folder = Path(name).expanduser()
        try:
            if not folder.is_dir():
                kinds = ["*.json", "*.txt", "model.safetensors", "*/config.json"]
                folder = Path(snapshot_download(name, allow_patterns=kinds))
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self.model: Any = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
        except Exception as error:  # each kind of folder lacks something of its own
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"{name} is no sentence encoder: {reason}.") from error
        pooling = read_json(folder / "1_Pooling" / "config.json") or {}
        self.first = bool(pooling.get("pooling_mode_cls_token"))
        if not self.first and not pooling.get("pooling_mode_mean_tokens", True):
            raise UserError(
                f"{name} pools words otherwise than by their mean or first; use another."
            )
        if (folder / "2_Dense").is_dir():
            raise UserError(f"{name} has a layer behind its pooling; use an encoder without.")
        stated = (read_json(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
        self.longest = stated or min(self.tokenizer.model_max_length, 512)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Return (T, D) unit vectors."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        starts = range(0, len(texts), _BATCH)
        parts = [
            self._encode([texts[i] for i in order[start : start + _BATCH]])
            for start in counted(starts, "batches of captions", progress or Quiet())
        ]
        found = torch.cat(parts) if parts else torch.empty(0, self.model.config.hidden_size)
        place = torch.empty(len(order), dtype=torch.long)
        place[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        return found[place]

    def _encode(self, texts: list[str]) -> Tensor:
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        states = self.model(**batch).last_hidden_state
        if self.first:
            return F.normalize(states[:, 0], dim=-1)
        mask = batch["attention_mask"][..., None].to(states.dtype)
        return F.normalize((states * mask).sum(1) / mask.sum(1).clamp_min(1), dim=-1)
