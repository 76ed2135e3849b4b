"""Currents are switched on while a session runs, exactly, or have no state at all."""

import numpy as np
import pytest
from networks import make_network
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph.partition import partition
from dtbdask.sim.changes import Change
from dtbdask.sim.gang import Gang
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

SEED = 4
INITIAL = {"h_init": 0.7, "ca_init": 0.4, "v_h": -52.0}
ON = {"g_t": 0.0005, "g_da": 0.001, "g_ahp": 0.05}


def follow(session, oracle, n_steps):
    found = session.advance(n_steps, spikes=True).spike_neuron
    np.testing.assert_array_equal(found, np.concatenate([oracle.step() for _ in range(n_steps)]))
    for name in ("v", "h_t", "ca"):
        np.testing.assert_array_equal(session.state(name)[0], getattr(oracle, name), err_msg=name)


@pytest.mark.parametrize("blocks", [1, 2])
def test_currents_switched_on_begin_then_and_go_on_while_off(blocks):
    """Their state begins with them; a conductance of zero later on does not stop it."""
    off, on = make_network(**INITIAL), make_network(**INITIAL, **ON)
    oracle = Oracle(off, seed=SEED)
    with Session(off, seed=SEED, blocks=blocks) as session:
        found = session.advance(20, spikes=True).spike_neuron
        meant = np.concatenate([oracle.step() for _ in range(20)])
        np.testing.assert_array_equal(found, meant)
        assert (session.state("h_t") == np.float32(0.7)).all()
        assert (session.state("ca") == np.float32(0.4)).all()
        for name, value in ON.items():
            session.set(name, value)
        began = oracle.going_on(on)
        first = Oracle(on, seed=SEED)
        began.h_t, began.ca = first.h_t, first.ca
        follow(session, began, 30)
        for name in ON:
            session.set(name, 0.0)
        silent = began.going_on(off)
        follow(session, silent, 15)
        session.set("g_t", ON["g_t"])
        session.set("g_ahp", np.full(6, ON["g_ahp"]))
        follow(session, silent.going_on(make_network(**INITIAL, **{**ON, "g_da": 0.0})), 15)


def test_neurons_may_be_given_a_current_of_their_own():
    own = np.where(np.arange(597) % 3 == 0, 0.05, 0.0)
    oracle = Oracle(make_network(neuron={"g_ahp": own}), seed=SEED)
    with Session(make_network(), seed=SEED, blocks=2) as session:
        session.set("g_ahp", own, neuron="all")
        follow_ca = session.advance(60, spikes=True).spike_neuron
        meant = np.concatenate([oracle.step() for _ in range(60)])
        np.testing.assert_array_equal(follow_ca, meant)
        np.testing.assert_array_equal(session.state("ca")[0], oracle.ca)


def test_the_state_of_a_member_does_not_depend_on_who_is_advanced_with_it():
    """A current of member 1 alone, and later of member 0: in one gang, or in two."""
    network, whole = make_network(), partition(make_network(), 1)

    def gangs(cuts):
        for low, high in cuts:
            spec = BlockSpec.whole(network, SEED, first_member=low, members=high - low)
            yield Gang.local([spec], whole)

    found = {}
    for name, cuts in {"one": [(0, 2)], "two": [(0, 1), (1, 2)]}.items():
        made = list(gangs(cuts))
        for values in ([[0.0], [0.05]], [[0.05], [0.0]]):
            for gang in made:
                value = np.array(values) * np.ones((1, 6))
                gang.change(Change("g_ahp", "assign", value, member=np.arange(2)))
                gang.advance(30, 100, spikes=False)
        found[name] = [
            np.concatenate([gang.state(field)[0][1] for gang in made]) for field in ("v", "ca")
        ]
        for gang in made:
            gang.close()
    for one, two in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (found["one"][1] > 0).any(axis=1).all()


@pytest.mark.parametrize("name", ["h_init", "ca_init"])
def test_values_of_the_start_are_not_changed_later(name):
    with Session(make_network()) as session:
        for neuron in (None, "all"):
            with pytest.raises(InputError, match=f"{name} acts at the start of a session only"):
                session.set(name, 0.1, neuron=neuron)
        with pytest.raises(InputError, match=r"known are .*h_t, ca"):
            session.state("h")
