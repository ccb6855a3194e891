"""Tables as Markdown."""

from trifocal.report.markdown import markdown
from trifocal.report.table import Column, Entry, Row, Table


def test_a_table():
    table = Table(
        "Title",
        "method",
        [Column("acc1"), Column("why", words=True)],
        [
            Row("base", [Entry("1.0"), Entry("a|b")]),
            Row("ours", [Entry("2.0", "+1.0", spread="0.5", best=True), Entry("")], "strong"),
            Row("others"),
        ],
        "What it says.",
    )
    assert markdown(table) == (
        "| method | acc1 | why |\n"
        "| --- | ---: | --- |\n"
        "| base | 1.0 | a\\|b |\n"
        "| **ours** | **2.0 ± 0.5** +1.0 |  |\n"
        "| others |  |  |\n"
        "\n"
        "What it says.\n"
    )
