"""The raster shows all spikes of the neurons it shows, and nothing else."""

import re

import holoviews as hv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.viz import raster, spikes


def points(picture):
    """(spike, 4) of time (s), row, neuron, excitatory, in the order of time and neuron."""
    rows = []
    for cloud in picture:
        if isinstance(cloud, hv.Points):
            columns = [cloud.dimension_values(i) for i in range(3)]
            kind = np.full(len(columns[0]), cloud.label == "Excitatory")
            rows.append(np.column_stack([*columns, kind]))
    rows = np.concatenate(rows)
    return rows[np.lexsort((rows[:, 2], rows[:, 0]))]


def title(picture):
    return hv.Store.lookup_options("bokeh", picture, "plot").kwargs["title"]


def n_shown(picture):
    return int(re.search(r"Spikes of ([\d,]+) of", title(picture))[1].replace(",", ""))


def recorded(recording, shown):
    neuron, step = recording["spike_neuron"].values, recording["spike_step"].values
    keep = np.isin(neuron, shown)
    return np.column_stack([(step[keep] + 1) / 1e3, neuron[keep]])


def test_unthinned_raster_holds_every_spike(recording):
    picture = raster(recording)
    everything = np.arange(int(recording["size"].sum()))
    np.testing.assert_array_equal(points(picture)[:, [0, 2]], recorded(recording, everything))
    assert n_shown(picture) == len(everything)


@settings(deadline=None, max_examples=30)
@given(max_points=st.integers(10, 400))
def test_thinning_drops_neurons_never_spikes(recording, max_points):
    picture = raster(recording, max_points=max_points)
    seen = points(picture)
    assert len(seen) <= max_points
    shown = np.unique(seen[:, 2])
    np.testing.assert_array_equal(seen[:, [0, 2]], recorded(recording, shown))
    assert n_shown(picture) >= len(shown)
    assert len(shown) >= 1


def test_thinning_is_even_and_repeatable(recording):
    first, size = recording["first_neuron"].values, recording["size"].values
    pictures = [raster(recording, max_points=40) for _ in range(2)]
    np.testing.assert_array_equal(points(pictures[0]), points(pictures[1]))
    stride = next(s for s in range(1, 99) if np.ceil(size / s).sum() == n_shown(pictures[0]))
    offsets = (
        points(pictures[0])[:, 2]
        - first[np.searchsorted(first, points(pictures[0])[:, 2], side="right") - 1]
    )
    assert stride > 1
    assert (offsets % stride == 0).all()


def test_rows_are_one_a_neuron_and_regions_are_bands(recording):
    seen = points(raster(recording))
    neuron, row = seen[:, 2].astype(int), seen[:, 1].astype(int)
    assert len(set(zip(neuron, row, strict=True))) == len(set(neuron)) == len(set(row))
    owner = np.repeat(np.arange(recording.sizes["population"]), recording["size"].values)
    voxel = recording["population_voxel"].values[owner[neuron]]
    assert (np.diff(voxel[np.argsort(row)]) >= 0).all()
    np.testing.assert_array_equal(seen[:, 3], recording["excitatory"].values[owner[neuron]])


def test_regions_band_together_in_whatever_order_populations_come(recording):
    order = np.argsort(~recording["excitatory"].values, kind="stable")
    names = ("population_voxel", "excitatory", "population_label")
    mixed = recording.assign_coords(
        {name: ("population", recording[name].values[order]) for name in names}
    )
    seen = points(raster(mixed))
    owner = np.repeat(np.arange(mixed.sizes["population"]), mixed["size"].values)
    by_row = seen[np.argsort(seen[:, 1])]
    assert (np.diff(mixed["population_voxel"].values[owner[by_row[:, 2].astype(int)]]) >= 0).all()


@settings(deadline=None, max_examples=30)
@given(low=st.integers(60, 193), length=st.integers(1, 95))
def test_window_shows_its_time_and_no_other(recording, low, length):
    every = points(raster(recording))
    step = np.round(every[:, 0] * 1e3)
    inside = (step >= low) & (step <= low + length)
    window_ms = (float(low), float(low + length))
    if low + length <= 100:
        with pytest.raises(InputError, match="100 to 195 ms"):
            raster(recording, window_ms=window_ms)
        return
    np.testing.assert_array_equal(points(raster(recording, window_ms=window_ms)), every[inside])


def test_chosen_neurons_are_shown_whatever_their_number_of_spikes(recording):
    picture = raster(recording, neurons=[40, 3, 3], max_points=1)
    np.testing.assert_array_equal(points(picture)[:, [0, 2]], recorded(recording, [3, 40]))
    assert title(picture) == f"Spikes of 2 of {int(recording['size'].sum())} neurons"


def test_spikes_are_read_in_pieces(recording, monkeypatch):
    whole = points(raster(recording))
    monkeypatch.setattr(spikes, "READ", 7)
    np.testing.assert_array_equal(points(raster(recording)), whole)


def test_spikes_are_computed_once_and_so_are_their_numbers(recording, computes):
    raster(recording)
    assert len(computes) == 2


def test_silent_network_is_an_empty_raster(recording, backend):
    silent = recording.isel(spike=slice(0, 0))
    assert len(points(raster(silent))) == 0
    hv.render(raster(silent), backend=backend)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": [10_000]}, "10000"),
        ({"neurons": [-1]}, "-1"),
        ({"neurons": []}, "empty"),
        ({"window_ms": (150.0, 150.0)}, "window_ms"),
        ({"window_ms": (160.0, 150.0)}, "window_ms"),
        ({"window_ms": (200.0, 300.0)}, "100 to 195 ms"),
        ({"max_points": 1}, "max_points is 1"),
        ({"max_points": 0}, "max_points is 0"),
    ],
)
def test_wrong_input_is_refused_by_name(recording, options, message):
    with pytest.raises(InputError, match=message):
        raster(recording, **options)


def test_lack_of_spikes_is_said(recording):
    with pytest.raises(InputError, match="no spike_neuron"):
        raster(recording.drop_vars(["spike_neuron", "spike_step"]))


def test_renders(recording, backend):
    hv.render(raster(recording), backend=backend)


def test_axes_are_labelled_with_units(recording):
    figure = hv.render(raster(recording), backend="bokeh")
    assert figure.xaxis[0].axis_label == "Time (s)"
    assert figure.yaxis[0].axis_label == "Neuron, in bands of regions"
    labels = list(figure.yaxis[0].major_label_overrides.values())
    assert labels == recording["voxel_label"].values.tolist()
    excitatory, inhibitory = (r.glyph for r in figure.renderers if hasattr(r.glyph, "marker"))
    assert excitatory.marker != inhibitory.marker
