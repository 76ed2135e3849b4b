"""Members share the wiring and the factors of the neurons; parameters and noise are their own."""

import numpy as np
import pytest

from dtbdask.assim.ensemble import Ensemble, looks_of, spread_between
from dtbdask.errors import InputError, SessionError
from dtbdask.graph.build import build
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.sim.bold import Balloon
from dtbdask.sim.session import Session

SEED = 2**40 + 3
G = PARAMETERS["g_ampa"].default
RECIPE = {"neurons": 1600, "degree": 20, "seed": 7}


def make(network, client=None, **options):
    options = {"parameters": ("g_ampa",), "members": 4, "tr_s": 0.1, "seed": SEED,
               "gamma_shape": 5.0, **options}  # fmt: skip
    return Ensemble(network, client, **options)


def constant(members, voxels, *values):
    """The same value of each parameter in all members and voxels: (member, parameter, voxel)."""
    return np.tile(np.array(values)[:, None], (members, 1, voxels))


def course(ensemble, frames):
    """What an ensemble shows in some frames, by name, frames stacked."""
    forecasts = [ensemble.forecast() for _ in range(frames)]
    return {
        name: np.array([getattr(one, name) for one in forecasts])
        for name in ("bold", "balloon", "rate")
    }


def same(one, other, members=slice(None)):
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name][:, members], err_msg=name)


# What members share, and what not


def test_a_member_is_the_same_in_an_ensemble_of_any_size(network):
    h = spread_between({"g_ampa": (G / 2, 2 * G)}, 5, 8, seed=1)
    with make(network, members=5) as many, make(network, members=2) as few:
        many.put(h)
        few.put(h[:2])
        whole, part = course(many, 3), course(few, 3)
    assert whole["bold"].shape == whole["rate"].shape == (3, 5, 8)
    assert whole["balloon"].shape == (3, 5, 8, 4)
    same(part, whole, slice(2))


def test_members_with_equal_parameters_differ_by_their_noise(network):
    with make(network) as ensemble:
        ensemble.put(constant(4, 8, G))
        rate = course(ensemble, 3)["rate"]
    flat = rate.swapaxes(0, 1).reshape(4, -1)
    assert len(np.unique(flat, axis=0)) == 4
    middle = flat.mean(axis=1)
    assert np.ptp(middle) < 0.1 * middle.mean()


def test_the_mean_over_a_frame_is_that_of_the_looks_within_it(network):
    """And the run is the same, whatever is looked at."""
    options = {"parameters": ("g_ampa",), "members": 2, "seed": 3, "gamma_shape": None}
    with (
        Ensemble(network, None, tr_s=0.4, window="mean", **options) as mean,
        Ensemble(network, None, tr_s=0.4, **options) as last,
        Ensemble(network, None, tr_s=0.04, **options) as fine,
    ):
        for _ in range(2):
            of_mean, of_last = mean.forecast(), last.forecast()
            looks = np.array([fine.forecast().bold for _ in range(10)])
            np.testing.assert_allclose(of_mean.bold, looks.mean(axis=0), rtol=1e-12)
            np.testing.assert_array_equal(of_last.bold, looks[-1])
            np.testing.assert_array_equal(of_mean.balloon, of_last.balloon)
            np.testing.assert_array_equal(of_mean.rate, of_last.rate)


@pytest.mark.parametrize(
    ("tr_s", "looks"), [(0.8, 10), (0.72, 10), (2.2, 10), (0.013, 1), (2.002, 7)]
)
def test_looks_divide_the_frame(tr_s, looks):
    assert looks_of(tr_s) == looks


@pytest.fixture(scope="module")
def silent(brain, tmp_path_factory):
    """The network without noise: a steady current makes it fire."""
    path = tmp_path_factory.mktemp("silent") / "brain.zarr"
    return build(brain, path, parameters={"ou_sigma": 0.0, "ou_mean": 0.8}, **RECIPE)


