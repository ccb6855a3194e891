"""Settings as they are typed, KEY=VALUE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from trifocal.errors import UserError


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Return settings by name from texts such as "split=test" and "folds=[0, 1]".

    Numbers, true, false, null and lists are read as YAML reads them; everything else is text.

    Raises:
        UserError: A text is not of the form key=value.
    """
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"{text!r} is no setting; write key=value, e.g. split=test")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            parsed = value
        plain = parsed is None or isinstance(parsed, bool | int | float | list)
        options[key] = parsed if plain else value
    return options
