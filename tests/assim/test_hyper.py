"""Hyper-parameters reach the populations and voxels that they name, and no others."""

import numpy as np
import pytest

from dtbdask.assim.hyper import Fixed, Hyper, chosen_voxels, populations_of
from dtbdask.errors import InputError
from dtbdask.graph.factors import gamma_factors
from dtbdask.sim.session import Session


def held(session, name):
    """Parameter of each population, base times multiplier: (member, population)."""
    base, multiplier, _ = session._held(name)
    return base * multiplier


@pytest.fixture
def session(network):
    with Session(network, members=3, seed=1) as session:
        yield session


def test_a_name_is_of_all_populations_or_of_those_it_names(network):
    table = network.populations
    np.testing.assert_array_equal(populations_of(network, "g_ampa"), np.arange(table.size.size))
    for sign in (True, False):
        found = populations_of(network, f"g_ampa {'E' if sign else 'I'}")
        np.testing.assert_array_equal(found, np.flatnonzero(table.excitatory == sign))
    found = populations_of(network, "g_ampa E", np.array([2]))
    assert table.voxel[found].tolist() == [2]


def test_values_go_where_they_are_named(network, session):
    hyper = Hyper(network, ("g_ampa E", "g_ampa I"), None, [1, 4])
    before = held(session, "g_ampa")
    h = np.random.default_rng(1).uniform(0.001, 0.002, (3, 2, 8))
    hyper.begin(session)
    hyper.put(session, h)
    table, found = network.populations, held(session, "g_ampa")
    for p, voxel in enumerate(table.voxel):
        own = h[:, 0 if table.excitatory[p] else 1, voxel]
        np.testing.assert_allclose(found[:, p], own if voxel in (1, 4) else before[:, p])


def test_factors_are_of_the_chosen_and_others_keep_their_own(network):
    hyper = Hyper(network, ("g_ampa",), 5.0, [1, 4])
    with Session(network, seed=1) as session:
        hyper.begin(session)
        h = np.full((1, 8), 0.003)
        hyper.put(session, h)
        block = session._crew._gang.blocks[0]
        value = block.parameters.neuron["g_ampa"]
        multiplier = np.broadcast_to(block.multiplier["g_ampa"], (1, 16))[0]
    table = network.populations
    population = np.repeat(np.arange(table.size.size), table.size)
    factors = gamma_factors(7, 0, network.n_neurons, 5.0)
    base = network.parameters.population["g_ampa"][population]
    chosen = np.isin(table.voxel[population], [1, 4])
    expected = np.where(chosen, 0.003 * factors, base)
    np.testing.assert_allclose(value * multiplier[population], expected)


def test_the_values_of_a_network_are_those_it_has(network):
    found = Hyper(network, ("g_ampa", "g_gaba_a I"), None).values()
    np.testing.assert_allclose(found[0], network.parameters.population["g_ampa"].mean())
    np.testing.assert_allclose(found[1], network.parameters.population["g_gaba_a"].mean())


def test_what_is_fixed_is_given_to_a_session(network, session):
    h = np.random.default_rng(1).uniform(0.001, 0.002, (1, 8))
    Fixed(("g_ampa",), h, None).put(network, session)
    np.testing.assert_allclose(held(session, "g_ampa")[2], h[0, network.populations.voxel])
    with pytest.raises(InputError, match="fixed has values of shape"):
        Fixed(("g_ampa",), h[:, :3], None).put(network, session)


def test_voxels_are_named_by_label_or_index(network):
    assert chosen_voxels(network, None).tolist() == list(range(8))
    assert chosen_voxels(network, [network.labels[3], 1, 1]).tolist() == [1, 3]
    for wrong, told in (([8], "voxel 8"), (["nowhere"], "'nowhere'"), ([], "empty"), ([-1], "-1")):
        with pytest.raises(InputError, match=told):
            chosen_voxels(network, wrong)


@pytest.mark.parametrize(
    ("names", "told"),
    [(("g_x",), "g_x"), (("g_ampa L9",), "'L9'"), (("g_ampa", "g_ampa E"), "two hyper-parameters"),
     (("g_ampa E", "g_ampa E"), "two hyper-parameters")],
)  # fmt: skip
def test_a_wrong_name_is_refused(network, names, told):
    with pytest.raises(InputError, match=told):
        Hyper(network, names, None)
