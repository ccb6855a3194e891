"""Walk through every tab of a running page in a headless Chromium: at two widths, each light and dark.

    python -m tests.apps.serve.walk http://127.0.0.1:7860 ZIP [--pictures FOLDER]

ZIP has two class folders. What goes wrong is printed; the exit status says whether anything did. The
browser is $CHROMIUM, by default the system's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTHS = (1280, 375)
_PATIENCE = 120_000  # milliseconds; a busy machine is no fault of the page


def browser_path() -> str | None:
    """Return where Chromium is, if it is."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return os.environ.get("CHROMIUM") or next(filter(None, found), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def walk(address: str, classes: Path, pictures: Path | None = None) -> list[str]:
    """Return what is wrong with the page at an address.

    Each tab is used once at each width, and what it then shows is looked at light and dark.
    """
    wrong: list[str] = []
    with browser() as started:
        for width in WIDTHS:
            page = started.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
            page.set_default_timeout(_PATIENCE)
            _watch(page, address, wrong)
            start = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("#explain .examples img")
            print(f"{width} px: there in {time.perf_counter() - start:.2f} s")
            page.wait_for_selector("body[data-ready]")
            for name, tab in TABS.items():
                page.click(f"#tab-{name}")
                wrong += [f"{name}, {width} px: {each}" for each in tab(page, classes)]
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    wrong += [f"{name}, {scheme}, {width} px: {each}" for each in look(page)]
                    if pictures:
                        file = pictures / f"{name}-{scheme}-{width}.png"
                        page.screenshot(path=file, full_page=True)
            page.close()
    return wrong


def look(page: Any) -> Iterator[str]:
    """Yield what cannot be read in what a page shows now, or reaches beyond its side."""
    wide, width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > width:
        yield f"the page is {wide} px wide"
    for said in page.evaluate(_FAINT):
        yield f"hard to read (contrast below 4.5): {said}"
    nameless = "img:not([alt]), button:empty:not([aria-label]):not([title])"
    if page.locator(nameless).count():
        yield "a picture or a button says nothing to who cannot see it"


# WCAG 2.2, 1.4.3: contrast of each text that is shown with the nearest ground that is painted.
_FAINT = r"""() => {
  const parsed = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const light = (color) => {
    const [r, g, b] = parsed(color).slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parsed(color)[3] !== 0) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(0,0,0)" : "rgb(255,255,255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const [low, high] = [light(getComputedStyle(element).color), light(ground(element))]
      .sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) found.push(element.textContent.trim().slice(0, 60));
  }
  return found;
}"""


def _watch(page: Any, address: str, wrong: list[str]) -> None:
    """Note errors of the page, and whatever it asks of others."""

    def asks(asked: Any) -> None:
        if not asked.url.startswith((address, "data:", "blob:")):
            wrong.append(f"asked elsewhere: {asked.url}")

    page.on("request", asks)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", lambda asked: wrong.append(f"not loaded: {asked.url}"))


def _explain(page: Any, classes: Path) -> Iterator[str]:
    frame = page.locator("#explain canvas").bounding_box()
    x, y = frame["x"], frame["y"]
    page.mouse.move(x + 0.2 * frame["width"], y + 0.2 * frame["height"])
    page.mouse.down()
    page.mouse.move(x + 0.7 * frame["width"], y + 0.6 * frame["height"], steps=4)
    page.mouse.up()
    page.click("#explain .go")
    page.wait_for_selector("#explain .ranked li")
    if page.locator("#explain .ranked li").count() != 5:
        yield "there are not five explanations"
    yield from _trouble(page, "#explain .said")


def _classify(page: Any, classes: Path) -> Iterator[str]:
    page.set_input_files("#classify [name=zip]", classes)
    page.click("#classify .fit")
    page.wait_for_selector("#classify .fit:not([disabled])")
    yield from _trouble(page, "#classify .fitted")
    page.click("#classify .go")
    page.wait_for_selector("#classify .go:not([disabled])")
    yield from _trouble(page, "#classify .said")
    if not page.locator("#classify .reasons tr").count():
        yield "there are no reasons"


def _compose(page: Any, classes: Path) -> Iterator[str]:
    page.click("#compose .examples button:nth-child(3)")
    page.click("#compose .go")
    page.wait_for_selector("#compose .words button")
    page.locator("#compose .words button").last.click()
    yield from _trouble(page, "#compose .said")


def _search(page: Any, classes: Path) -> Iterator[str]:
    page.fill("#search [name=text]", "a red ball at night")
    page.press("#search [name=text]", "Enter")
    page.wait_for_selector("#search .hits img")
    yield from _trouble(page, "#search .said")


def _trouble(page: Any, place: str) -> Iterator[str]:
    if page.locator(f"{place}.wrong").count():
        yield page.locator(place).inner_text()


TABS = {"explain": _explain, "classify": _classify, "compose": _compose, "search": _search}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("zip", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    found = walk(given.address.rstrip("/"), given.zip, given.pictures)
    print("\n".join(found) or "nothing is wrong")
    sys.exit(bool(found))
