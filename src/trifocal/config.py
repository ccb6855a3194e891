"""YAML files and command-line overrides, read into frozen dataclasses.

A mapping becomes a dataclass by its annotations alone: an unknown key or a value of the wrong type
is one sentence that names the key and, for a slip of the pen, the nearest right one. Where a
mapping may become one of several dataclasses, one key says which: `{name: sgd, lr: 0.1}`. Nothing
is ever evaluated; YAML is read by its safe loader.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from trifocal.errors import UnknownKey, UserError, closest, nearest

T = TypeVar("T")
Kinds = Mapping[str, type]  # what a key may say, and the dataclass that each value of it stands for
_MAX_BYTES = 1 << 20  # a recipe is a page, not a data set


class _Loader(yaml.SafeLoader):
    """Safe loading which refuses a key given twice (plain YAML silently takes the last)."""


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    seen: set[Any] = set()
    for key in keys:
        if not isinstance(key, Hashable):
            continue  # which the line below refuses
        if key in seen:
            raise UserError(f"the key {key!r} is given twice; keep one of them.")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        UserError: the file is missing, too large, not YAML, or not a mapping.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise UserError(f"{file} is larger than 1 MB, so it is no recipe; check the path.")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"cannot read {file} ({reason}); check the path.") from None
    content = _parse(text, str(file))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{file} holds {_kind(content)}, but 'key: value' lines are needed.")
    return _at_home(content)


def _at_home(content: Any) -> Any:
    """Return what a file holds with the home folder for "~/" in paths, which no shell saw."""
    if isinstance(content, dict):
        return {key: _at_home(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_at_home(value) for value in content]
    at_home = isinstance(content, str) and content.startswith("~/")
    return os.path.expanduser(content) if at_home else content


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Read `["--optimizer.lr", "1e-5", "--compile"]` into a nested mapping.

    Both `--key value` and `--key=value` are read; a key without a value means true. Values are
    YAML: `--evaluation "[world, retrieval]"`.

    Raises:
        UserError: something that is not a key stands where a key should.
    """
    mapping: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise UserError(f"expected --key value, but found {word!r}; keys start with '--'.")
        key, equals, value = word[2:].partition("=")
        if not equals:
            follows = bool(rest) and not rest[0].startswith("--")
            value = rest.pop(0) if follows else "true"
        # Dashes are the habit of shells, underscores that of YAML keys.
        _put(mapping, key.replace("-", "_").split("."), _parse(value, f"--{key}"))
    return mapping


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` laid over it; mappings merge, all else is replaced."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """Make the dataclass `cls` of a mapping.

    Args:
        cls: A dataclass; its annotations say what each key may hold.
        mapping: Keys and values, nested as the dataclasses are.
        where: The key under which the mapping stands, for messages.

    Raises:
        UserError: an unknown key (with the nearest known one), a missing one, or a value of the
            wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise _no_mapping(mapping, where)
    fields = fields_of(cls)
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in mapping.items():
        full = f"{where}.{key}" if where else str(key)
        if key not in fields:
            near = closest(str(key), fields)
            near = full.removesuffix(str(key)) + near if near else _elsewhere(str(key), cls)
            raise UnknownKey(full, near, fields)
        values[key] = convert(value, hints[key], full)
    for name in _missing(fields, values):
        raise UserError(f"the key {f'{where}.{name}' if where else name!r} is missing; set it.")
    return cls(**values)


def build_kind(kinds: Kinds, tag: str, mapping: Mapping[str, Any], where: str) -> Any:
    """Make the dataclass that the key `tag` of a mapping names.

    Args:
        kinds: The dataclasses by name; a field called as the tag need not be among theirs.
        tag: The key.
        mapping: The tag's value, and keys and values of the dataclass.
        where: The key under which the mapping stands, for messages.

    Raises:
        UserError: there is no such kind, or the mapping does not fit it; of a key that other
            kinds have it is said which.
    """
    kind, rest = mapping.get(tag), {key: mapping[key] for key in mapping if key != tag}
    if not isinstance(kind, str) or kind not in kinds:
        hint = nearest(str(kind), kinds) or f" Known: {', '.join(kinds)}."
        raise UserError(f"unknown {where if tag == 'name' else f'{where}.{tag}'} {kind!r}.{hint}")
    own = fields_of(kinds[kind])
    for key in foreign(rest, kinds, kind):
        owners = " and ".join(name for name, other in kinds.items() if key in fields_of(other))
        near = closest(key, own)
        near = f"{where}.{near}" if near else ""
        raise UnknownKey(f"{where}.{key}", near, own, f"{owners}, not to {kind}")
    for name in _missing(own, rest):
        raise UserError(f"{where}.{tag} is {kind!r}, so set {where}.{name}.")
    return build(kinds[kind], rest, where)


def carried_over(
    old: Mapping[str, Any], new: Mapping[str, Any], tag: str, kinds: Kinds
) -> dict[str, Any]:
    """Return what of `old` goes with `new`, which may name another kind: the fields of both."""
    first = next(iter(kinds))
    before, after = (kinds.get(str(each.get(tag, first))) for each in (old, {**old, **new}))
    if before is None or after is None or before is after:
        return dict(old)
    lost = fields_of(before).keys() - fields_of(after)
    return {key: value for key, value in old.items() if key not in lost}


def kinds_of(union: Any) -> tuple[str, dict[str, type]]:
    """Return the key that tells the dataclasses of a union apart, and the dataclasses by its value.

    It is the first field that each of them annotates as a `Literal` of one value. The first
    dataclass is the one that a mapping without the key becomes.
    """
    classes = typing.get_args(union)
    values = [_single_literals(cls) for cls in classes]
    tag = next(name for name in values[0] if all(name in each for each in values))
    return tag, {each[tag]: cls for each, cls in zip(values, classes)}


def foreign(mapping: Mapping[str, Any], kinds: Kinds, kind: str) -> list[str]:
    """Return the keys of a mapping that dataclass `kind` lacks, but another one has."""
    everyone = set().union(*map(fields_of, kinds.values()))
    own = fields_of(kinds[kind])
    return [key for key in mapping if key in everyone and key not in own]


@cache
def fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Return what a mapping may say of a dataclass, by name."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return what a field holds where nothing is said, None where something must be."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def at_least(made: Any, bounds: Mapping[str, float], where: str = "") -> None:
    """Refuse a dataclass in which a number is below its bound; one that is not set may stay so.

    Raises:
        UserError: one is.
    """
    for name, bound in bounds.items():
        value = getattr(made, name)
        if value is not None and not value >= bound:
            key = f"{where}.{name}" if where else name
            raise UserError(f"{key} is {value}, but must be at least {bound}.")


def convert(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the annotation `hint` wants it.

    Raises:
        UserError: the value does not fit.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        return _choice(value, arguments, where)
    if origin in (Union, types.UnionType):
        if not _is_tagged(hint):
            return _either(value, arguments, where)
        if isinstance(value, arguments):
            return value
        if not isinstance(value, Mapping):
            raise _no_mapping(value, where)
        tag, kinds = kinds_of(hint)
        return build_kind(kinds, tag, {tag: next(iter(kinds)), **value}, where)
    if origin in (tuple, list):
        return _sequence(value, origin, arguments, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(value, "'key: value' pairs", where)
        return {
            str(key): convert(item, arguments[1], f"{where}.{key}") for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        return build(hint, value, where)  # type: ignore[arg-type]
    return _scalar(value, hint, where)


def plain(value: Any) -> Any:
    """Return dataclasses, tuples and paths as the mappings, lists and strings that YAML writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, os.PathLike) else value


class _Dumper(yaml.SafeDumper):
    """Safe dumping which writes 1e-05 so that YAML reads a number again."""


def _dump_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if text in ("inf", "-inf", "nan"):
        text = text.replace("inf", ".inf").replace("nan", ".nan")
    elif "e" in text and "." not in text:  # YAML 1.1 takes 1e-05 for a string
        text = text.replace("e", ".0e", 1)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _dump_float)


def to_yaml(config: Any) -> str:
    """Write a dataclass as YAML; `build` makes the same dataclass of it again."""
    return yaml.dump(
        plain(config), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=96
    )


def differences(first: Any, second: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """List (key, first value, second value) for every leaf in which two configurations differ."""
    first, second = plain(first), plain(second)
    if isinstance(first, dict) and isinstance(second, dict):
        found = []
        for key in dict.fromkeys([*first, *second]):
            inner = f"{where}.{key}" if where else str(key)
            found += differences(first.get(key), second.get(key), inner)
        return found
    return [] if first == second else [(where, first, second)]


def _parse(text: str, where: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except UserError:  # a key given twice
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # a number or date that is none
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise UserError(f"{where} is not YAML{line}: {problem}; put it right there.") from None


def _put(mapping: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = mapping.get(key)
        if not isinstance(inner, dict):
            inner = mapping[key] = {} if inner is None else {"name": inner}
        mapping = inner
    old = mapping.get(keys[-1])
    if isinstance(old, dict) and not isinstance(value, dict):
        old["name"] = value
    else:
        mapping[keys[-1]] = value


def _choice(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    # A bare `no` or `on` in YAML is a bool; a Literal never holds both.
    if any(value == item and type(value) is type(item) for item in allowed):
        return value
    hint = nearest(str(value), [str(item) for item in allowed])
    names = ", ".join(repr(item) for item in allowed)
    raise UserError(f"{where} is {value!r}; it must be one of {names}.{hint}")


def _either(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    kinds = [argument for argument in arguments if argument is not type(None)]
    error: UserError | None = None
    for kind in kinds:
        try:
            return convert(value, kind, where)
        except UserError as raised:
            error = raised
    if error is None or len(kinds) > 1:
        raise _wrong(value, " or ".join(_name(kind) for kind in kinds), where)
    raise error


def _sequence(value: Any, origin: type, arguments: tuple[Any, ...], where: str) -> Any:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        item = arguments[0] if arguments else Any
        # One value where several may stand: `--evaluation world`.
        alone = value is not None and not isinstance(value, Mapping)
        if alone and (origin is list or arguments[1:] == (Ellipsis,)):
            return origin([convert(value, item, where)])
        raise _wrong(value, "a list", where)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise _wrong(value, f"{len(arguments)} values", where)
        return tuple(
            convert(v, a, f"{where}[{i}]") for i, (v, a) in enumerate(zip(value, arguments))
        )
    item = arguments[0] if arguments else Any
    return origin(convert(v, item, f"{where}[{i}]") for i, v in enumerate(value))


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is bool:
        if isinstance(value, bool):
            return value
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
    elif hint is float:
        # YAML 1.1 takes 1e-5 for a string; an integer may have any number of digits.
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                return float(value)
            except (ValueError, OverflowError):
                pass
    elif hint is str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # a name such as 2014
    else:
        raise TypeError(f"{where}: no rule for the annotation {hint!r}")
    raise _wrong(value, _name(hint), where)


def _is_tagged(hint: Any) -> bool:
    """Whether an annotation is a union of two dataclasses or more, and of nothing else."""
    kinds = typing.get_args(hint)
    return len(kinds) > 1 and all(dataclasses.is_dataclass(kind) for kind in kinds)


def _single_literals(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {
        name: typing.get_args(hints[name])[0]
        for name in fields_of(cls)
        if typing.get_origin(hints[name]) is Literal and len(typing.get_args(hints[name])) == 1
    }


def _missing(fields: Mapping[str, dataclasses.Field[Any]], given: Mapping[str, Any]) -> list[str]:
    """Return the fields without a default that are not given."""
    unset = dataclasses.MISSING
    return [
        name
        for name, field in fields.items()
        if name not in given and field.default is unset and field.default_factory is unset
    ]


def _no_mapping(value: Any, where: str) -> UserError:
    return UserError(f"{where or 'the recipe'} is {_kind(value)}, but needs 'key: value' lines.")


def _wrong(value: Any, wanted: str, where: str) -> UserError:
    return UserError(f"{where} is {value!r}, but needs {wanted}.")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _name(hint: Any) -> str:
    if dataclasses.is_dataclass(hint) or typing.get_origin(hint) in (dict, Mapping):
        return "'key: value' pairs"
    if typing.get_origin(hint) in (tuple, list):
        return "a list"
    return _NAMES.get(hint, str(hint))


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return f"{value!r}" if value is not None else "empty"


def _elsewhere(key: str, cls: type) -> str:
    """Return the full name of a key that stands one level deeper: lr -> optimizer.lr."""
    deeper = [
        f"{name}.{field}"
        for name, hint in typing.get_type_hints(cls).items()
        if dataclasses.is_dataclass(hint) or _is_tagged(hint)
        for kind in typing.get_args(hint) or (hint,)
        for field in fields_of(kind)
    ]
    same = (name for name in deeper if name.partition(".")[2] == key)
    return next(same, None) or closest(key, deeper, 0.7)
