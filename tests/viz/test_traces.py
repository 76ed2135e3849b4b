"""Membranes and currents of a real run: what is drawn is what was recorded, in both backends."""

import holoviews as hv
import numpy as np
import pytest

from dtbdask.errors import InputError
from dtbdask.sim.recording import open_recording
from dtbdask.viz import (
    membrane_traces,
    neuron_currents,
    receptor_currents,
    region_curves,
    region_means,
    save,
)
from dtbdask.viz.anatomy import region_colours
from dtbdask.viz.style import DASHES


@pytest.fixture(scope="module")
def run(real):
    return open_recording(real / "rest.zarr").to_xarray()


def test_pictures_of_a_real_run_render(run, backend):
    for picture in (
        membrane_traces(run), neuron_currents(run), receptor_currents(run), region_means(run),
        region_means(run, "current_mean"),
    ):  # fmt: skip
        hv.render(picture, backend=backend)


def test_a_membrane_is_that_of_its_neuron_and_stays_below_the_threshold(run):
    picture = membrane_traces(run, [2, 0])
    for panel, sample in zip(picture, (2, 0), strict=True):
        curve = next(iter(panel))
        np.testing.assert_array_equal(curve.dimension_values("v"), run["sample_v"][:, sample])
        time = curve.dimension_values("time")
        np.testing.assert_allclose(time, run["look_time_ms"].values / 1e3)
        assert -90 < curve.dimension_values("v").min() < curve.dimension_values("v").max() <= -50


def test_currents_are_of_synapses_and_background(run):
    synapses, background = next(iter(neuron_currents(run, [1])))
    np.testing.assert_array_equal(synapses.dimension_values(1), run["sample_current"][:, 1])
    np.testing.assert_array_equal(background.dimension_values(1), run["sample_background"][:, 1])


def test_a_receptor_current_is_the_mean_over_the_neurons_of_a_region(run):
    region = 5
    panel = next(iter(receptor_currents(run, [region])))
    assert len(panel) == run.sizes["receptor"] == 4
    mine = run["population_voxel"].values == region
    size = run["size"].values[mine]
    for curve, receptor in zip(panel, run["receptor"].values, strict=True):
        assert curve.label == receptor
        values = run["receptor_current"].sel(receptor=receptor).values[:, mine]
        np.testing.assert_allclose(curve.dimension_values(1), values @ size / size.sum())


def test_means_of_regions_are_those_of_their_populations(run):
    picture = region_means(run)
    region, time = 7, 0.1
    mine = run["population_voxel"].values == region
    size = run["size"].values[mine]
    at = np.searchsorted(run["bin_time_ms"].values, 1e3 * time)
    expected = run["v_mean"].values[at, mine] @ size / size.sum()
    assert picture[time - 0.0005, region] == pytest.approx(expected)
    assert picture.dimension_values(2).size == run.sizes["bin"] * run.sizes["voxel"]


def test_what_was_not_recorded_is_named(run):
    bare = run.drop_vars(["sample_v", "sample_current", "receptor_current", "v_mean"])
    for draw, missing in (
        (membrane_traces, "sample_v"), (neuron_currents, "sample_current"),
        (receptor_currents, "receptor_current"), (region_means, "v_mean"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=missing):
            draw(bare)
    with pytest.raises(InputError, match="holds 9"):
        membrane_traces(run, [9])
    with pytest.raises(InputError, match="at most 6"):
        region_curves(run, list(range(7)))


def test_regions_have_the_colours_of_their_lobes_and_dashes_of_their_own(run):
    names = [str(name) for name in run["voxel_label"].values]
    curves = list(region_curves(run, [0, 1, 20], 2.0))
    looks = [hv.Store.lookup_options("bokeh", curve, "style").kwargs for curve in curves]
    assert [look["color"] for look in looks] == [region_colours(names)[i] for i in (0, 1, 20)]
    assert [look["line_dash"] for look in looks] == list(DASHES[:3])


def test_a_trace_is_written_as_a_picture(run, tmp_path):
    for name in ("trace.png", "trace.svg", "trace.html"):
        assert save(membrane_traces(run), tmp_path / name).stat().st_size > 5000