def test_without_noise_members_are_one_run_of_one_wiring_whatever_the_seed(silent):
    """So the factors of the neurons are those of the network and not of the experiment."""
    with make(silent) as ensemble, make(silent, seed=SEED + 1) as another:
        for each in (ensemble, another):
            each.put(constant(4, 8, G))
        found, again = course(ensemble, 3), course(another, 3)
    assert (found["rate"] > 1).all()
    same(found, again)
    for values in found.values():
        np.testing.assert_array_equal(values, np.repeat(values[:, :1], 4, axis=1))


def test_without_factors_a_member_runs_the_network_of_these_conductances(network, brain, tmp_path):
    h = np.linspace(0.6, 1.7, 8) * G
    own = network.populations.voxel
    meant = build(brain, tmp_path / "meant", parameters={"g_ampa": h[own]}, **RECIPE)
    with (
        make(network, members=2, gamma_shape=None) as ensemble,
        Session(meant, members=2, seed=SEED, tr_s=0.1) as session,
    ):
        ensemble.put(np.tile(h, (2, 1, 1)))
        found = course(ensemble, 2)
        window = session.advance(200)
        np.testing.assert_array_equal(found["bold"], window.bold)
        np.testing.assert_array_equal(found["balloon"][-1], np.moveaxis(session.balloon(), 0, -1))
    into = own == np.arange(8)[:, None]
    spikes = window.spike_count.reshape(2, 100, 2, -1).sum(axis=1) @ into.T
    neurons = into @ meant.populations.size
    np.testing.assert_allclose(found["rate"], spikes / neurons / 0.1, rtol=1e-12)


# Parameters


@pytest.mark.parametrize("gamma_shape", [5.0, None])
def test_rates_rise_with_the_conductance_of_ampa_in_every_voxel(network, gamma_shape):
    levels = G * np.array([0.25, 0.6, 1.0, 1.5, 2.0])
    with make(network, members=5, tr_s=0.5, gamma_shape=gamma_shape) as ensemble:
        ensemble.put(np.tile(levels[:, None, None], (1, 1, 8)))
        ensemble.forecast()
        rate = ensemble.forecast().rate
    assert (np.diff(rate.mean(axis=1)) > 0.2).all()
    assert (rate[-1] > rate[0] + 1).all()


def test_a_voxel_answers_to_its_own_parameter_first(network):
    h = constant(9, 8, G)
    h[np.arange(8), 0, np.arange(8)] *= 2.0
    with make(network, members=9, tr_s=0.5) as ensemble:
        ensemble.put(h)
        rate = course(ensemble, 2)["rate"].mean(axis=0)
    rise = rate[:8] - rate[8]
    np.testing.assert_array_equal(rise.argmax(axis=1), np.arange(8))


def test_parameters_are_put_by_their_place(network):
    """Less inhibition in some members, less excitation in others."""
    gaba = PARAMETERS["g_gaba_a"].default
    h = constant(4, 8, G, gaba)
    h[1, 0], h[2, 1] = G / 2, gaba / 2
    options = {"parameters": ("g_ampa", "g_gaba_a"), "gamma_shape": None, "tr_s": 0.5}
    with make(network, **options) as ensemble:
        ensemble.put(h)
        rate = course(ensemble, 2)["rate"].mean(axis=(0, 2))
    assert rate[1] + 0.5 < min(rate[0], rate[3])
    assert rate[2] - 0.5 > max(rate[0], rate[3])


def test_what_is_put_replaces_what_was_put(network):
    with make(network) as ensemble, make(network) as straight:
        ensemble.put(constant(4, 8, 2 * G))
        ensemble.put(constant(4, 8, G))
        straight.put(constant(4, 8, G))
        same(course(ensemble, 2), course(straight, 2))


# Haemodynamics


