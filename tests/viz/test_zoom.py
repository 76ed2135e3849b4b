"""The raster of all spikes tells the truth at every zoom, and reads little for it."""

import holoviews as hv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import random_spikes, write_recording

from dtbdask.errors import InputError
from dtbdask.sim.pyramid import View
from dtbdask.sim.pyramid_build import build_pyramid
from dtbdask.viz import source as module
from dtbdask.viz import zoom_raster
from dtbdask.viz.source import BINS, POINTS, READ, Spikes, SpikeSource
from dtbdask.viz.zoom import draw

SIZE = [150, 50] * 4
FIRST, N_STEPS = 200, 2000


@pytest.fixture(scope="module")
def spikes():
    return random_spikes(N_STEPS, sum(SIZE), 30.0, 2)


@pytest.fixture(scope="module")
def path(spikes, tmp_path_factory):
    made = write_recording(
        tmp_path_factory.mktemp("zoom") / "r.zarr", *spikes, n_steps=N_STEPS, size=SIZE,
        first_step=FIRST,
    )  # fmt: skip
    build_pyramid(made)
    return made


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "READ", 2000)
    monkeypatch.setattr(module, "POINTS", 300)


def inside(spikes, steps, neurons):
    step, neuron = spikes
    return (step >= steps[0]) & (step < steps[1]) & (neuron >= neurons[0]) & (neuron < neurons[1])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_view_has_its_spikes_and_no_other(spikes, path, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "READ", 2000)
        patch.setattr(module, "POINTS", 300)
        source = SpikeSource.open(path)
        time = data.draw(st.tuples(*[st.floats(-0.5, 3.0)] * 2))
        neurons = data.draw(st.tuples(*[st.floats(-50, 900)] * 2))
        seen = source.read(time, neurons)
        mine = inside(spikes, seen.steps, seen.neurons)
        assert seen.steps[0] <= np.clip(min(time) * 1000 - FIRST, 0, N_STEPS - 1)
        assert seen.steps[1] >= min(max(time) * 1000 - FIRST, N_STEPS)
        if isinstance(seen, Spikes):
            np.testing.assert_array_equal(seen.step, spikes[0][mine])
            np.testing.assert_array_equal(seen.neuron, spikes[1][mine])
            assert mine.sum() <= 300
        else:
            assert seen.count.sum() == mine.sum()
            assert seen.count.size <= (BINS[0] + 1) * (BINS[1] + 1)


def test_colours_are_rates_so_cells_times_their_sizes_are_the_spikes(spikes, path, few):
    source = SpikeSource.open(path)
    picture = draw(source, source.span_s, (-0.5, source.n_neurons - 0.5))
    image = next(x for x in picture if isinstance(x, hv.Image))
    left, bottom, right, top = image.bounds.lbrt()
    rate = image.dimension_values("rate", flat=False)  # rows from the bottom: the first neuron
    width, height = (right - left) / rate.shape[1], (top - bottom) / rate.shape[0]
    start = left + width * np.arange(rate.shape[1])
    seconds = np.minimum(start + width, source.span_s[1]) - start
    low = width * 0 + height * np.arange(rate.shape[0])
    neurons = np.minimum(low + height, source.n_neurons) - low
    total = (rate * np.outer(neurons, seconds)).sum()
    assert total == pytest.approx(spikes[0].size, rel=1e-4)


def test_points_appear_only_when_zoomed_in_and_are_the_spikes(spikes, path, few):
    source = SpikeSource.open(path)
    far = draw(source, source.span_s, (0, 800))
    near = draw(source, (0.3, 0.32), (0, 200))
    assert sum(len(x) for x in far if isinstance(x, hv.Points)) == 0
    mine = inside(spikes, (100, 120), (0, 200))
    clouds = [x for x in near if isinstance(x, hv.Points)]
    found = sorted((t, n) for x in clouds for t, n in zip(*map(x.dimension_values, (0, 1)),
                                                          strict=True))  # fmt: skip
    expected = sorted(zip((spikes[0][mine] + FIRST + 1) / 1000, spikes[1][mine], strict=True))
    np.testing.assert_allclose(found, expected)


def test_a_view_never_takes_more_than_a_million_numbers(path):
    assert READ <= 1e6
    assert 2 * POINTS <= 1e6
    assert (BINS[0] + 1) * (BINS[1] + 1) <= 1e6


def test_regions_that_are_chosen_alone_are_shown(spikes, path, few):
    source = SpikeSource.open(path)
    assert source.neurons_of([1, 2]) == (200, 600)
    near = draw(source, (0.3, 0.32), (-0.5, 799.5), regions=[1])
    found = np.concatenate([x.dimension_values(1) for x in near if isinstance(x, hv.Points)])
    mine = inside(spikes, (100, 120), (200, 400))
    assert found.size == 0 or sorted(found) == sorted(spikes[1][mine])
    far = draw(source, source.span_s, (-0.5, 799.5), regions=[1])
    image = next(x for x in far if isinstance(x, hv.Image))
    rows = np.isnan(image.dimension_values("rate", flat=False)).all(axis=1)
    centre = image.dimension_values(1, expanded=False)
    height = centre[1] - centre[0]
    away = (centre + height / 2 < 199.6) | (centre - height / 2 > 399.4)
    np.testing.assert_array_equal(rows, away)


def test_the_range_of_the_picture_chooses_what_is_read(path, few):
    picture = zoom_raster(path)
    plot = hv.renderer("bokeh").get_plot(picture)
    assert plot.state.title.text.startswith("Spikes in bins of")
    picture.event(x_range=(0.5, 0.51), y_range=(100.0, 0.0))
    assert plot.state.title.text.endswith(" spikes")
    assert (plot.state.y_range.start, plot.state.y_range.end) != (0, 0)


def test_what_is_too_much_without_a_pyramid_is_its_last_part(spikes, tmp_path, few):
    path = write_recording(tmp_path / "r.zarr", *spikes, n_steps=N_STEPS, size=SIZE)
    source = SpikeSource.open(path)
    with pytest.raises(InputError, match="build_pyramid"):
        source.read(source.span_s, (0, 800))
    there = source.readable(source.span_s)
    seen = source.read(there, (0, 800))
    assert isinstance(seen, View)
    assert seen.steps[1] >= N_STEPS
    assert 1000 < seen.count.sum() <= 2200
    title = hv.Store.lookup_options("bokeh", draw(source, source.span_s, (0, 800)), "plot")
    assert "only" in title.kwargs["title"]


@pytest.mark.parametrize("first", [0, 14_240])
def test_the_last_part_is_never_a_step_too_long(spikes, tmp_path, monkeypatch, first):
    path = write_recording(
        tmp_path / "r.zarr", *spikes, n_steps=N_STEPS, size=SIZE, first_step=first
    )
    source = SpikeSource.open(path)
    for most in range(1000, 1200):
        monkeypatch.setattr(module, "READ", most)
        source.read(source.readable(source.span_s), (0, 800))


def test_an_empty_recording_is_an_empty_picture(tmp_path):
    path = write_recording(tmp_path / "r.zarr", [], [], n_steps=50, size=[5, 5])
    hv.render(zoom_raster(path), backend="bokeh")
