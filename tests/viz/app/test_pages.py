"""Pages of a real run and of a fit: what is chosen on one shows on all, over time as well."""

import dask
import dask.array as da
import holoviews as hv
import numpy as np
import pytest
from dask.core import flatten
from recorded import GrowingFit, random_spikes, write_recording

from dtbdask.brain.aal import AAL90
from dtbdask.sim.recording import open_recording
from dtbdask.viz.app import course, server
from dtbdask.viz.app.course import Course
from dtbdask.viz.app.figure import Figure
from dtbdask.viz.app.server import View
from dtbdask.viz.app.study import Study
from dtbdask.viz.window import rates_of_voxels

LABELS = AAL90[:27]


@pytest.fixture
def view(real):
    return View(Study([real / "net.zarr", real / "rest.zarr"]))


def turn_to(view, name):
    """Pictures of a page."""
    view.tabs.active = list(view._pages).index(name)
    parts = [part for part in view._pages[name] if isinstance(part, Figure)]
    assert not [part._said.object for part in parts if part._said.visible]
    return [part.now for part in parts]


def test_every_page_of_a_real_run_has_all_its_pictures(view):
    assert list(view._pages) == [
        "Overview", "Network", "Activity", "Statistics", "Neurons", "BOLD", "Brain"
    ]  # fmt: skip
    for name in view._pages:
        assert all(picture is not None for picture in turn_to(view, name))
    assert len(turn_to(view, "Neurons")) == 5
    assert len(turn_to(view, "Brain")) == 3  # points, glass, slices


def test_chosen_regions_filter_every_page(view):
    view.choice.regions = [4, 9]
    chosen = {LABELS[4], LABELS[9]}
    _, rates, single, image, _ = turn_to(view, "Activity")
    assert {curve.label for curve in single} == chosen
    assert len(image.dimension_values(1, expanded=False)) == 2
    assert len(rates) == 2
    _, currents, potential, _ = turn_to(view, "Neurons")[1:]
    assert len(list(currents)) == 2
    assert len(potential.dimension_values(1, expanded=False)) == 2
    traces, matrices = turn_to(view, "BOLD")
    assert len(list(traces)) == 2
    assert next(iter(matrices)).dimension_values(2).size == 4
    points, _, _ = turn_to(view, "Brain")
    marked = hv.Store.lookup_options("bokeh", points, "plot").kwargs["selected"]
    assert {points.dimension_values("region")[i] for i in marked} == chosen


@pytest.mark.parametrize(("page", "at"), [("Activity", 1), ("Activity", 3), ("Neurons", 0),
                                          ("BOLD", 0)])  # fmt: skip
def test_a_range_seen_in_any_picture_over_time_is_that_of_all(view, page, at):
    picture = turn_to(view, page)[at]
    part = next(iter(picture)) if isinstance(picture, hv.Layout) else picture
    (stream,) = [s for s in hv.streams.Stream.registry[part] if isinstance(s, hv.streams.RangeX)]
    stream.event(x_range=(0.1, 0.3))
    assert view.choice.time_s == (0.1, 0.3)
    for name in ("Activity", "Neurons", "BOLD"):
        again = turn_to(view, name)[1 if name == "Activity" else 0]
        first = next(iter(again))
        time = next(iter(first) if isinstance(first, hv.Overlay) else iter([first]))
        seen = time.dimension_values("time")
        assert 0.1 < seen.min() < seen.max() <= 0.3 + 1e-9


def test_the_film_of_rates_is_that_of_the_recording(view, real):
    points = turn_to(view, "Brain")[0]
    data = open_recording(real / "rest.zarr").to_xarray()
    names = [str(name) for name in points.dimension_values("region")]
    rate = dict(zip(LABELS, rates_of_voxels(data), strict=True))
    np.testing.assert_allclose(points.dimension_values("rate"), [rate[name] for name in names])
    film = view._brain.scenes.film()
    assert 1 < film.time_s.size <= 100
    np.testing.assert_allclose(film.moving.mean(axis=0), rates_of_voxels(data))
    view.choice.moment = film.time_s.size
    last = turn_to(view, "Brain")[0]
    shown = dict(zip(names, last.dimension_values("rate"), strict=True))
    np.testing.assert_allclose([shown[name] for name in LABELS], film.moving[-1])
    assert "at 0.400 s" in view._brain._said.object


