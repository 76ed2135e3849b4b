"""A headless Chromium, and what tests ask of a page of Bokeh figures."""

import importlib
import os
import shutil
import time

import pytest

WAIT_S = 30
FIGURES = """() => Array.from(Bokeh.index.query(v => v.model.type === "Figure")).map(v => {
  const box = v.el.getBoundingClientRect(), frame = v.frame.bbox;
  return {
    title: v.model.title ? v.model.title.text : "",
    x: [v.model.x_range.start, v.model.x_range.end],
    y: [v.model.y_range.start, v.model.y_range.end],
    middle: [box.left + (frame.left + frame.right) / 2, box.top + (frame.top + frame.bottom) / 2],
    glyphs: v.model.renderers.filter(r => r.data_source).map(r => ({
      kind: r.glyph.type, n: r.data_source.get_length() ?? 0, marker: r.glyph.marker?.value,
    })),
  };
})"""
PLACE = """([title, kind, column, value]) => {
  const view = Array.from(Bokeh.index.query(v => v.model.type === "Figure"))
    .find(v => v.model.title && v.model.title.text.startsWith(title));
  view.el.scrollIntoView({block: "center"});
  const glyph = view.model.renderers.find(r => r.glyph && r.glyph.type === kind);
  const data = glyph.data_source.data, i = Array.from(data[column]).indexOf(value);
  const box = view.el.getBoundingClientRect();
  const at = [data[glyph.glyph.x.field][i], data[glyph.glyph.y.field][i]];
  const {x_scale, y_scale} = view.frame;
  return [box.left + x_scale.compute(at[0]), box.top + y_scale.compute(at[1])];
}"""

COLUMN = """([title, column]) => {
  const view = Array.from(Bokeh.index.query(v => v.model.type === "Figure"))
    .find(v => v.model.title && v.model.title.text.startsWith(title));
  const glyph = view.model.renderers.find(r => r.data_source && column in r.data_source.data);
  return Array.from(glyph.data_source.data[column]);
}"""
WHERE = """() => Array.from(Bokeh.index.query(v => v.model.type === "Figure")).map(v => {
  const {left, top} = v.el.getBoundingClientRect();
  return [v.model.id, left, top];
})"""


def chromium():
    """Path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return _lacking("no Chromium on PATH; install one, such as: apt-get install chromium")


def playwright():
    """Module that drives it."""
    try:
        return importlib.import_module("playwright.sync_api")
    except ImportError:
        return _lacking("playwright is not installed; pip install playwright")


def _lacking(what):
    """Skip the test, or fail where a browser must be."""
    if os.environ.get("DTBDASK_TEST_BROWSER") == "required":
        pytest.fail(what)
    return pytest.skip(what)


class Visit:
    """A page that is open, and all that it complained of or asked of other hosts.

    Parameters
    ----------
    page : playwright.sync_api.Page
    """

    def __init__(self, page):
        self.page, self.complaints, self.foreign = page, [], []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def open(self, address):
        self.page.goto(address)
        self.page.wait_for_selector(".bk-tab", timeout=1000 * WAIT_S)

    def turn_to(self, tab, *, figures=1):
        """Open a page and wait until so many figures have data."""
        self.page.locator(".bk-tab", has_text=tab).first.click()
        self.until(lambda: len(self.figures()) >= figures)

    def figures(self):
        return self.page.evaluate(FIGURES)

    def figure(self, title):
        return next((f for f in self.figures() if f["title"].startswith(title)), None)

    def place(self, title, kind, column, value):
        """Where on the page a glyph is of which a column has this value."""
        return self.page.evaluate(PLACE, [title, kind, column, value])

    def column(self, title, name):
        """Values of a column of a figure's data."""
        return self.page.evaluate(COLUMN, [title, name])

    def settle(self, seconds=2):
        """Wait until no figure has been replaced or moved for a while."""
        since, before = time.monotonic(), None

        def still():
            nonlocal since, before
            now = self.page.evaluate(WHERE)
            if now != before:
                since, before = time.monotonic(), now
            return time.monotonic() - since > seconds

        self.until(still)

    def until(self, holds, seconds=WAIT_S):
        """Wait until something holds, or fail."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, f"waited {seconds} s; {self.complaints}"
            self.page.wait_for_timeout(100)
        return found

    def _hear(self, message):
        if message.type == "error":
            self.complaints.append(message.text)

    def _asked(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.foreign.append(request.url)
