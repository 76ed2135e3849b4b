"""The view in a real browser: what is clicked, zoomed and written shows."""

import threading
import time

import numpy as np
import pytest
from browser import Visit
from networks import make_network
from recorded import GrowingFit, random_spikes

from dtbdask.brain.aal import AAL90
from dtbdask.sim.quantities import Request
from dtbdask.sim.record import Recorder
from dtbdask.viz.app import server


def points(visit):
    """Number of points of the raster, 0 while it is not there."""
    figure = next((f for f in visit.figures() if "spike" in f["title"].lower()), {"glyphs": []})
    return sum(g["n"] for g in figure["glyphs"] if g["kind"] == "Scatter")


@pytest.fixture(scope="module")
def address(served, recording_path):
    return served(recording_path)


def test_every_page_loads_without_a_complaint_and_asks_no_other_host(visit, address):
    visit.open(address)
    pages = (("Overview", 1), ("Activity", 5), ("Statistics", 5), ("BOLD", 5), ("Brain", 4))
    for tab, figures in pages:
        visit.turn_to(tab, figures=figures)
        shown = [f for f in visit.figures() if any(g["n"] for g in f["glyphs"])]
        assert len(shown) >= figures - 1, tab
        assert visit.page.locator(".bk-Alert:visible").count() == 0
    assert visit.complaints == []
    assert visit.foreign == []


def test_a_click_in_the_brain_changes_what_the_raster_holds(visit, address, recording_path):
    visit.open(address)
    visit.turn_to("Activity", figures=2)
    visit.until(lambda: points(visit) > 0)
    everything = points(visit)
    visit.turn_to("Brain")
    visit.until(lambda: visit.figure("From behind"))
    visit.settle()
    visit.page.mouse.click(*visit.place("Firing rate", "Scatter", "region", AAL90[4]))
    visit.page.wait_for_timeout(800)
    visit.turn_to("Activity", figures=2)
    _, neuron = random_spikes(1000, 60)
    mine = int(((neuron >= 40) & (neuron < 50)).sum())
    visit.until(lambda: points(visit) == mine)
    assert mine < everything
    assert visit.complaints == []


def seen(visit, title):
    """Width of the visible time of a figure, 0 while it is not there."""
    figure = visit.figure(title)
    return figure["x"][1] - figure["x"][0] if figure else 0


def zoom(visit, figure):
    """Zoom into the middle of a figure."""
    visit.page.mouse.move(*figure["middle"])
    for _ in range(4):
        visit.page.mouse.wheel(0, -300)
        visit.page.wait_for_timeout(100)


def test_zooming_the_raster_reads_another_range_on_all_pages(visit, address):
    visit.open(address)
    visit.turn_to("Activity", figures=5)
    everything = visit.until(lambda: points(visit))
    visit.until(lambda: seen(visit, "Mean firing rate") > 0.9)
    zoom(visit, next(f for f in visit.figures() if "spikes" in f["title"]))
    visit.until(lambda: 0 < points(visit) < everything)
    visit.until(lambda: 0 < seen(visit, "Mean firing rate") < 0.9)
    assert visit.complaints == []


@pytest.mark.slow
def test_zooming_any_other_picture_over_time_does_so_too(visit, address):
    visit.open(address)
    visit.turn_to("Activity", figures=5)
    everything = visit.until(lambda: points(visit))
    visit.until(lambda: seen(visit, "Mean firing rate") > 0.9)
    visit.settle()
    zoom(visit, visit.figure("Mean firing rate"))
    visit.until(lambda: 0 < points(visit) < everything)
    visit.until(lambda: 0 < seen(visit, "Firing rate of regions") < 0.9)
    assert visit.complaints == []


def test_every_page_of_a_real_run_loads_and_a_pair_of_the_matrix_is_chosen(visit, served, real):
    visit.open(served(real / "net.zarr", real / "rest.zarr"))
    for tab, figures in (("Neurons", 12), ("Brain", 7), ("Network", 5)):
        visit.turn_to(tab, figures=figures)
        assert visit.page.locator(".bk-Alert:visible").count() == 0
    visit.until(lambda: visit.figure("Synapses"))
    visit.page.wait_for_timeout(500)
    visit.page.mouse.click(*visit.figure("Synapses")["middle"])
    visit.until(lambda: visit.page.get_by_text(AAL90[13]).count() > 0)
    visit.turn_to("BOLD", figures=2)
    visit.until(lambda: visit.figure(AAL90[13]))
    assert visit.complaints == []


