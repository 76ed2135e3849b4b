"""A block does what the oracle means, also when its parameters are changed on the way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_network
from oracle import Oracle

from dtbdask import rng
from dtbdask.errors import InputError
from dtbdask.kernels import RECEPTORS
from dtbdask.sim.block import Block
from dtbdask.sim.changes import Change
from dtbdask.sim.spec import BlockSpec

DRIVE = {"noise_rate": 0.01}
SEED = 12
RANGES = [[128, 256], [384, 597]]
OWN = np.r_[128:256, 384:597]


@pytest.fixture(scope="module")
def network():
    return make_network(**DRIVE)


def live(network, ranges=None, **options):
    if ranges is None:
        return Block(BlockSpec.whole(network, SEED, **options))
    return Block(BlockSpec(network, np.array(ranges), SEED, **options))


def per_population(value, members=1):
    return np.broadcast_to(np.asarray(value, float), (members, 6)).copy()


def assign(block, name, value, how):
    """Change a parameter of all populations: (1, population), or of each member as well."""
    first = block.spec.first_member
    member = None if len(value) == 1 else first + np.arange(len(value))
    block.change(Change(name, how, value, member=member))


def assign_neuron(block, name, own):
    block.change(Change(name, "assign", own[None], neuron=slice(None)))


def same(block, oracle, n_steps=40):
    for _ in range(n_steps):
        block.step()
        np.testing.assert_array_equal(block.global_spikes(), oracle.step())
    np.testing.assert_array_equal(block.state.v[0], oracle.v)
    np.testing.assert_array_equal(block.state.ou[0], oracle.ou)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_block_starts_half_way_up_without_traces_and_with_the_mean_current(dtype):
    network = make_network(
        neuron={"v_th": np.linspace(-50, -45, 597)}, ou_mean=np.linspace(0.1, 0.6, 6)
    )
    block = live(network, RANGES, members=2, dtype=dtype)
    population = network.populations.population_of(0, 597)[OWN]
    v = ((np.linspace(-50, -45, 597)[OWN] - 55) / 2).astype(dtype)
    ou = np.linspace(0.1, 0.6, 6)[population].astype(dtype)
    for m in range(2):
        np.testing.assert_array_equal(block.state.v[m], v)
        np.testing.assert_array_equal(block.state.ou[m], ou)
    assert not any(j.any() for j in block.state.j)
    assert not block.state.refractory.any()
    assert not block.state.kick.any()
    assert block.global_spikes().size == 0
    for array in (block.state.v, block.state.ou, block.state.j[0], block.state.refractory):
        assert array.dtype in (dtype, np.uint16)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.shape == (2, OWN.size)


@given(tiles=st.sets(st.integers(0, 18), min_size=1).map(sorted), threads=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_parts_share_the_neurons_and_begin_where_a_tile_does(tiles, threads):
    network = make_network(neurons=2400, degree=1)
    ranges = np.array([[t * rng.TILE, min((t + 1) * rng.TILE, network.n_neurons)] for t in tiles])
    n = int(np.diff(ranges).sum())
    most = max(1, n // rng.TILE)
    if threads > most:
        with pytest.raises(InputError, match=rf"threads is {threads}; .* takes 1 to {most}"):
            live(network, ranges, threads=threads)
        return
    block = live(network, ranges, threads=threads)
    bounds = block.bounds
    assert bounds.size == threads + 1
    assert (bounds[0], bounds[-1]) == (0, n)
    assert (np.diff(bounds) >= 0).all()
    assert not (bounds[1:-1] % rng.TILE).any()
    assert block.tiles.tolist() == tiles
    if n > 4 * rng.TILE * threads:
        assert np.ptp(np.diff(bounds)) <= 2 * rng.TILE
    block.close()


@pytest.mark.parametrize(("ranges", "told"), [([[100, 597]], 100), ([[0, 200], [256, 597]], 200)])
def test_ranges_that_divide_a_tile_are_refused(network, ranges, told):
    with pytest.raises(InputError, match=f"ranges: {told} divides a tile"):
        live(network, ranges)


@pytest.mark.parametrize("threads", [0, -1, 100])
def test_a_number_of_threads_that_makes_no_sense_is_refused(network, threads):
    with pytest.raises(InputError, match=f"threads is {threads}"):
        live(network, threads=threads)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_spikes_are_counted_by_population_and_listed_ascending(network, threads):
    block, total = live(network, threads=threads), 0
    for _ in range(60):
        block.step()
        ids = block.global_spikes()
        assert (np.diff(ids) > 0).all()
        owner = network.populations.population_of(0, network.n_neurons)[ids]
        np.testing.assert_array_equal(block.spikes[0], np.bincount(owner, minlength=6))
        total += ids.size
    assert total > 500
    assert block.step_index == 60
    block.close()


@pytest.mark.parametrize("t_steps", [1, 3])
def test_settling_changes_nothing_later(network, t_steps):
    settled, plain = live(network, t_steps=t_steps), live(network, t_steps=t_steps)
    for k in range(120):
        settled.step()
        plain.step()
        np.testing.assert_array_equal(settled.global_spikes(), plain.global_spikes())
        for _ in range(k % 4):
            settled.settle()
    settled.settle()
    plain.settle()
    for one, other in (
        (settled.state.v, plain.state.v),
        *zip(settled.state.j, plain.state.j, strict=True),
    ):
        np.testing.assert_array_equal(one, other)
    assert not settled.state.kick.any()


# Parameters changed on the way


@pytest.mark.parametrize("name", ["g_ampa", "g_l", "v_th", "ou_mean", "ou_sigma", "ou_tau",
                                  "tau_gaba_a", "t_ref", "noise_rate", "c"])  # fmt: skip
def test_a_value_assigned_or_multiplied_acts_from_the_next_step_on(network, name):
    factor = per_population([0.96, 1.0, 1.03, 0.98, 1.05, 1.02])
    value = network.parameters.population[name] * factor[0]
    for how, given_values, meant in (
        ("multiply", factor, {"multiplier": {name: factor[0]}}),
        ("assign", value[None], {"network": make_network(**{**DRIVE, name: value})}),
    ):
        block, oracle = live(network), Oracle(network, seed=SEED)
        same(block, oracle)
        assign(block, name, given_values, how)
        same(block, oracle.going_on(**meant))


def test_multipliers_are_relative_to_the_base_and_not_to_each_other(network):
    block, twin = live(network), live(network)
    for factor in (0.5, 0.0, 3.0):
        assign(block, "g_ampa", per_population(factor), "multiply")
        block.step()
        assign(twin, "g_ampa", per_population(factor), "multiply")
        twin.step()
    assign(block, "g_ampa", per_population(1.0), "multiply")
    meant = live(network).coefficients
    np.testing.assert_array_equal(block.coefficients.value, meant.value)
    assert block.coefficients.features == meant.features


@pytest.mark.parametrize("name", ["g_gaba_a", "ou_mean", "noise_rate"])
def test_zero_and_back_is_as_if_nothing_had_been(network, name):
    block, oracle = live(network), Oracle(network, seed=SEED)
    assign(block, name, per_population(0.0), "assign")
    silent = Oracle(make_network(**{**DRIVE, name: 0.0}), seed=SEED)
    silent.ou = oracle.ou
    same(block, silent, 30)
    assign(block, name, per_population(network.parameters.population[name]), "assign")
    same(block, silent.going_on(network), 30)
    assert block.global_spikes().size


def test_a_factor_after_a_value_multiplies_that_value(network):
    block = live(network)
    assign(block, "g_ampa", per_population(0.004), "assign")
    assign(block, "g_ampa", per_population(2.0), "multiply")
    twin = live(network)
    assign(twin, "g_ampa", per_population(0.008), "assign")
    np.testing.assert_array_equal(block.coefficients.value, twin.coefficients.value)


def test_a_value_after_a_factor_is_that_value(network):
    block, twin = live(network), live(network)
    assign(block, "g_ampa", per_population(2.0), "multiply")
    for b in (block, twin):
        assign(b, "g_ampa", per_population(0.004), "assign")
    np.testing.assert_array_equal(block.coefficients.value, twin.coefficients.value)


def test_values_of_neurons_replace_those_assigned_before(network):
    own = np.linspace(0.001, 0.003, network.n_neurons)
    block, twin = live(network), live(network)
    assign(block, "g_ampa", per_population(0.004), "assign")
    for b in (block, twin):
        assign_neuron(b, "g_ampa", own)
    np.testing.assert_array_equal(block.coefficients.value, twin.coefficients.value)
    np.testing.assert_array_equal(block.coefficients.factor, twin.coefficients.factor)


def test_an_assigned_value_replaces_those_of_neurons(network):
    block, twin = live(network), live(network)
    assign_neuron(block, "g_ampa", np.linspace(0.001, 0.003, network.n_neurons))
    for b in (block, twin):
        assign(b, "g_ampa", per_population(0.004), "assign")
    np.testing.assert_array_equal(block.coefficients.value, twin.coefficients.value)
    assert block.coefficients.factor.shape == twin.coefficients.factor.shape


def test_a_block_takes_its_ranges_of_the_values_of_neurons(network):
    own = np.linspace(-51, -46, network.n_neurons)
    block, whole = live(network, RANGES), live(network)
    for b in (block, whole):
        assign_neuron(b, "v_th", own)
    np.testing.assert_array_equal(block.coefficients.factor, whole.coefficients.factor[:, OWN])
    np.testing.assert_array_equal(block.coefficients.factor[0], own[OWN].astype("float32"))


@pytest.mark.parametrize("name", ["ou_mean", "noise_rate"])
def test_what_is_on_elsewhere_is_on_here(network, name):
    """All blocks of a network run the same kernel, whatever their own neurons need."""
    elsewhere = np.zeros(network.n_neurons)
    elsewhere[0] = 0.01
    block = live(make_network(ou_mean=0.0, ou_sigma=0.0), RANGES)
    features = block.coefficients.features
    assert not features.background
    assert not features.noise
    assign_neuron(block, name, elsewhere)
    features = block.coefficients.features
    assert (features.background, features.noise) == (name == "ou_mean", name == "noise_rate")


def test_a_receptor_that_is_off_here_but_wanted_elsewhere_is_refused_here_too(network):
    elsewhere = np.zeros(network.n_neurons)
    elsewhere[0] = 0.01
    with pytest.raises(InputError, match="g_nmda was zero everywhere"):
        assign_neuron(live(network, RANGES), "g_nmda", elsewhere)


@pytest.mark.parametrize("how", ["assign", "neuron"])
@pytest.mark.parametrize("name", ["g_nmda", "g_gaba_b"])
def test_a_receptor_that_is_off_is_switched_on_in_full_or_not_at_all(network, name, how):
    """Its traces and weights were never made: the kernel must not write where there is nothing."""
    block = live(network)
    try:
        if how == "assign":
            assign(block, name, per_population(0.001), "assign")
        else:
            assign_neuron(block, name, np.full(network.n_neurons, 0.001))
    except InputError as error:
        assert name in str(error)  # noqa: PT017
    on = block.coefficients.features.receptors
    for u, receptor in enumerate(RECEPTORS):
        assert block.state.j[u].shape == block.state.v.shape or not on[u], receptor
    assert block.coefficients.features.paired == (block.edges.weight is not None)


@pytest.mark.parametrize(
    "refused",
    [("t_ref", 2.0, "multiply"), ("t_ref", 1e6, "assign")],
    ids=["neurons have their own", "beyond the counter"],
)
def test_what_is_refused_changes_nothing(network, refused):
    block = live(network)
    if refused[2] == "multiply":
        assign_neuron(block, "t_ref", np.linspace(1, 3, network.n_neurons))
    before = block.coefficients
    with pytest.raises(InputError, match="t_ref"):
        assign(block, refused[0], per_population(refused[1]), refused[2])
    assign(block, "g_ampa", per_population(1.0), "multiply")
    np.testing.assert_array_equal(block.coefficients.value, before.value)
    assert block.coefficients.features == before.features


def test_members_may_have_parameters_of_their_own(network):
    factor = np.array([[1.0], [0.5], [1.3]]) * np.ones((1, 6))
    block = live(network, members=3, first_member=4)
    assign(block, "g_gaba_a", factor, "multiply")
    meant = [
        Oracle(network, seed=SEED, member=4 + m, multiplier={"g_gaba_a": factor[m]})
        for m in range(3)
    ]
    for _ in range(80):
        block.step()
        for m, oracle in enumerate(meant):
            np.testing.assert_array_equal(block.global_spikes(m), oracle.step())
            owner = network.populations.population_of(0, network.n_neurons)[block.global_spikes(m)]
            np.testing.assert_array_equal(block.spikes[m], np.bincount(owner, minlength=6))
