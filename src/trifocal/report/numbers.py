"""How numbers are written in tables, lines and pages."""

from __future__ import annotations

import numpy as np

from trifocal.metrics.intervals import Difference


def minus(number: str) -> str:
    """Return a number with a sign as long as the plus."""
    return number.replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign, "±0.0" where it rounds to nothing."""
    if abs(value) < 0.5 * 10**-digits:
        return f"±{0:.{digits}f}"
    return minus(f"{value:+.{digits}f}")


def percent(share: float) -> str:
    """Return a share in percent as a table of percents has it: "64.8"."""
    return f"{100 * share:.1f}"


def percentage(share: float) -> str:
    """Return a share in percent where nothing else says so: "64.8 %", never broken."""
    return f"{percent(share)}\N{NO-BREAK SPACE}%"


def p_text(difference: Difference | None) -> str:
    """Return a p-value: ".041", "< .001"; a dash for none."""
    if difference is None:
        return "–"
    return "< .001" if difference.p < 0.001 else f"{difference.p:.3f}".lstrip("0")


def shots_text(count: int) -> str:
    """Return "1 shot", "2 shots"."""
    return f"{count} shot{'s' if count > 1 else ''}"


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits that count: "0.0012", "1.0", "12"."""
    if seconds >= 10:
        return f"{seconds:.0f}"
    text = np.format_float_positional(seconds, precision=2, min_digits=2, fractional=False)
    return text.rstrip(".")


def trained_text(fewest: int, most: int) -> str:
    """Return numbers of trained parameters: "0", "524,288", "20,000 – 51,712"."""
    return f"{fewest:,}" if fewest == most else f"{fewest:,} – {most:,}"


def thousands(count: int) -> str:
    """Return a number of parameters in short: 174,721 as "175 K"; a dash for none."""
    if not count:
        return "–"
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.0f} K"
