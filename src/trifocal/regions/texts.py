"""The texts of a region as RCA writes them: a word that says which kind, and a full stop.

Clues and inferences go through the same tower; only the prefix tells them apart (RCA's code;
Sherlock's own baseline has a colon after it).
"""

from __future__ import annotations

from trifocal.regions.prompts import PromptConfig


def clue_text(clue: str, config: PromptConfig) -> str:
    """Return what the text tower reads of a clue."""
    return _written("clue ", clue, config)


def inference_text(inference: str, config: PromptConfig) -> str:
    """Return what the text tower reads of an inference."""
    return _written("inference ", inference, config)


def _written(prefix: str, text: str, config: PromptConfig) -> str:
    text = " ".join(text.split())
    if config.prefix:
        text = prefix + text
    return f"{text}." if config.period and not text.endswith(".") else text
