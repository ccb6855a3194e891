"""Captions are cleaned as CLIP's training data were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.clip.cleaning import clean_caption


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A  Dog\n runs\t", "a dog runs"),
        ("cat &amp; dog", "cat & dog"),
        ("cat &amp;amp; dog", "cat & dog"),
        ("5 &lt; 6 &quot;x&quot; &#39;y&#x27;", "5 < 6 \"x\" 'y'"),
        ("<b>bold</b> &amp;lt;", "<b>bold</b> <"),
        ("the man\u2019s \u201cbest\u201d friend", 'the man\'s "best" friend'),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("ﬁne ﬂower", "fine flower"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b\u2028c\x85", "a b c…"),
        ("bell\x07 \ufeff\x1b[31mred\x1b[0m", "bell red"),
        ("&bogus; &notit;", "&bogus; \u00acit;"),
        ("\ud83d\ude00 and \ud83d", "😀 and \ufffd"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_known_captions(raw: str, clean: str) -> None:
    assert clean_caption(raw) == clean


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="&")))
def test_printable_ascii_only_loses_case_and_spaces(text: str) -> None:
    if text.isprintable():
        assert clean_caption(text) == " ".join(text.lower().split())


@given(st.text())
def test_result_is_encodable_with_single_spaces(text: str) -> None:
    clean = clean_caption(text)
    clean.encode("utf-8")
    assert clean == " ".join(clean.split())
