"""Parameters: course, recovery and error are those of the ensemble."""

import json

import holoviews as hv
import numpy as np
import pytest

from dtbdask.errors import InputError
from dtbdask.viz import parameter_error_curve, parameter_traces, twin_recovery
from dtbdask.viz.parameters import parameter_bounds


def layer(panel, label, kind=hv.Element):
    return next(e for e in panel if e.label == label and isinstance(e, kind))


def labels(panel):
    return [element.label for element in panel]


def first(layout):
    return next(iter(layout.data.values()))


def test_traces_are_mean_and_deviation_of_the_members(posterior):
    panel = first(parameter_traces(posterior, "g_gabaa", [4]))
    ensemble = posterior["parameter_value"].values[:, :, 1, 4]
    band = layer(panel, "Ensemble ± SD")
    np.testing.assert_allclose(band.dimension_values(1), ensemble.mean(axis=1))
    np.testing.assert_allclose(band.dimension_values(2), ensemble.std(axis=1, ddof=1))
    mean = layer(panel, "Ensemble mean").dimension_values(1)
    np.testing.assert_allclose(mean, ensemble.mean(axis=1))


def test_bounds_and_truth_are_level_lines_where_known(posterior):
    panel = first(parameter_traces(posterior, "g_ampa", [3]))
    for label, level in (
        ("Lower bound", 0.001),
        ("Upper bound", 0.02),
        ("Truth", posterior["parameter_truth"].values[0, 3]),
    ):
        assert set(layer(panel, label).dimension_values(1)) == {level}
    bare = posterior.drop_vars("parameter_truth")
    bare.attrs = {}
    assert labels(first(parameter_traces(bare, "g_ampa"))) == ["Ensemble ± SD", "Ensemble mean"]


def test_bounds_may_be_a_mapping_or_its_json(posterior):
    mapping = json.loads(posterior.attrs["bounds"])
    expected = {"g_ampa": (0.001, 0.02), "g_gabaa": (0.01, 0.1)}
    assert parameter_bounds(posterior) == expected
    assert parameter_bounds(posterior.assign_attrs(bounds=mapping)) == expected


def test_recovery_sets_estimates_against_truth(posterior):
    drawn = list(twin_recovery(posterior).data.values())
    assert len(drawn) == 2
    truth = posterior["parameter_truth"].values
    for i, panel in enumerate(drawn):
        after, before = layer(panel, "Posterior mean"), layer(panel, "Prior mean")
        last = posterior["parameter_value"].values[-1, :, i]
        np.testing.assert_array_equal(after.dimension_values(0), truth[i])
        np.testing.assert_allclose(after.dimension_values(1), last.mean(axis=0))
        prior = posterior["parameter_prior"].values[:, i].mean(axis=0)
        np.testing.assert_allclose(before.dimension_values(1), prior)
        assert list(after.dimension_values(2)) == posterior["voxel_label"].values.tolist()
        line = layer(panel, "Estimate = truth")
        np.testing.assert_array_equal(line.dimension_values(0), line.dimension_values(1))


def test_error_curve_is_the_log_error_of_the_mean(posterior):
    picture = parameter_error_curve(posterior)
    truth = posterior["parameter_truth"].values
    mean = posterior["parameter_value"].values.mean(axis=1)
    expected = np.sqrt((np.log(mean / truth) ** 2).mean(axis=2))
    prior = posterior["parameter_prior"].values.mean(axis=0)
    level = np.sqrt((np.log(prior / truth) ** 2).mean(axis=1))
    for i, name in enumerate(("g_ampa", "g_gabaa")):
        fit = layer(picture, f"{name}, fit", hv.Curve)
        np.testing.assert_allclose(fit.dimension_values(1), expected[:, i])
        np.testing.assert_array_equal(fit.dimension_values(0), posterior["time_s"].values)
        flat = layer(picture, f"{name}, prior", hv.Curve)
        np.testing.assert_allclose(flat.dimension_values(1), level[i])


def test_perfect_fit_has_no_error(posterior):
    perfect = posterior.copy()
    perfect["parameter_value"] = posterior["parameter_truth"].broadcast_like(
        posterior["parameter_value"]
    ).transpose(*posterior["parameter_value"].dims)  # fmt: skip
    fit = layer(parameter_error_curve(perfect), "g_ampa, fit")
    np.testing.assert_allclose(fit.dimension_values(1), 0, atol=1e-12)


def test_prior_is_drawn_only_where_there_is_one(posterior):
    bare = posterior.drop_vars("parameter_prior")
    assert labels(first(twin_recovery(bare))) == ["Estimate = truth", "Posterior mean"]
    assert all(label.endswith(", fit") for label in labels(parameter_error_curve(bare)))


def test_each_picture_computes_once(posterior, computes):
    parameter_traces(posterior, "g_ampa")
    twin_recovery(posterior)
    parameter_error_curve(posterior)
    assert len(computes) == 3


def test_wrong_input_is_refused_by_name(posterior):
    with pytest.raises(InputError, match=r"'g_nmda'.*g_ampa, g_gabaa"):
        parameter_traces(posterior, "g_nmda")
    real = posterior.drop_vars("parameter_truth")
    for draw in (twin_recovery, parameter_error_curve):
        with pytest.raises(InputError, match="twin experiment"):
            draw(real)
    with pytest.raises(InputError, match="positive"):
        parameter_error_curve(posterior.assign(parameter_truth=-posterior["parameter_truth"]))


@pytest.mark.parametrize("draw", [twin_recovery, parameter_error_curve])
def test_twin_pictures_render(posterior, draw, backend):
    hv.render(draw(posterior), backend=backend)


def test_traces_render(posterior, backend):
    hv.render(parameter_traces(posterior, "g_ampa"), backend=backend)


def test_axes_carry_names_and_units(posterior):
    posterior = posterior.copy()
    posterior["parameter_value"] = posterior["parameter_value"].assign_attrs(units="mS/cm2")
    panel = first(twin_recovery(posterior))
    figure = hv.render(panel, backend="bokeh")
    assert figure.xaxis[0].axis_label == "True g_ampa (mS/cm2)"
    assert figure.yaxis[0].axis_label == "Estimated g_ampa (mS/cm2)"