@pytest.mark.slow
def test_the_brain_turns_and_plays_without_being_drawn_anew(visit, address):
    visit.open(address)
    visit.turn_to("Brain", figures=4)
    visit.until(lambda: visit.figure("From behind"))
    visit.settle()
    before = visit.column("Firing rate", "rate"), visit.column("Firing rate", "across")
    x, y = visit.figure("Firing rate")["middle"]
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x + 60, y, steps=5)
    visit.page.mouse.up()
    turned = visit.column("Firing rate", "across")
    assert np.abs(np.subtract(turned, before[1])).max() > 5
    # from the mean to the first moment, which has other colours
    visit.page.get_by_title("Next").or_(visit.page.locator(".next")).first.click()
    visit.until(lambda: visit.column("Firing rate", "rate") != before[0])
    visit.page.wait_for_timeout(300)
    np.testing.assert_allclose(visit.column("Firing rate", "across"), turned, atol=1e-6)
    assert visit.complaints == []


def test_a_fit_that_goes_on_is_followed(visit, served, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SHARE", 1.0)
    fit = GrowingFit(tmp_path / "fit.zarr", AAL90[:6])
    fit.grow(16)
    visit.open(served(tmp_path / "fit.zarr"))
    visit.turn_to("Fit", figures=6)

    def measured():
        figure = visit.figure(AAL90[0]) or {"glyphs": []}
        return max((g["n"] for g in figure["glyphs"] if g["kind"] == "Scatter"), default=0)

    visit.until(lambda: measured() == 16)
    fit.grow(48)
    visit.until(lambda: measured() == 64)
    visit.page.locator(".bk-tab", has_text="Overview").first.click()
    visit.until(lambda: visit.page.get_by_text("64 of 64 frames").count() == 1)
    assert visit.complaints == []


def test_a_run_that_goes_on_is_followed(visit, served, tmp_path):
    network = make_network()
    n_populations, n_steps = network.populations.size.size, 20_000
    request = Request.make(network, ("rate",), n_steps, 1.0)
    about = {"first_step": 0, "n_steps": n_steps, "dt_ms": 1.0, "n_neurons": network.n_neurons,
             "frame_steps": 800, "seed": 0, "tr_s": 0.8}  # fmt: skip
    recorder = Recorder.new(tmp_path / "live.zarr", network, request, about, overwrite=False)
    done = threading.Event()

    def write():
        rng = np.random.default_rng(0)
        while not done.wait(0.5):
            recorder.write(spike_count=rng.poisson(1.0, (500, n_populations)).astype(np.int32))

    recorder.write(spike_count=np.ones((500, n_populations), np.int32))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        visit.open(served(tmp_path / "live.zarr"))
        visit.turn_to("Overview")
        seen = set()

        def advanced():
            figure = visit.figure("Mean firing rate")
            seen.add((figure["title"], *(glyph["n"] for glyph in figure["glyphs"])))
            return len(seen) >= 4

        start = time.monotonic()
        visit.until(advanced, 30)
        assert visit.page.get_by_text("running").count() == 1
        assert time.monotonic() - start < 15
    finally:
        done.set()
        writer.join()
    assert visit.complaints == []


def test_the_password_holds(browser, served, recording_path):
    address = served(recording_path, password="right one")
    context = browser.new_context()
    page = context.new_page()
    visit = Visit(page)
    page.goto(address)
    assert page.url.startswith(f"{address}login")
    assert page.locator(".bk-tab").count() == 0

    def enter(word):
        page.fill("input[name=username]", "anybody")
        page.fill("input[name=password]", word)
        page.click("button[type=submit], input[type=submit]")

    enter("wrong one")
    page.wait_for_load_state()
    assert page.locator(".bk-tab").count() == 0
    enter("right one")
    page.wait_for_selector(".bk-tab", timeout=60_000)
    assert visit.foreign == []
    context.close()


def test_without_the_password_the_socket_is_closed_too(browser, served, recording_path):
    address = served(recording_path, password="right one")
    page = browser.new_page()
    page.goto(address)
    state = page.evaluate(
        """async address => new Promise(done => {
          const socket = new WebSocket(address.replace("http", "ws") + "ws", ["bokeh", "x"]);
          socket.onopen = () => done("open");
          socket.onerror = socket.onclose = () => done("closed");
        })""",
        address,
    )
    assert state == "closed"
    page.close()