def test_a_moment_sends_data_and_keeps_the_picture(view):
    turn_to(view, "Brain")
    view.choice.moment = 1
    kept = [part._pane.object for part in view._pages["Brain"]]
    view.choice.moment = 3
    assert [part._pane.object for part in view._pages["Brain"]] == kept
    view.choice.shown = "BOLD"
    assert view._pages["Brain"][0]._pane.object is not kept[0]


@pytest.mark.parametrize("shown", ["BOLD", "Correlation with the chosen region",
                                   "Membrane potential"])  # fmt: skip
def test_the_brain_is_coloured_by_all_that_was_recorded(view, shown):
    view.choice.regions = [3]
    view.choice.shown = shown
    points = turn_to(view, "Brain")[0]
    if shown.startswith("Corr"):
        place = points.dimension_values("region").tolist().index(LABELS[3])
        assert points.dimension_values("correlation")[place] == pytest.approx(1)
    assert len(points) == 27


def test_a_click_in_a_slice_moves_the_others_there_and_chooses_the_voxel(view):
    turn_to(view, "Brain")
    part = view._pages["Brain"][2]._pane.object
    above = next(iter(part))
    (tap,) = [s for s in hv.streams.Stream.registry[above] if isinstance(s, hv.streams.Tap)]
    tap.event(x=0.4, y=5.7)
    assert view.choice.at_mm == (0.0, 6.0, 3.0)
    assert view.choice.regions == [2 * 3 + 1]


def test_a_fit_that_goes_on_is_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SHARE", 100.0)
    fit = GrowingFit(tmp_path / "fit.zarr", LABELS)
    fit.grow(20)
    view = View(Study([tmp_path / "fit.zarr"]))
    assert view.study.live
    assert "16 of 64 frames" in view._pages["Overview"][0]._pane.object
    assert view.choice.time_s == (0.0, pytest.approx(51.2))
    traces = turn_to(view, "Fit")[0]
    fit.grow(20)
    view.tick()
    grown = turn_to(view, "Fit")[0]
    sizes = [len(next(iter(next(iter(layout))))) for layout in (traces, grown)]
    assert sizes == [16, 32]
    view.choice.shown = "g_ampa"
    assert view._brain.scenes.n_moments() == 32
    fit.grow(24)
    view.tick()
    assert not view.study.live
    turn_to(view, "Overview")
    assert "64 of 64 frames" in view._pages["Overview"][0]._pane.object


def test_a_long_recording_is_taken_up_piece_by_piece(tmp_path, monkeypatch):
    step, neuron = random_spikes(3000, 20)
    path = write_recording(tmp_path / "r.zarr", step, neuron, n_steps=3000, size=[8, 2] * 2)
    monkeypatch.setattr(course, "READ", 1)
    grown = Course(path)
    seen = [grown.n_rows]
    while grown.behind:
        assert grown.grow()
        seen.append(grown.n_rows)
    assert seen == [500, 1000, 1500, 2000, 2500, 3000]
    assert grown.n_spikes == step.size
    assert not grown.grow()
    assert np.isnan(grown.speed)


def test_no_view_takes_more_than_a_million_numbers_from_where_they_are(recording_path):
    """A hundred seconds are looked at; what each picture computes is counted."""
    view = View(Study([recording_path]))
    run, n_steps = view.study.runs[0], 100_000
    gone = ["spike_neuron", "spike_step", "n_spikes", "bold", "time_s"]
    few = run.data.drop_vars(gone).isel(step=0, drop=True)
    count = da.ones((n_steps, 12), np.int32, chunks=(20_000, 12))
    bold = da.random.default_rng(0).normal(size=(200_000, 6), chunks=(50_000, 6))
    run.data = few.assign(
        spike_count=(("step", "population"), count), bold=(("frame", "voxel"), bold),
    ).assign_coords(
        time_ms=("step", np.arange(1.0, n_steps + 1)),
        time_s=("frame", np.arange(1, 200_001) * 5e-4),
    )  # fmt: skip
    run.version += 1
    view.choice.param.time_s.bounds = (0.0, 100.0)
    view.choice.time_s = (0.0, 100.0)
    taken = []

    def scheduler(graph, keys, **options):
        found = dask.get(graph, keys, **options)
        taken.append(sum(np.size(x) for x in flatten(found)))
        return found

    with dask.config.set(scheduler=scheduler):
        for name in ("Activity", "Statistics", "BOLD", "Brain"):
            turn_to(view, name)
            for shown in view.choice.param.shown.objects if name == "Brain" else ():
                view.choice.shown = shown
    assert len(taken) > 10
    assert max(taken) <= 1_000_000
