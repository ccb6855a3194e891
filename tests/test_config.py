"""YAML and overrides into frozen dataclasses, and the sentences said about slips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal import config
from trifocal.errors import UserError


@dataclass(frozen=True)
class Inner:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    steps: int | None = None


@dataclass(frozen=True)
class Outer:
    needed: str
    optimizer: Inner = field(default_factory=Inner)
    other: Inner | None = None
    mode: Literal["fast", "slow"] = "fast"
    compile: bool = False
    names: tuple[str, ...] = ()
    sizes: list[int] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    either: int | str = 0


def build(**values):
    return config.build(Outer, {"needed": "x", **values})


def test_defaults_and_nesting():
    made = build(optimizer={"lr": "1e-5", "steps": 3}, other={}, names=["a", "b"], sizes=[1])
    assert made.optimizer == Inner(lr=1e-5, steps=3)
    assert made.other == Inner()
    assert made.names == ("a", "b")
    assert made.sizes == [1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimzer": {}}, r"^unknown key 'optimzer'\. Did you mean 'optimizer'\?$"),
        ({"optimizer": {"leaning_rate": 1}}, r"unknown key 'optimizer.leaning_rate'\. Known keys"),
        ({"optimizer": {"beta": 1}}, r"unknown key 'optimizer.beta'\. Did you mean 'optimizer.betas'"),
        ({"lr": 1}, r"unknown key 'lr'\. Did you mean 'optimizer.lr'"),
        ({"optimizer": {"lr": "fast"}}, r"^optimizer.lr is 'fast', but needs a number\.$"),
        ({"optimizer": {"lr": True}}, "optimizer.lr is True, but needs a number"),
        ({"optimizer": {"steps": 1.5}}, "optimizer.steps is 1.5, but needs a whole number"),
        ({"optimizer": {"betas": [1]}}, r"optimizer.betas is \[1\], but needs 2 values"),
        ({"optimizer": {"betas": [1, "x"]}}, r"optimizer.betas\[1\] is 'x', but needs a number"),
        ({"optimizer": {"betas": 0.9}}, "optimizer.betas is 0.9, but needs a list"),
        ({"optimizer": 3}, "optimizer is 3, but needs 'key: value' lines"),
        ({"optimizer": None}, "optimizer is empty, but needs 'key: value' lines"),
        ({"mode": "slwo"}, r"mode is 'slwo'; it must be one of 'fast', 'slow'\. Did you mean 'slow'"),
        ({"compile": "maybe"}, "compile is 'maybe', but needs true or false"),
        ({"compile": 1}, "compile is 1, but needs true or false"),
        ({"names": [[1]]}, r"names\[0\] is \[1\], but needs a text"),
        ({"options": 3}, "options is 3, but needs 'key: value' pairs"),
        ({"either": [1]}, r"either is \[1\], but needs a whole number or a text"),
        ({"needed": None}, "needed is None, but needs a text"),
    ],
)  # fmt: skip
def test_slips_are_named_in_one_sentence(values, message):
    with pytest.raises(UserError, match=message) as caught:
        build(**values)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    with pytest.raises(UserError, match="the key 'needed' is missing"):
        config.build(Outer, {})


def test_small_kindnesses():
    assert build(names="alone").names == ("alone",)
    assert build(sizes=3).sizes == [3]
    assert build(needed=2014).needed == "2014"
    assert build(optimizer={"steps": 2.0}).optimizer.steps == 2
    assert build(optimizer={"lr": 1}).optimizer.lr == 1.0
    assert isinstance(build(optimizer={"lr": 1}).optimizer.lr, float)
    assert build(either="x").either == "x"
    assert build(other=None).other is None


@pytest.mark.parametrize(
    ("words", "mapping"),
    [
        (["--optimizer.lr", "1e-5"], {"optimizer": {"lr": "1e-5"}}),
        (["--optimizer.lr=1.0e-5", "--mode", "slow"], {"optimizer": {"lr": 1e-5}, "mode": "slow"}),
        (["--compile"], {"compile": True}),
        (["--compile", "--mode=slow"], {"compile": True, "mode": "slow"}),
        (["--compile", "false"], {"compile": False}),
        (["--names", "[a, b]"], {"names": ["a", "b"]}),
        (["--optimizer.steps", "null"], {"optimizer": {"steps": None}}),
        (["--a-b.c-d", "1"], {"a_b": {"c_d": 1}}),
        (["--scale", "-1"], {"scale": -1}),
        (["--method", "x", "--method.rank", "4"], {"method": {"name": "x", "rank": 4}}),
        (["--method.rank", "4", "--method", "x"], {"method": {"rank": 4, "name": "x"}}),
        (["--needed="], {"needed": None}),
        ([], {}),
    ],
)
def test_overrides(words, mapping):
    assert config.parse_overrides(words) == mapping


@pytest.mark.parametrize("words", [["lr", "1"], ["-lr", "1"], ["--"], ["--lr", "1", "2"]])
def test_words_that_are_no_overrides(words):
    with pytest.raises(UserError, match="expected --key value, but found"):
        config.parse_overrides(words)


def test_merge_lays_mappings_over_each_other():
    base = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": 3}
    change = {"a": {"y": 5}, "b": [9], "d": {"z": 1}}
    merged = {"a": {"x": 1, "y": 5}, "b": [9], "c": 3, "d": {"z": 1}}
    assert config.merge(base, change) == merged
    assert base["a"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "not YAML in line"),
        ("- a\n", "holds a list, but 'key: value' lines are needed"),
        ("just words\n", "holds 'just words'"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' is given twice"),
        ("a: !!python/object/apply:os.system ['true']\n", "not YAML in line 1"),
        ("a: &x [*x]\n b", "not YAML"),
    ],
)
def test_files_that_are_no_recipes(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        config.read_yaml(path)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.yaml \(No such file"):
        config.read_yaml(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(UserError, match="larger than 1 MB"):
        config.read_yaml(tmp_path / "big.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="not a text file"):
        config.read_yaml(tmp_path / "bytes.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert config.read_yaml(tmp_path / "empty.yaml") == {}


@given(
    lr=st.floats(allow_nan=False),
    names=st.lists(st.text(max_size=8)),
    needed=st.text(max_size=12),
    steps=st.none() | st.integers(-(10**12), 10**12),
    compiled=st.booleans(),
)
def test_what_is_written_reads_back_as_the_same(lr, names, needed, steps, compiled):
    made = Outer(needed, Inner(lr, steps=steps), compile=compiled, names=tuple(names))
    again = config.build(Outer, config._parse(config.to_yaml(made), "text"))
    assert again == made


def test_differences_name_the_leaf():
    one = build(optimizer={"lr": 1}, names=["a"])
    two = build(optimizer={"lr": 2}, names=["a", "b"], other={})
    found = config.differences(one, two)
    assert ("optimizer.lr", 1.0, 2.0) in found
    assert ("names", ["a"], ["a", "b"]) in found
    assert {key for key, _, _ in found} == {"optimizer.lr", "names", "other"}
    assert config.differences(one, one) == []


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0
    color: str = "red"


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 1.0
    color: str = "red"


@dataclass(frozen=True)
class Written:
    text: str
    kind: Literal["written"] = "written"


@dataclass(frozen=True)
class Picture:
    shape: Circle | Square | Written = field(default_factory=Circle)


def test_one_key_tells_the_dataclasses_of_a_union_apart():
    def read(**shape):
        return config.build(Picture, {"shape": shape}).shape

    assert read(kind="square", side=2) == Square(side=2.0)
    assert read(radius=2) == Circle(radius=2.0)  # the first, where the key is not given
    assert config.build(Picture, {"shape": Square()}).shape == Square()
    for shape in (Circle(radius=3.0), Square(), Written("x")):
        written = config._parse(config.to_yaml(Picture(shape)), "text")
        assert config.build(Picture, written) == Picture(shape)
    assert config.differences(Picture(), Picture(Square()))[0] == (
        "shape.kind", "circle", "square",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"kind": "sqare"}, r"^unknown shape.kind 'sqare'\. Did you mean 'square'\?$"),
        ({"kind": 3}, r"^unknown shape.kind 3\. Known: circle, square, written\.$"),
        ({"side": 2}, r"^unknown key 'shape.side': it belongs to square, not to circle\."),
        ({"kind": "square", "sied": 2}, r"^unknown key 'shape.sied'\. Did you mean 'shape.side'"),
        ({"kind": "written"}, r"^shape.kind is 'written', so set shape.text\.$"),
        ({"radius": "x"}, r"^shape.radius is 'x', but needs a number\.$"),
        (3, "^shape is 3, but needs 'key: value' lines"),
    ],
)
def test_slips_in_a_union(shape, message):
    with pytest.raises(UserError, match=message):
        config.build(Picture, {"shape": shape})


def test_a_key_of_a_union_is_found_one_level_deeper():
    with pytest.raises(UserError, match=r"unknown key 'side'\. Did you mean 'shape.side'"):
        config.build(Picture, {"side": 1})
