"""Figures of spike trains are what theory says of trains and rates that are known."""

import holoviews as hv
import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.graph.partition import partition
from dtbdask.viz import (
    correlation_histogram,
    degree_histogram,
    innovations,
    interval_histogram,
    partition_picture,
    rank_bars,
    rate_boxes,
    rate_spectrum,
    rate_wavelet,
    region_curves,
    spread_and_error,
    weight_histogram,
)
from dtbdask.viz.analysis import (
    active_rate,
    cv_of_intervals,
    pair_correlations,
    smooth_rate,
    spectrum,
    wavelet_power,
)


def test_a_clock_has_no_variation_and_poisson_has_one():
    rng = np.random.default_rng(0)
    clock = np.arange(0, 1000, 10)
    assert cv_of_intervals(clock, np.zeros_like(clock)) == pytest.approx(0)
    step = np.concatenate([np.sort(rng.integers(0, 10**7, 2000)) for _ in range(20)])
    neuron = np.repeat(np.arange(20), 2000)
    order = np.argsort(step, kind="stable")
    assert cv_of_intervals(step[order], neuron[order]).mean() == pytest.approx(1, abs=0.03)


def test_variation_is_that_of_numpy_neuron_by_neuron():
    rng = np.random.default_rng(3)
    step, neuron = np.sort(rng.integers(0, 5000, 300)), rng.integers(0, 40, 300)
    expected = []
    for i in range(40):
        gaps = np.diff(step[neuron == i])
        if gaps.size >= 2:
            expected.append(gaps.std() / gaps.mean())
    np.testing.assert_allclose(cv_of_intervals(step, neuron), expected)


def test_twins_correlate_and_strangers_do_not():
    rng = np.random.default_rng(1)
    own = np.sort(rng.integers(0, 50_000, 3000))
    step = np.repeat(own, 2)
    assert pair_correlations(step, np.tile([3, 9], 3000), 50_000) == pytest.approx(1)
    step, neuron = np.sort(rng.integers(0, 50_000, 60_000)), rng.integers(0, 20, 60_000)
    r = pair_correlations(step, neuron, 50_000, pairs=10**6)
    assert r.size == 20 * 19 // 2
    assert abs(r.mean()) < 0.02
    with pytest.raises(InputError, match="two neurons"):
        pair_correlations([1, 2], [0, 0], 1000)


def test_a_sine_has_its_power_at_its_frequency():
    time = np.arange(0, 4, 0.002)
    rate = 10 + 3 * np.sin(2 * np.pi * 20 * time)
    frequency, power = spectrum(rate, 0.002)
    assert frequency[np.argmax(power)] == pytest.approx(20)
    assert power.sum() * (frequency[1] - frequency[0]) == pytest.approx(4.5, rel=0.02)
    found = wavelet_power(rate, 0.002, [5.0, 20.0, 60.0])
    middle = found[:, 500:1500].mean(axis=1)
    assert middle[1] == pytest.approx(9, rel=0.02)
    assert max(middle[0], middle[2]) < 0.1
    with pytest.raises(InputError, match="frequency_hz"):
        wavelet_power(rate, 0.002, [400.0])


def test_pictures_of_firing_render(recording, backend):
    for picture in (
        interval_histogram(recording), rate_boxes(recording), rate_spectrum(recording),
        rate_wavelet(recording, 1.0, (20.0, 200.0)), region_curves(recording),
        correlation_histogram(recording.assign_attrs(dt_ms=5.0)),
    ):  # fmt: skip
        hv.render(picture, backend=backend)


def test_histogram_of_intervals_counts_every_neuron_that_fires_enough(recording):
    picture = interval_histogram(recording)
    counted = sum(bars.dimension_values("neurons").sum() for bars in picture)
    _, n = np.unique(recording["spike_neuron"].values, return_counts=True)
    assert counted == (n >= 3).sum()


def test_pictures_of_skill_render_and_count_every_case(posterior, backend):
    bars = rank_bars(posterior)
    cases = next(iter(bars)).dimension_values("cases").sum()
    assert cases == posterior.sizes["frame"] * posterior.sizes["voxel"]
    for picture in (bars, innovations(posterior), spread_and_error(posterior)):
        hv.render(picture, backend=backend)
    with pytest.raises(InputError, match="0 frames"):
        innovations(posterior.isel(frame=slice(0, 0)))


@pytest.fixture(scope="module")
def of_network():
    network = make_network()
    shared = partition(network, 2, "contiguous")
    return (
        network, degree_histogram(network), weight_histogram(network),
        partition_picture(network, shared),
    )  # fmt: skip


def test_pictures_of_a_network_count_its_neurons_and_synapses(of_network):
    network, degrees, weights, (_, between) = of_network
    for bars in degrees:
        assert bars.dimension_values("neurons").sum() == network.n_neurons
    for bars in weights:
        assert bars.dimension_values("synapses").sum() == network.n_synapses
    assert between.dimension_values("synapses").sum() == pytest.approx(network.n_synapses)


def test_pictures_of_a_network_render(of_network, backend):
    for picture in of_network[1:]:
        hv.render(picture, backend=backend)


def test_the_active_are_those_that_fire_and_smoothing_keeps_the_mean():
    neuron = np.repeat(np.arange(40), 5 * (np.arange(40) >= 20))
    assert active_rate(neuron, 2.0) == 2.5
    assert active_rate(neuron[:50], 2.0) == 0
    rate = np.random.default_rng(0).gamma(2, 5, 5000)
    smooth = smooth_rate(rate, 0.001)
    assert smooth.mean() == pytest.approx(rate.mean(), rel=1e-3)
    assert smooth.std() < rate.std() / 5
    step = smooth_rate(np.repeat([0.0, 1.0], 500), 0.001)
    assert step[500] == pytest.approx(0.5, abs=0.02)
    assert step[540] == pytest.approx(0.977, abs=0.01)


def test_boxes_are_of_kinds_or_of_slots(recording):
    kinds, slots = rate_boxes(recording, 5.0), rate_boxes(recording, 5.0, slots=True)
    assert set(kinds.dimension_values("kind")) == {"Excitatory", "Inhibitory"}
    assert set(slots.dimension_values("kind")) == {"E", "I"}
    np.testing.assert_array_equal(kinds.dimension_values("rate"), slots.dimension_values("rate"))
