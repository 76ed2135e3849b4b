"""Rates: multiplied by time and neurons they give back every spike."""

import holoviews as hv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.viz import population_rates, rate_histogram, region_rates

STEPS = 95


def widths(n):
    return np.diff(np.append(np.arange(0, STEPS, n), STEPS)) / 1e3


@settings(deadline=None, max_examples=30)
@given(bin_ms=st.integers(1, 2 * STEPS))
def test_rates_times_bins_times_neurons_are_the_spikes(recording, bin_ms):
    n = min(bin_ms, STEPS)
    picture = population_rates(recording, bin_ms)
    excitatory = recording["excitatory"].values
    for curve, kind in zip(picture, (excitatory, ~excitatory), strict=True):
        rate = curve.dimension_values("rate")
        spikes = rate * widths(n) * recording["size"].values[kind].sum()
        count = recording["spike_count"].values[:, kind].sum(axis=1)
        np.testing.assert_allclose(spikes, np.add.reduceat(count, np.arange(0, STEPS, n)))


@settings(deadline=None, max_examples=30)
@given(bin_ms=st.integers(1, 2 * STEPS))
def test_region_rates_hold_the_spikes_of_each_region(recording, bin_ms):
    n = min(bin_ms, STEPS)
    rate = region_rates(recording, bin_ms).dimension_values("rate", flat=False)
    voxel, size = recording["population_voxel"].values, recording["size"].values
    for v in range(voxel.max() + 1):
        count = recording["spike_count"].values[:, voxel == v].sum(axis=1)
        expected = np.add.reduceat(count, np.arange(0, STEPS, n))
        np.testing.assert_allclose(rate[v] * widths(n) * size[voxel == v].sum(), expected)


def test_time_is_that_of_the_middle_of_the_bin(recording):
    excitatory, _ = population_rates(recording, 10)
    time = excitatory.dimension_values("time")
    assert time[0] == pytest.approx(np.arange(101, 111).mean() / 1e3)
    assert time[-1] == pytest.approx(np.arange(191, 196).mean() / 1e3)
    image = region_rates(recording, 10)
    assert image.dimension_values("time", expanded=False)[0] == pytest.approx(time[0])


def test_histogram_counts_every_population_once(recording):
    size = recording["size"].values
    rate = recording["spike_count"].values.sum(axis=0) / (size * STEPS / 1e3)
    excitatory, inhibitory = rate_histogram(recording)
    kinds = recording["excitatory"].values
    for bars, kind in ((excitatory, kinds), (inhibitory, ~kinds)):
        heights, edges = bars.dimension_values("count"), bars.edges
        np.testing.assert_array_equal(heights, np.histogram(rate[kind], edges)[0])
        assert heights.sum() == kind.sum()
    np.testing.assert_array_equal(excitatory.edges, inhibitory.edges)


def test_silence_has_rate_zero(recording):
    silent = recording.assign(spike_count=recording["spike_count"] * 0)
    assert not region_rates(silent).dimension_values("rate").any()
    assert rate_histogram(silent).values()[0].dimension_values("count")[0] > 0


def test_kind_without_neurons_has_no_curve(recording):
    excitatory = recording.isel(population=recording["excitatory"].values)
    assert [curve.label for curve in population_rates(excitatory)] == ["Excitatory"]


@pytest.mark.parametrize("draw", [population_rates, region_rates, rate_histogram])
def test_counts_are_computed_once(recording, computes, draw):
    draw(recording)
    assert len(computes) == 1


@pytest.mark.parametrize("bin_ms", [0, -1, 0.5, 2.5])
@pytest.mark.parametrize("draw", [population_rates, region_rates])
def test_bin_of_broken_steps_is_refused(recording, draw, bin_ms):
    with pytest.raises(InputError, match=f"bin_ms is {bin_ms:g}"):
        draw(recording, bin_ms)


@pytest.mark.parametrize("draw", [population_rates, region_rates, rate_histogram])
def test_renders(recording, draw, backend):
    hv.render(draw(recording), backend=backend)


def test_axes_have_units(recording):
    figure = hv.render(population_rates(recording), backend="bokeh")
    assert figure.xaxis[0].axis_label == "Time (s)"
    assert figure.yaxis[0].axis_label == "Firing rate (Hz)"
    assert {str(r.glyph.line_dash) for r in figure.renderers} == {"[]", "[6]"}
