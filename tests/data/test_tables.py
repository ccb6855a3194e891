"""Tables with different separators, and JSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.tables import table_records
from trifocal.errors import UserError


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
    assert records == [{"path": "a.png", "class": "one; two"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n[2]\n', "line 2 of .* is not a JSON object"),
        ('path,class\n"' + "x" * (1 << 21) + '",y\n', "is not a proper table"),
    ],
)
def test_what_is_no_table_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(text)
    with pytest.raises(UserError, match=said):
        list(table_records(tmp_path / "table", {"path", "class"}))
