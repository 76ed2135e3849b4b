"""BOLD traces: the curves are the data, the band is the members' spread."""

import holoviews as hv
import numpy as np
import pytest

from dtbdask.errors import InputError
from dtbdask.viz import bold_traces


def layer(panel, label):
    return next(element for element in panel if element.label == label)


def panels(layout):
    return [panel for _, panel in layout.data.items()]


def test_curves_of_a_recording_are_its_bold(recording):
    drawn = panels(bold_traces(recording, [2, 0]))
    for panel, voxel in zip(drawn, (2, 0), strict=True):
        curve = layer(panel, "Simulated")
        np.testing.assert_array_equal(curve.dimension_values(0), recording["time_s"].values)
        np.testing.assert_array_equal(curve.dimension_values(1), recording["bold"].values[:, voxel])


def test_traces_of_a_fit_are_mean_and_deviation_of_its_members(posterior):
    (panel,) = panels(bold_traces(posterior, ["Frontal_Sup_Orb_L"]))
    forecast = posterior["bold_forecast"].values[:, :, 2]
    band = layer(panel, "Forecast ± SD")
    np.testing.assert_allclose(band.dimension_values(1), forecast.mean(axis=1))
    np.testing.assert_allclose(band.dimension_values(2), forecast.std(axis=1, ddof=1))
    mean = layer(panel, "Forecast mean").dimension_values(1)
    np.testing.assert_allclose(mean, forecast.mean(axis=1))
    free = layer(panel, "Free run mean").dimension_values(1)
    np.testing.assert_allclose(free, posterior["bold_free"].values[:, :, 2].mean(axis=1))
    measured = layer(panel, "Measured").dimension_values(1)
    np.testing.assert_array_equal(measured, posterior["bold_observed"].values[:, 2])


def test_free_run_is_drawn_only_where_there_is_one(posterior):
    labels = {layer.label for layer in panels(bold_traces(posterior.drop_vars("bold_free")))[0]}
    assert labels == {"Forecast ± SD", "Forecast mean", "Measured"}


def test_single_member_has_no_spread(posterior):
    (panel,) = panels(bold_traces(posterior.isel(member=[0]), [0]))
    assert not layer(panel, "Forecast ± SD").dimension_values(2).any()


def test_only_what_is_shown_is_computed_and_once(posterior, recording, computes):
    bold_traces(posterior, [0])
    bold_traces(recording, [0])
    assert len(computes) == 2


def test_wrong_input_is_refused_by_name(brain, posterior):
    with pytest.raises(InputError, match="no BOLD"):
        bold_traces(brain.drop_vars("bold_rest"))
    with pytest.raises(InputError, match="'Atlantis'"):
        bold_traces(posterior, ["Atlantis"])
    with pytest.raises(InputError, match="30 panels"):
        bold_traces(posterior, [0] * 30)


def test_renders(recording, posterior, backend):
    for data in (recording, posterior):
        hv.render(bold_traces(data), backend=backend)


def test_odd_names_are_shown_as_they_are(posterior, backend):
    odd = posterior.assign_coords(voxel_label=("voxel", ["{x}", "a_b", "<b>", "{}", "", "é"]))
    assert hv.render(bold_traces(odd, [0, 1, 2]), backend=backend)
