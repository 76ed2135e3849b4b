"""The background current goes on once it flowed: what is left of it decays, whoever is with it."""

import numpy as np
import pytest
from networks import make_network
from oracle import Oracle

from dtbdask.graph.partition import partition
from dtbdask.sim import checkpoint
from dtbdask.sim.changes import Change
from dtbdask.sim.gang import Gang
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.stimuli import Background

SEED = 4
OFF = {"ou_mean": 0.0, "ou_sigma": 0.0, "i_ext": 0.4}
NAMES = ("ou_mean", "ou_sigma", "noise_rate", "g_da", "g_t", "g_ahp", "i_ext")


def follow(session, oracle, n_steps):
    found = session.advance(n_steps, spikes=True).spike_neuron
    np.testing.assert_array_equal(found, np.concatenate([oracle.step() for _ in range(n_steps)]))
    for name in ("v", "ou"):
        np.testing.assert_array_equal(session.state(name)[0], getattr(oracle, name), err_msg=name)


def switch(session, mean, sigma):
    session.set("ou_mean", mean)
    session.set("ou_sigma", sigma)


def background(session):
    return session._crew._gang.blocks[0].coefficients.features.background


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_is_left_of_it_decays_and_flows_once_it_is_switched_off(blocks):
    on, off = make_network(i_ext=0.4), make_network(**OFF)
    oracle = Oracle(on, seed=SEED)
    with Session(on, seed=SEED, blocks=blocks) as session:
        follow(session, oracle, 20)
        switch(session, 0.0, 0.0)
        follow(session, oracle.going_on(off), 5)
        assert session.state("ou").all()


def test_off_everywhere_it_is_compiled_out_until_a_stimulus_begins_it():
    off, on = make_network(**OFF), make_network(**OFF | {"ou_mean": 0.6, "ou_sigma": 0.2})
    oracle = Oracle(off, seed=SEED)
    with Session(off, seed=SEED, blocks=2) as session:
        session.stimulate(Background(mean=0.0, sigma=0.0, onset_ms=2, duration_ms=3))
        session.stimulate(Background(mean=0.6, sigma=0.2, onset_ms=20, duration_ms=10))
        follow(session, oracle, 20)
        assert not background(session)
        follow(session, oracle := oracle.going_on(on), 10)
        follow(session, oracle := oracle.going_on(off), 3)
        assert background(session)
        assert session.state("ou").all()


@pytest.mark.parametrize("stimulated", [False, True])
def test_a_checkpoint_amid_its_decay_is_gone_on_from(tmp_path, stimulated):
    network = make_network(**OFF) if stimulated else make_network(i_ext=0.4)
    with Session(network, seed=SEED) as session:
        if stimulated:
            session.stimulate(Background(mean=0.6, sigma=0.2, duration_ms=20))
        session.advance(20)
        switch(session, 0.0, 0.0)
        session.advance(2)
        session.checkpoint(tmp_path)
        spikes = session.advance(30, spikes=True).spike_neuron
        meant = session.state("v"), session.state("ou")
    with Session.resume(tmp_path, network, blocks=2) as session:
        np.testing.assert_array_equal(session.advance(30, spikes=True).spike_neuron, spikes)
        np.testing.assert_array_equal((session.state("v"), session.state("ou")), meant)


# Members


def gangs(network, cuts):
    """A gang for each range of members."""
    whole = partition(network, 1)
    specs = (BlockSpec.whole(network, SEED, first_member=a, members=b - a) for a, b in cuts)
    return [Gang.local([spec], whole) for spec in specs]


CUTS = {"one": [(0, 3)], "two": [(0, 1), (1, 3)], "three": [(0, 1), (1, 2), (2, 3)]}


def played(network, cuts, changes):
    """State of all members after steps between changes."""
    made = gangs(network, cuts)
    for change in changes:
        for gang in made:
            gang.change(change)
            gang.advance(7, 100, spikes=False)
    parts = [
        [gang.state(name)[0][1] for gang in made]
        for name in ("v", "ou", "j_ampa", "refractory", "h_t", "ca")
    ]
    for gang in made:
        gang.close()
    return [np.concatenate(part) for part in parts]


@pytest.mark.parametrize("start", ["on", "off"])
@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_a_member_does_not_depend_on_who_is_advanced_with_it(name, start):
    """Whatever is switched on or off for some of the members, and back."""
    network = make_network(i_ext=0.4) if start == "on" else make_network(**OFF)
    value = {"ou_mean": 0.3, "ou_sigma": 0.2}.get(name, 0.02)
    changes = [
        Change(which, "assign", values * np.ones((1, 6)), member=np.arange(3))
        for which, values in (
            ("ou_mean", np.zeros((3, 1))),
            (name, np.array([[0.0], [value], [0.0]])),
            ("ou_sigma", np.array([[0.0], [0.1], [0.0]])),
            (name, np.array([[0.0], [0.0], [value]])),
            ("ou_sigma", np.zeros((3, 1))),
            (name, np.zeros((3, 1))),
        )
    ]
    one, *others = (played(network, cuts, changes) for cuts in CUTS.values())
    for other in others:
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("member", range(3))
def test_multipliers_of_a_single_member_are_in_the_checkpoint_of_any_gangs(member):
    factor = np.linspace(0.5, 1.5, 6)[None]
    change = Change("g_ampa", "multiply", factor, member=np.array([member]))
    found = []
    for cuts in CUTS.values():
        made = gangs(make_network(), cuts)
        for gang in made:
            gang.change(change)
        found.append(checkpoint.joined([gang.changes() for gang in made], 3).multiplier)
        for gang in made:
            gang.close()
    for multiplier in found:
        np.testing.assert_array_equal(multiplier["g_ampa"], found[0]["g_ampa"])
        np.testing.assert_array_equal(multiplier["g_ampa"][member], factor[0])
