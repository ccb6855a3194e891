"""A model as a folder of sentence-transformers: `SentenceTransformer(path)` embeds texts and pictures.

The layout is that of sbert.net's own CLIP models, which every version reads: the transformers folder
as a module of its own, and behind it one that makes vectors unit.
"""

from __future__ import annotations

import json
import os

from trifocal.clip import Clip, save_pretrained
from trifocal.errors import UserError
from trifocal.files import atomic_folder, check_folder

KIND = "sentence-transformers model"
CLIP_FOLDER = "0_CLIPModel"
_MODULES = (("CLIPModel", CLIP_FOLDER), ("Normalize", "1_Normalize"))


def save_sentence_transformers(
    clip: Clip, folder: str | os.PathLike[str], *, force: bool = False
) -> None:
    """Write a model as `sentence_transformers.SentenceTransformer` reads it.

    Args:
        clip: The model.
        folder: Where to; the transformers folder inside is what `trifocal.load` reads.
        force: Replace an older one.

    Raises:
        UserError: the towers are not plain CLIP's, or the folder holds something.
    """
    if not isinstance(clip, Clip):
        raise UserError(
            f"{getattr(clip, 'name', clip)} is no transformers CLIP, so it cannot be written so."
        )
    check_folder(folder, KIND, force=force)
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, (kind, path) in enumerate(_MODULES)
    ]
    facts = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    with atomic_folder(folder, KIND, force=force) as aside:
        save_pretrained(clip, aside / CLIP_FOLDER)
        (aside / _MODULES[1][1]).mkdir()
        for name, content in (("modules", modules), ("config_sentence_transformers", facts)):
            text = json.dumps(content, indent=2) + "\n"
            (aside / f"{name}.json").write_text(text, encoding="utf-8")
