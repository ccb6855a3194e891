"""Leave-one-domain-out over folders of domains."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.concepts.miniatures import make_folder
from trifocal.concepts.datasets.domains import Domains, read_domains
from trifocal.concepts.datasets.folders import read_folder
from trifocal.errors import UserError

CLASSES = ("dog", "gray_elephant", "guitar")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for domain in ("photo", "cartoon", "sketch"):
        make_folder(tmp_path / "Mine" / domain, CLASSES, per_class=5)
    return tmp_path / "Mine"


def check_left_out(whole: Domains, domain: str) -> None:
    data = whole.leave_out(domain)
    assert data.name == f"{whole.name}-{domain}"
    assert data.test == whole.domains[domain]
    assert {item.path.split("/")[0] for item in data.test} == {domain}
    others = {item for name, items in whole.domains.items() if name != domain for item in items}
    assert {*data.train, *data.val} == others
    assert len(data.train) + len(data.val) == len(others)
    assert {item.label for item in data.train} == set(range(len(data.classnames)))
    for part in (data.train, data.val, data.test):
        assert all(file.is_file() for file in data.files(part))


def test_one_domain_is_left_out(folder: Path) -> None:
    whole = read_domains(folder)
    assert whole.name == "mine"
    assert whole.classnames == ("dog", "gray elephant", "guitar")
    assert list(whole.domains) == ["cartoon", "photo", "sketch"]
    for domain in whole.domains:
        check_left_out(whole, domain)
    data = whole.leave_out("photo")
    assert [len(part) for part in (data.train, data.val, data.test)] == [24, 6, 15]
    assert len(whole.leave_out("photo", val=0).train) == 30


def test_pacs(real_data: Path) -> None:
    whole = read_domains(real_data / "images" / "pacs")
    assert whole.name == "pacs"
    assert list(whole.domains) == ["art_painting", "cartoon", "photo", "sketch"]
    assert len(whole.classnames) == 7
    assert whole.images.name == "PACS"
    for domain in whole.domains:
        check_left_out(whole, domain)


def test_an_unknown_domain_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"has no domain 'foto'; it has .* Did you mean 'photo'"):
        read_domains(folder).leave_out("foto")


def test_a_domain_without_a_class_is_named(folder: Path) -> None:
    make_folder(folder / "photo", ["horse"])
    with pytest.raises(UserError, match=r"the domain .*cartoon has no class folder 'horse'"):
        read_domains(folder)


def test_an_empty_class_is_named(folder: Path) -> None:
    for picture in (folder / "sketch" / "dog").iterdir():
        picture.unlink()
    with pytest.raises(UserError, match=r"sketch/dog has no picture"):
        read_domains(folder)


def test_too_few_domains_or_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        read_domains(tmp_path / "absent")
    make_folder(tmp_path / "photo", ["dog"])
    with pytest.raises(UserError, match="has fewer than two domain folders"):
        read_domains(tmp_path)
    make_folder(tmp_path / "sketch", ["dog"])
    with pytest.raises(UserError, match="only the class 'dog'"):
        read_domains(tmp_path)


def test_domains_taken_for_classes_are_told_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_folder(folder).classnames == ("cartoon", "photo", "sketch")
    assert "give the folder of one domain" in caplog.text
    assert f"domains:{folder}" in caplog.text
