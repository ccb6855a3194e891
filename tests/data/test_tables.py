"""Tables with different separators, and JSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.tables import table_records
from trifocal.errors import UserError
from trifocal.tally import Tally


@pytest.mark.parametrize(
    "text",
    [
        "path,class\na.png,one; two\n",
        "path\tclass\na.png\tone; two\n",
        'path;class\na.png;"one; two"\n',
        "\ufeffpath|class\r\na.png|one; two\r\n",
        '{"path": "a.png", "class": "one; two"}\n\n',
    ],
)
def test_forms(text: str, tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text(text, encoding="utf-8", newline="")
    records = list(table_records(file, {"path", "class"}))
    line = 1 if text.startswith("{") else 2
    assert records == [(line, {"path": "a.png", "class": "one; two"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n[2]\n', "line 2 of .* is not a JSON object"),
        ('path,class\n"' + "x" * (1 << 21) + '",y\n', "is not a proper table"),
        (
            "path,class\na.png,x\nb.png,a dog, a cat\n",
            "line 3 of .* 3 cells where the header has 2",
        ),
        ("path,class\na.png\n", "line 2 of .* with 1 cells where the header has 2"),
        ('path,class\na.png,"a dog\nb.png,a cat\n', "not a proper table .line 3: unexpected end"),
        ('path,class\na.png,"a dog" runs\n', "not a proper table .line 2: .* expected after"),
        (
            'path,class\na.png,"a\nb.png,b\nc.png,c"\n',
            "line 4 of .* quotes that take in other rows",
        ),
        ("path,class,path\na.png,x,b.png\n", "two columns 'path'; rename one"),
    ],
)
def test_what_is_no_table_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(text)
    with pytest.raises(UserError, match=said):
        list(table_records(tmp_path / "table", {"path", "class"}))


def test_rows_that_do_not_fit_are_counted_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "table").write_text('path,class\na.png,x,y\nb.png,"x, y"\n\nc.png\nd.png,z,\n')
    tally = Tally("table")
    records = list(table_records(tmp_path / "table", {"path", "class"}, tally=tally))
    assert records == [(3, {"path": "b.png", "class": "x, y"})]
    assert tally.reasons == {
        "with 3 cells where the header has 2": ["line 2", "line 6"],
        "with 1 cells where the header has 2": ["line 5"],
    }


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8"])
def test_a_stated_encoding_is_used(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("path,class\na.png,caf\xe9\n", encoding=encoding)
    found = list(table_records(tmp_path / "table", {"path"}, encoding=encoding))
    assert found == [(2, {"path": "a.png", "class": "caf\xe9"})]
    with pytest.raises(UserError, match="no encoding 'latin1x'"):
        list(table_records(tmp_path / "table", {"path"}, encoding="latin1x"))
