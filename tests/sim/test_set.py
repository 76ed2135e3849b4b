"""A change reaches whom it names and nobody else, whatever the blocks, windows and workers."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from networks import make_network
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph.parameters import Parameters
from dtbdask.sim.recording import open_recording
from dtbdask.sim.session import Session

SEED, STEPS = 7, 60


@pytest.fixture(scope="module")
def network():
    return make_network()


def with_values(network, population=None, neuron=None):
    """The network with other bases."""
    now = network.parameters
    made = Parameters({**now.population, **(population or {})}, {**now.neuron, **(neuron or {})})
    return dataclasses.replace(network, parameters=made)


def spikes(session, n_steps=STEPS):
    return session.advance(n_steps, spikes=True).spike_neuron


def meant(oracle, n_steps=STEPS):
    return np.concatenate([oracle.step() for _ in range(n_steps)])


CHOICES = [
    ("region 1", [2, 3]), ("I", [1, 3, 5]), (["region 0 E", "region 2"], [0, 4, 5]),
    ([3, 0], [0, 3]), (np.arange(6) > 3, [4, 5]), (None, [0, 1, 2, 3, 4, 5]),
]  # fmt: skip


@pytest.mark.parametrize("how", ["assign", "multiply"])
@pytest.mark.parametrize(("chosen", "at"), CHOICES)
def test_the_chosen_populations_change_and_the_others_do_not(network, chosen, at, how):
    base = network.parameters.population["g_ampa"]
    factor = np.ones(6)
    factor[at] = 1.4
    oracle = Oracle(network, seed=SEED)
    with Session(network, seed=SEED, blocks=2) as session:
        np.testing.assert_array_equal(spikes(session), meant(oracle))
        value = 1.4 if how == "multiply" else 1.4 * base[0]
        session.set("g_ampa", value, population=chosen, how=how)
        other = with_values(network, {"g_ampa": np.where(factor > 1, 1.4 * base[0], base)})
        going = {"multiplier": {"g_ampa": factor}} if how == "multiply" else {"network": other}
        np.testing.assert_array_equal(spikes(session), meant(oracle.going_on(**going)))


def test_values_are_given_in_the_order_of_the_indices(network):
    with Session(network, seed=SEED) as one, Session(network, seed=SEED) as other:
        one.set("v_th", [-49.0, -48.0], population=[4, 1])
        other.set("v_th", [-50, -48, -50, -50, -49, -50])
        np.testing.assert_array_equal(spikes(one), spikes(other))


@pytest.mark.parametrize("chosen", [None, "region 1"])
def test_multiplied_by_zero_and_then_by_one_is_the_base(network, chosen):
    with Session(network, seed=SEED) as session, Session(network, seed=SEED) as plain:
        for factor in (2.0, 0.0, 1.0):
            session.set("g_gaba_a", factor, population=chosen, how="multiply")
        np.testing.assert_array_equal(spikes(session), spikes(plain))


def test_other_populations_keep_their_multipliers_and_the_assigned_lose_theirs(network):
    factor = np.array([1, 1, 0.5, 0.5, 0.5, 0.5])
    base = network.parameters.population["g_gaba_a"]
    oracle = Oracle(
        with_values(network, {"g_gaba_a": np.r_[0.02, 0.02, base[2:]]}), seed=SEED,
        multiplier={"g_gaba_a": factor},
    )  # fmt: skip
    with Session(network, seed=SEED) as session:
        session.set("g_gaba_a", 0.5, how="multiply")
        session.set("g_gaba_a", 0.02, population="region 0")
        np.testing.assert_array_equal(spikes(session), meant(oracle))


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("as_mask", [True, False])
def test_chosen_neurons_change_and_the_others_keep_their_values(network, blocks, as_mask):
    at = np.random.default_rng(0).permutation(network.n_neurons)[:150]
    value = np.linspace(-52, -48, 150)
    own = np.full(network.n_neurons, -50.0)
    own[at] = value
    changed = Oracle(with_values(network, neuron={"v_th": own}), seed=SEED)
    oracle = Oracle(network, seed=SEED)
    changed.v = oracle.v
    chosen = np.isin(np.arange(network.n_neurons), at) if as_mask else at
    with Session(network, seed=SEED, blocks=blocks) as session:
        session.set("v_th", value[np.argsort(at)] if as_mask else value, neuron=chosen)
        np.testing.assert_array_equal(spikes(session), meant(changed))
        own[:] = np.where(np.arange(own.size) < network.populations.size[0], -49.0, own)
        session.set("v_th", -49.0, population=[0])
        changed = changed.going_on(with_values(network, neuron={"v_th": own}))
        np.testing.assert_array_equal(spikes(session), meant(changed))


# Gamma


@pytest.mark.parametrize(
    "chosen", [{}, {"population": "region 1"}, {"neuron": np.arange(100, 400)}]
)
def test_gamma_factors_are_the_same_for_any_blocks_and_leave_others_alone(network, chosen):
    found = []
    for blocks, threads in ((1, 1), (3, 1), (1, 2)):
        with Session(network, seed=SEED, blocks=blocks, threads=threads) as session:
            session.set("g_ampa", 5.0, how="gamma", **chosen)
            found.append(spikes(session))
            own = session._crew._gang.blocks[0].parameters.neuron["g_ampa"]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    base = network.parameters.population["g_ampa"][0]
    population = network.populations.population_of(0, network.n_neurons)
    reached = np.isin(population, [2, 3]) if "population" in chosen else np.ones(own.size, bool)
    reached[: 100 if "neuron" in chosen else 0] = False
    reached[400 if "neuron" in chosen else own.size :] = False
    assert (own[~reached] == base).all()
    factor = own[reached] / base
    assert np.unique(factor).size == factor.size
    assert abs(factor.mean() - 1) < 4 / np.sqrt(5 * factor.size)
    assert abs(factor.var() - 0.2) < 0.1


def test_gamma_spreads_what_was_assigned_and_depends_on_seed_and_parameter(network):
    def own(seed, name):
        with Session(network, seed=seed) as session:
            session.set(name, 0.02)
            session.set(name, 5.0, how="gamma")
            return session._crew._gang.blocks[0].parameters.neuron[name] / 0.02

    assert abs(own(1, "g_gaba_a").mean() - 1) < 0.1
    assert not np.array_equal(own(1, "g_gaba_a"), own(2, "g_gaba_a"))
    assert not np.allclose(own(1, "g_gaba_a"), own(1, "g_ampa"))


# Members


def test_members_may_be_changed_alone(network):
    factor = np.ones((3, 6))
    factor[2, 2:4] = 1.5
    with (
        Session(network, seed=SEED, members=3) as one,
        Session(network, seed=SEED, members=3) as two,
    ):
        one.set("g_ampa", 1.5, population="region 1", member=2, how="multiply")
        two.set("g_ampa", factor, how="multiply")
        a, b = one.advance(STEPS), two.advance(STEPS)
        np.testing.assert_array_equal(a.spike_count, b.spike_count)
        value = np.array([[0.001], [0.003]])
        one.set("g_ampa", value, member=[2, 0], population="region 0")
        bases = np.full((3, 6), network.parameters.population["g_ampa"][0])
        bases[2, :2], bases[0, :2], bases[2, 2:4] = 0.001, 0.003, 1.5 * bases[2, 2]
        two.set("g_ampa", bases)
        a, b = one.advance(STEPS), two.advance(STEPS)
        np.testing.assert_array_equal(a.spike_count, b.spike_count)
    with Session(network, seed=SEED, members=3) as plain:
        assert not np.array_equal(plain.advance(2 * STEPS).spike_count[STEPS:], a.spike_count)


def test_what_members_share_cannot_differ_between_them(network):
    with Session(network, members=2) as session:
        for wrong in (
            {"neuron": [1], "value": 0.001, "member": 1},
            {"how": "gamma", "value": 5.0, "member": 0},
        ):  # fmt: skip
            with pytest.raises(InputError, match="g_ampa: members share"):
                session.set("g_ampa", **wrong)
        session.set("g_ampa", 0.001, member=1)
        with pytest.raises(InputError, match="g_ampa: members share"):
            session.set("g_ampa", 0.001, neuron=[1])
        session.set("g_ampa", 0.001, neuron="all")
        with pytest.raises(InputError, match="g_ampa: members share"):
            session.set("g_ampa", 0.002, member=0)


# The log


def test_the_log_has_every_change_with_its_step_and_goes_into_recordings(network, tmp_path):
    own = np.linspace(-51.0, -49, network.n_neurons)
    table = np.full((1, 6), 0.9)
    table[0, 0] = 1.0
    with Session(network, seed=SEED) as session:
        session.set("g_ampa", 1.1, population=["region 0", "region 1 E"], how="multiply")
        session.advance(10)
        session.set("v_th", own, neuron="all")
        session.set("g_gaba_a", np.ones((1, 6)) * 0.9, member=0, how="multiply")
        with pytest.raises(InputError):
            session.set("g_ampa", -1.0)
        session.run(0.01, record=["rate"], to=tmp_path / "run")
        changes = session.changes
    digest = hashlib.sha256(own.astype("<f8").tobytes()).hexdigest()
    assert changes == [
        {"step": 0, "parameter": "g_ampa", "population": ["region 0", "region 1 E"],
         "how": "multiply", "value": 1.1},
        {"step": 10, "parameter": "v_th", "neuron": "all", "how": "assign",
         "value": {"count": 597, "low": -51.0, "high": -49.0, "sha256": digest}},
        {"step": 10, "parameter": "g_gaba_a", "member": 0, "how": "multiply", "value": [[0.9] * 6]},
    ]  # fmt: skip
    assert json.loads(json.dumps(changes)) == changes
    assert open_recording(tmp_path / "run").to_xarray().attrs["changes"] == changes


# Refusals

WRONG = [
    ({"population": "V1"}, "nothing is named 'V1'"),
    ({"population": [6]}, "population 6 is chosen"),
    ({"neuron": [597]}, "neuron 597 is chosen"),
    ({"neuron": "some"}, "neuron is 'some'"),
    ({"member": 1}, "member 1 is chosen"),
    ({"population": [1], "neuron": [1]}, "population and neuron are both given"),
    ({"neuron": [1], "how": "multiply"}, "single neurons have values and no multipliers"),
    ({"value": [1.0, 2.0], "population": [1]}, r"g_ampa: shape \(2,\)"),
    ({"value": [1.0, 2.0], "neuron": [1]}, "g_ampa has shape"),
    ({"value": -1.0, "neuron": [1]}, "g_ampa"),
    ({"value": 0.0, "how": "gamma"}, "g_ampa: the shape"),
    ({"value": [1.0, 2.0], "how": "gamma"}, "g_ampa: the shape"),
    ({"value": "wide", "how": "gamma"}, "g_ampa"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_wrong_change_is_refused_and_changes_nothing(network, wrong, told):
    with Session(network, seed=SEED) as session, Session(network, seed=SEED) as plain:
        with pytest.raises(InputError, match=told):
            session.set("g_ampa", **{"value": 0.001, **wrong})
        assert session.changes == []
        np.testing.assert_array_equal(spikes(session, 20), spikes(plain, 20))


def test_gamma_around_values_of_neurons_is_refused(network):
    with Session(network) as session:
        session.set("g_ampa", 0.001, neuron=[3])
        with pytest.raises(InputError, match="values of their own"):
            session.set("g_ampa", 5.0, how="gamma")
        session.set("g_ampa", 5.0, population="region 2", how="gamma")


def test_some_neurons_of_a_multiplied_population_are_refused(network):
    with Session(network) as session:
        session.set("g_ampa", 2.0, population="region 0", how="multiply")
        with pytest.raises(InputError, match="g_ampa of population 0 is multiplied"):
            session.set("g_ampa", 0.001, neuron=[3])
        session.set("g_ampa", 0.001, neuron=[596])


@pytest.mark.parametrize("blocks", [1, 3])
def test_what_one_block_refuses_is_changed_in_none(network, blocks):
    """A refractory period beyond the counter, of a neuron of the last block alone."""
    with (
        Session(network, seed=SEED, blocks=blocks) as session,
        Session(network, seed=SEED) as plain,
    ):
        with pytest.raises(InputError, match="t_ref"):
            session.set("t_ref", 1e6, neuron=[596])
        session.set("t_ref", 2.0, how="multiply")
        plain.set("t_ref", 2.0, how="multiply")
        np.testing.assert_array_equal(spikes(session), spikes(plain))


def test_a_reset_above_the_threshold_is_refused_also_between_members(network):
    with Session(network, members=2) as session:
        session.set("v_th", [[-50.0], [-54.0]])
        with pytest.raises(InputError, match="v_reset of neuron 5 is -53 mV"):
            session.set("v_reset", np.where(np.arange(597) == 5, -53.0, -55.0), neuron="all")
