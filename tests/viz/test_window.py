"""Parts of a recording: nothing is counted twice, and nothing is lost."""

import itertools

import numpy as np
import pytest

from dtbdask.errors import InputError
from dtbdask.sim.recording import open_recording
from dtbdask.viz.statistics import interval_histogram
from dtbdask.viz.window import (
    by_step,
    of_regions,
    rates_of_voxels,
    rates_over_time,
    voxel_means,
    within,
)


def test_stretches_of_time_add_up(recording):
    whole = recording["spike_count"].sum().values
    edges = np.array([0.1, 0.13, 0.15, 0.195])
    parts = [within(recording, (a, b)) for a, b in itertools.pairwise(edges)]
    assert sum(part["spike_count"].sum().values for part in parts) == whole
    assert sum(part.sizes["step"] for part in parts) == recording.sizes["step"]
    with pytest.raises(InputError, match="nothing is there"):
        within(recording, (7.0, 8.0))


def test_chosen_regions_keep_their_populations_and_names(recording):
    part = of_regions(recording, [2, 0])
    names = recording["voxel_label"].values
    assert part["voxel_label"].values.tolist() == [names[0], names[2]]
    assert part["population_voxel"].values.tolist() == [0, 0, 1, 1]
    expected = rates_of_voxels(recording)[[0, 2]]
    np.testing.assert_allclose(rates_of_voxels(part), expected)
    assert of_regions(recording, []) is recording


def test_spikes_of_chosen_regions_are_those_of_their_neurons(recording):
    counted = [
        sum(bars.dimension_values("neurons").sum() for bars in interval_histogram(part))
        for part in (recording, *(of_regions(recording, [i]) for i in range(3)))
    ]
    assert counted[0] == sum(counted[1:])


def test_rates_over_time_are_the_mean_rate_on_average(recording):
    time, rate = rates_over_time(recording, 10)
    assert len(time) == 10
    assert time[-1] == pytest.approx(0.195)
    width = np.diff(time, prepend=0.1)
    np.testing.assert_allclose(width @ rate / width.sum(), rates_of_voxels(recording))


def test_counts_by_the_bin_are_a_recording_of_longer_steps(real):
    data = open_recording(real / "rest.zarr").to_xarray()
    assert "bin_spike_count" in data
    steps = by_step(data)
    assert steps.attrs["dt_ms"] == 2.0
    assert steps["spike_count"].sum() == data["n_spikes"].sum()
    np.testing.assert_allclose(rates_of_voxels(data), rates_over_time(data, 1)[1][0])
    with pytest.raises(InputError, match="record rate"):
        by_step(data.drop_vars("bin_spike_count"))


def test_a_mean_over_a_voxel_leaves_out_populations_that_have_none(recording):
    values = np.full(6, np.nan)
    values[[0, 3]] = 2.0, 5.0
    mean = voxel_means(recording, values)
    assert mean[:2].tolist() == [2.0, 5.0]
    assert np.isnan(mean[2])
