"""What was hidden is found again, from the data alone."""

import numpy as np
import pytest

from dtbdask.assim.cycle import assimilate, default_bounds
from dtbdask.assim.twin import hidden_truth, observe_twin
from dtbdask.errors import InputError
from dtbdask.graph.build import build

NAMES = ("g_ampa",)
SHORT = {"parameters": NAMES, "tr_s": 0.02, "warm_up_frames": 2}


def log_error(h, truth):
    return np.sqrt((np.log(np.mean(h, axis=0) / truth) ** 2).mean())


# The fit


@pytest.fixture(scope="module")
def larger(brain, tmp_path_factory):
    path = tmp_path_factory.mktemp("twin") / "brain.zarr"
    return build(brain, path, neurons=2400, degree=30, seed=7)


@pytest.fixture(scope="module")
def twins(larger):
    """Hidden truth and what is seen of it, by seed; made once."""
    made = {}

    def twin(seed):
        if seed not in made:
            truth = hidden_truth(default_bounds(larger, NAMES), 8, seed=seed)
            seen = observe_twin(
                larger, truth, parameters=NAMES, frames=12, tr_s=0.8, seed=seed + 100
            )
            made[seed] = truth, seen
        return made[seed]

    return twin


@pytest.mark.parametrize("method", ["dhmda", "etkf"])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_the_fit_finds_what_was_hidden(larger, twins, tmp_path, seed, method):
    """At least three times nearer than the prior that is never updated, and not by chance: it is
    the truth of its own data that is found.
    """
    truth, seen = twins(seed)
    fit = assimilate(
        larger, seen, to=tmp_path / "fit", parameters=NAMES, members=10, method=method,
        free=False, truth=truth, seed=seed + 200,
    )  # fmt: skip
    before = log_error(fit["parameter_prior"].values, truth)
    after = log_error(fit["parameter_value"][-1].values, truth)
    assert 3 * after < before
    scores = fit.attrs["scores"]
    np.testing.assert_allclose(scores["parameter_error_prior"], before)
    np.testing.assert_allclose(scores["parameter_error_posterior"], after)
    another = hidden_truth(default_bounds(larger, NAMES), 8, seed=seed + 1)
    assert log_error(fit["parameter_value"][-1].values, another) > 0.5 * before


# The truth


def test_the_truth_is_even_in_the_logarithm_inside_the_margins():
    bounds = {"g_ampa": (0.001, 0.01), "g_gaba_a": (2.0, 9.0)}
    truth = hidden_truth(bounds, 4000, seed=1, margin=1.2)
    assert truth.shape == (2, 4000)
    for values, (low, high) in zip(truth, bounds.values(), strict=True):
        place = np.sort(np.log(values / (low * 1.2)) / np.log(high / low / 1.44))
        assert place[0] >= 0
        assert place[-1] <= 1
        np.testing.assert_allclose(place, (np.arange(4000) + 0.5) / 4000, atol=0.03)
    assert abs(np.corrcoef(np.log(truth))[0, 1]) < 0.06


def test_the_truth_follows_its_seed():
    bounds = {"g_ampa": (0.001, 0.01)}
    one = hidden_truth(bounds, 8, seed=1)
    np.testing.assert_array_equal(one, hidden_truth(bounds, 8, seed=1))
    assert (one != hidden_truth(bounds, 8, seed=2)).all()


def test_margins_that_leave_no_room_are_refused():
    with pytest.raises(InputError, match="margin"):
        hidden_truth({"g_ampa": (0.001, 0.002)}, 8, seed=1, margin=1.5)


# The observation

TRUTH = hidden_truth({"g_ampa": (0.0005, 0.004)}, 8, seed=9)


def test_the_error_of_the_observation_is_the_one_it_tells(network):
    options = {"frames": 200, **SHORT, "tr_s": 0.001, "seed": 4}
    exact = observe_twin(network, TRUTH, error=1e-30, **options)
    seen = observe_twin(network, TRUTH, error=4e-6, **options)
    assert seen.y.shape == exact.y.shape == (200, 8)
    assert seen.tr_s == 0.001
    np.testing.assert_array_equal(seen.error, np.full(8, 4e-6))
    added = (seen.y - exact.y) / 2e-3
    assert abs(added.mean()) < 0.1
    assert 0.95 < added.std() < 1.05


def test_the_first_frames_are_left_out(network):
    options = {**SHORT, "error": 1e-30, "seed": 4}
    whole = observe_twin(network, TRUTH, frames=7, **{**options, "warm_up_frames": 0})
    late = observe_twin(network, TRUTH, frames=4, **{**options, "warm_up_frames": 3})
    np.testing.assert_allclose(late.y, whole.y[3:], rtol=0, atol=1e-12)


def test_an_observation_follows_its_seed_and_its_truth(network):
    def see(truth=TRUTH, seed=4):
        options = {**SHORT, "tr_s": 0.8}
        return observe_twin(network, truth, frames=4, seed=seed, error=1e-30, **options).y

    np.testing.assert_array_equal(see(), see())
    assert (see()[-1] != see(seed=5)[-1]).any()
    assert (see(2 * TRUTH)[-1] > see()[-1]).all()


def test_workers_see_the_same(network, client):
    here, there = (
        observe_twin(network, TRUTH, where, frames=3, seed=4, **SHORT).y for where in (None, client)
    )
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("shape", [(1, 7), (1, 9), (2, 8), (8,)], ids=str)
def test_a_truth_of_another_shape_is_refused(network, shape):
    with pytest.raises(InputError):
        observe_twin(network, np.full(shape, 0.001), frames=1, seed=4, **SHORT)


@pytest.mark.parametrize(
    "wrong", [{"error": 0.0}, {"error": -1.0}, {"frames": 0}, {"tr_s": 0.0205}], ids=str
)
def test_a_wrong_observation_is_refused(network, wrong):
    with pytest.raises(InputError):
        observe_twin(network, TRUTH, **{"frames": 1, "seed": 4, **SHORT, **wrong})
