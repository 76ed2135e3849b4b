"""What a fit says of a frame has seen what it says it has seen, and nothing else."""

import numpy as np
import pytest

from dtbdask.assim.cycle import assimilate
from dtbdask.assim.observe import Observation
from dtbdask.assim.walk import Walk

WIRED = Walk(1.0, memory=6, momentum=2, correlation=0.5 + 0.5 * np.eye(8), centred=True)
OPTIONS = {"members": 4, "warm_up_frames": 1, "seed": 3, "method": "etkf", "walk": WIRED}
Y = 0.02 + 0.002 * np.random.default_rng(5).normal(size=(12, 8))


@pytest.fixture(scope="module")
def fitted(network, tmp_path_factory):
    """A function that fits data that differ from others in some places."""
    folder = tmp_path_factory.mktemp("fits")

    def fit(changed=(), **options):
        y = Y.copy()
        if changed:
            y[changed] += 0.004
        seen = Observation(y, np.full(8, 1e-5), 0.02)
        return assimilate(
            network, seen, to=folder / "fit", overwrite=True, **{**OPTIONS, **options}
        ).load()

    return fit


def first_difference(one, other, name):
    """First frame in which an array differs."""
    differs = (one[name] != other[name]).any([dim for dim in one[name].dims if dim != "frame"])
    return int(np.flatnonzero(differs)[0])


@pytest.mark.parametrize(("change", "ahead"), [(4, 7), (3, 4), (6, 7)])
def test_a_forecast_ahead_has_seen_what_was_there_when_it_set_out(fitted, change, ahead):
    """It sets out after frames 0, 3, 6 and 9."""
    one, other = fitted(ahead=3), fitted(changed=(slice(change, None),), ahead=3)
    assert first_difference(one, other, "bold_ahead") == ahead
    assert first_difference(one, other, "bold_forecast") == change + 1
    assert first_difference(one, other, "bold_analysis") == change


@pytest.mark.parametrize("lag", [1, 3])
def test_what_is_smoothed_has_seen_so_many_frames_more(fitted, lag):
    one, other = fitted(lag=lag), fitted(changed=(slice(7, None),), lag=lag)
    assert first_difference(one, other, "parameter_smoothed") == 7 - lag
    assert first_difference(one, other, "parameter_value") == 7
    np.testing.assert_array_equal(one["parameter_smoothed"][-1], one["parameter_value"][-1])


def test_smoothing_and_forecasts_ahead_leave_the_fit_as_it_is(fitted):
    one, other = fitted(), fitted(lag=3, ahead=3)
    for name in ("bold_forecast", "bold_free", "parameter_value", "rate"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("correlation", [None, WIRED.correlation])
def test_what_is_not_observed_does_not_count(fitted, correlation):
    options = {"observed": [0, 1, 2, 4, 5, 6], "walk": Walk(1.0, correlation=correlation)}
    one = fitted(**options)
    other = fitted(changed=(slice(None), [3, 7]), **options)
    for name in set(one) - {"bold_observed"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert set(one.attrs["scores"]) == {"forecast", "free", "held"}


def test_without_wiring_an_unseen_voxel_stays_where_it_was(fitted):
    one = fitted(observed=[0, 1, 2], walk=0.0)
    still = np.broadcast_to(one["parameter_prior"][..., 3:], one["parameter_value"][..., 3:].shape)
    np.testing.assert_allclose(one["parameter_value"][..., 3:], still, rtol=1e-12)
    np.testing.assert_allclose(one["bold_analysis"][..., 3:], one["bold_forecast"][..., 3:])


def test_hyper_parameters_of_other_voxels_keep_what_the_network_has(fitted, network):
    """What the ensemble runs with there is that of an ensemble without hyper-parameters."""
    one = fitted(voxels=[0, 1], walk=4.0)
    other = fitted(voxels=[0, 1], walk=4.0, changed=(slice(None), [5]), observed=[0, 1])
    assert one.attrs["voxels"] == other.attrs["voxels"] == [0, 1]
    np.testing.assert_array_equal(one["rate"][0], other["rate"][0])


def test_blood_stays_blood_whatever_the_data_say(fitted):
    wild = fitted(changed=(slice(5, 8), [2]), inflation=3.0, walk=25.0)
    for name in wild:
        assert np.isfinite(wild[name]).all()
