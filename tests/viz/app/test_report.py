"""The report in a real browser without a network: it asks nobody, complains of nothing, plays."""

import pytest
from browser import Visit
from viz.synthetic import make_posterior

from dtbdask.graph.network import open_network
from dtbdask.sim.recording import open_recording
from dtbdask.viz import report


@pytest.fixture(scope="module")
def made(real, tmp_path_factory):
    """A report of everything there is."""
    folder = tmp_path_factory.mktemp("report")
    run = open_recording(real / "rest.zarr").to_xarray()
    fit = make_posterior(6, 4, 12)
    return report(
        folder / "report.html", recording=run, network=open_network(real / "net.zarr"),
        other=run.assign_attrs(seed=9), posterior=fit, twin=fit,
    )  # fmt: skip


def test_it_opens_from_disk_with_no_network_and_without_a_complaint(made, browser):
    assert made.stat().st_size < 15e6
    context = browser.new_context(offline=True)
    page = context.new_page()
    visit = Visit(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(made.as_uri())
    visit.until(lambda: len(visit.figures()) > 30)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [made.as_uri()]
    assert visit.complaints == []
    assert not [f["title"] for f in visit.figures() if not f["glyphs"]]
    slider = page.locator(".noUi-handle").first
    slider.scroll_into_view_if_needed()
    before = visit.column("Firing rate", "rate")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert visit.column("Firing rate", "rate") != before
    context.close()


def test_every_section_is_there(made):
    text = made.read_text(encoding="utf-8")
    for title in ("Network", "The brain", "Activity", "Neurons", "Two runs", "BOLD and fit",
                  "Twin experiment"):  # fmt: skip
        assert f">{title}</h2>" in text


def test_every_figure_is_a_picture_too(tmp_path):
    fit = make_posterior(3, 4, 6, twin=False)
    path = report(tmp_path / "report.html", posterior=fit, pictures=tmp_path / "figures")
    pictures = sorted((tmp_path / "figures").iterdir())
    assert [picture.name for picture in pictures] == [f"bold-and-fit-{i}.png" for i in range(1, 7)]
    assert path.read_text(encoding="utf-8").count("<figcaption") == len(pictures)
    assert min(picture.stat().st_size for picture in pictures) > 5000