def test_the_balloon_put_is_the_balloon_that_goes_on(network):
    """A frame of one step: what comes out is one step of what was put in, under the rate told."""
    rng = np.random.default_rng(3)
    with make(network, tr_s=0.001) as ensemble:
        ensemble.put(constant(4, 8, G))
        seen = course(ensemble, 30)
        assert seen["rate"].any()
        put = seen["balloon"][-1] * rng.uniform(0.8, 1.2, (4, 8, 4)) + 0.01
        ensemble.put_balloon(put)
        after = ensemble.forecast()
    meant = Balloon(np.ascontiguousarray(np.moveaxis(put, -1, 0)))
    meant.advance(after.rate[None] / 1000, 1.0)
    np.testing.assert_allclose(after.balloon, np.moveaxis(meant.state, 0, -1), rtol=1e-12)
    np.testing.assert_allclose(after.bold, meant.bold(), rtol=1e-12)


def test_putting_back_what_is_there_changes_nothing_and_neurons_never_notice(network):
    with make(network) as plain, make(network) as back, make(network) as other:
        runs = []
        for ensemble in (plain, back, other):
            ensemble.put(constant(4, 8, G))
            seen = ensemble.forecast()
            if ensemble is not plain:
                ensemble.put_balloon(seen.balloon * (1.0 if ensemble is back else 1.1))
            runs.append(course(ensemble, 2))
    same(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0]["rate"], runs[2]["rate"])
    assert (runs[0]["bold"] != runs[2]["bold"]).all()


# Divided among processes


def test_two_worker_processes_and_this_one_agree_bit_for_bit(network, client):
    """Also where the members do not divide evenly."""
    h = spread_between({"g_ampa": (G / 4, 2 * G)}, 5, 8, seed=2)
    runs = []
    for where in (None, client):
        with make(network, where, members=5) as ensemble:
            ensemble.put(h)
            first = course(ensemble, 2)
            ensemble.put(h[::-1])
            ensemble.put_balloon(first["balloon"][-1] * np.linspace(0.9, 1.1, 5)[:, None, None])
            runs.append((first, course(ensemble, 2)))
    for one, other in zip(*runs, strict=True):
        same(one, other)
    assert len(client.scheduler_info()["workers"]) == 2


# Refusals


@pytest.mark.parametrize("members", [1, 0, -3])
def test_an_ensemble_has_two_members_at_least(network, members):
    with pytest.raises(InputError, match=f"members is {members}.*2"):
        make(network, members=members)


def test_an_unknown_parameter_is_refused_with_the_known_ones(network):
    with pytest.raises(InputError, match=r"'g_glycine'.*g_ampa.*g_gaba_b"):
        make(network, parameters=("g_ampa", "g_glycine"))


@pytest.mark.parametrize(
    "shape", [(3, 1, 8), (5, 1, 8), (4, 2, 8), (4, 0, 8), (4, 1, 7), (4, 1, 9), (4, 8)], ids=str
)
def test_hyper_parameters_of_another_shape_are_refused(network, shape):
    with make(network) as ensemble, pytest.raises(InputError):
        ensemble.put(np.full(shape, G))


def test_a_closed_ensemble_says_so(network):
    with make(network) as ensemble:
        ensemble.put(constant(4, 8, G))
    with pytest.raises(SessionError, match="closed"):
        ensemble.forecast()


# The prior


def test_the_prior_is_even_in_the_logarithm_and_independent_between_voxels():
    bounds = {"g_ampa": (0.001, 0.008), "g_gaba_a": (1.0, 3.0)}
    h = spread_between(bounds, 6, 40, seed=4)
    assert h.shape == (6, 2, 40)
    for index, (low, high) in enumerate(bounds.values()):
        place = np.log(np.sort(h[:, index], axis=0) / low) / np.log(high / low)
        np.testing.assert_allclose(place, np.tile((np.arange(6) + 0.5)[:, None] / 6, 40))
    orders = h.argsort(axis=0).transpose(1, 2, 0).reshape(80, 6)
    assert len(np.unique(orders, axis=0)) > 60
    np.testing.assert_array_equal(h, spread_between(bounds, 6, 40, seed=4))
    assert (h != spread_between(bounds, 6, 40, seed=5)).any()
    np.testing.assert_array_equal(h[:, :, :7], spread_between(bounds, 6, 7, seed=4))
