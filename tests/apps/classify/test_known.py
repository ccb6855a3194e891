"""Pictures that show none of a classifier's classes, and how often that is said wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.apps.classify.support import command, fit, said
from trifocal.apps.classify.known import check_rate, known_line, shown_class, told_known
from trifocal.concepts.baselines.zero_shot import ZeroShot
from trifocal.concepts.head import Head
from trifocal.errors import UserError


def calibrated(count: int = 40) -> Head:
    """A head that was asked of so many pictures, whose highest logits were 0, 1, 2, ..."""
    logits = torch.arange(count)[:, None].float() * torch.tensor([1.0, -1.0])
    return ZeroShot().calibrate(logits, torch.zeros(count, dtype=torch.long))


def test_what_a_record_says() -> None:
    head = calibrated(19)
    strange, plain = told_known(head, torch.tensor([[-5.0, -9.0], [9.0, 0.0]]), 0.05)
    assert strange == {"known": 0.05, "none_of_these": True}
    assert plain["none_of_these"] is False
    assert shown_class({"class": "cup", **strange}) == "none of these"
    assert shown_class({"class": "cup", **plain}) == shown_class({"class": "cup"}) == "cup"
    assert known_line([strange, plain], head, 0.05).startswith("1 of 2 pictures")


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_rates_are_rates(rate: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        check_rate(calibrated(), rate)


def test_a_rate_takes_pictures_to_tell_it_from() -> None:
    check_rate(calibrated(99), 0.01)
    with pytest.raises(UserError, match=r"99 pictures .* asked of 40; give --none-of-these 0\.024"):
        check_rate(calibrated(40), 0.01)
    with pytest.raises(UserError, match="two pictures a class"):
        check_rate(ZeroShot(), 0.05)


@pytest.mark.usefixtures("heads")
def test_predict_says_it(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(work, "--holdout", "0.6") == 0
    words = [work / "new", work / "photos", "--none-of-these"]
    capsys.readouterr()
    assert command("predict", *words, "0.5", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line["none_of_these"] == (line["known"] <= 0.5) for line in lines)
    assert {line["none_of_these"] for line in lines} == {True, False}
    assert command("predict", *words, "0.5") == 0
    assert "at most 50 % are called so on average" in " ".join(capsys.readouterr().out.split())
    assert command("predict", *words, "0.0001") == 2
    assert "false alarm" in said(capsys)
