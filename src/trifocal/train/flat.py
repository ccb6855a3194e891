"""Recipes of version 0.1, whose `data` and `optimizer` had one list of fields for all kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trifocal import config

Sections = Mapping[str, tuple[str, config.Kinds]]  # by key: the tag, and the kinds by its value

# What `data` had. A recipe that a run of that version wrote has all of them, whatever its source.
_FIELDS = frozenset(
    (
        "source", "path", "dataset", "shots", "val_first", "images", "vg", "vcr", "texts", "format",
        "split", "image_column", "caption_column", "captions", "missing", "crop", "draft", "size",
        "single_share", "things", "wording", "seed", "bad_image_share",
    )
)  # fmt: skip


def sorted_out(recipe: Mapping[str, Any], sections: Sections) -> tuple[dict[str, Any], str]:
    """Leave out of a recipe's sections what they say of kinds that they are not of.

    It never had an effect. In a recipe that a run wrote it all goes. In one that was written by
    hand a field goes that holds its default; another one is a mistake, for the reader to refuse.

    A recipe that a run wrote has all options of its method, too. Where there is a choice now that
    there was not then, it gets what was done then.

    Returns:
        The recipe, and the sections that were of the old form, as YAML of the new one; "" if none
        was.
    """
    found, data = dict(recipe), recipe.get("data")
    by_a_run = isinstance(data, Mapping) and data.keys() >= _FIELDS
    for key, (tag, kinds) in sections.items():
        section = found.get(key)
        kind = section.get(tag, next(iter(kinds))) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping) and isinstance(kind, str) and kind in kinds:
            gone = {
                name
                for name in config.foreign(section, kinds, kind)
                if by_a_run or _says_nothing(name, section[name], kinds)
            }
            found[key] = {name: section[name] for name in section if name not in gone}
    method = recipe.get("method")
    if by_a_run and isinstance(method, Mapping):
        found["method"] = _as_done_then(method)
    changed = {key: found[key] for key in sections if found.get(key) != recipe.get(key)}
    return found, config.to_yaml(changed) if changed else ""


def _says_nothing(name: str, value: Any, kinds: config.Kinds) -> bool:
    """Whether a field holds its default where it belongs; null was that of what must be given."""
    fields = [config.fields_of(kind).get(name) for kind in kinds.values()]
    return value is None or value in [config.plain(field.default) for field in fields if field]


def _as_done_then(method: Mapping[str, Any]) -> dict[str, Any]:
    adapters = method.get("adapters")
    if isinstance(adapters, Mapping) and "msha" in adapters.get("modules", ()):
        return {**method, "adapters": {"msha_scale": "own", **adapters}}
    return dict(method)
