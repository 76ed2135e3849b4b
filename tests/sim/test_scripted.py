"""Scripted spikes are fired at their steps, whatever the blocks, threads, members and runs."""

import dataclasses

import numpy as np
import pytest
from dtb_files import blocks_of, input_block, write
from dtb_files import make_network as make_dtb
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import as_import
from networks import make_network
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph import script as script_module
from dtbdask.graph.dtb.importing import import_dtb
from dtbdask.graph.script import read_script
from dtbdask.sim.session import Session

STEPS = 60
SEED = 9
DRIVE = {"noise_rate": 0.005}


def drawn_script(n, seed=0):
    """Spikes in no order, some twice, of early, late and never-reached steps, in every tile."""
    rng = np.random.default_rng(seed)
    step, neuron = rng.integers(0, STEPS + 20, 500), rng.integers(0, n, 500)
    step[:40], neuron[:40] = 7, rng.integers(0, n, 40)
    step[40:60], neuron[40:60] = step[60:80], neuron[60:80]
    neuron[-2:], step[-2:] = (0, n - 1), (0, STEPS - 1)
    return step, neuron


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    plain = make_network(neurons=1200, **DRIVE)
    path = tmp_path_factory.mktemp("scripted") / "net.zarr"
    return as_import(plain, path, sources=drawn_script(plain.n_neurons))


@pytest.fixture(scope="module")
def meant(network):
    """Spikes of each step by the oracle, and its state after them."""
    step, neuron = drawn_script(network.n_neurons)
    oracle = Oracle(network, seed=SEED, script=list(zip(step, neuron, strict=True)))
    return [oracle.step() for _ in range(STEPS)], oracle


@pytest.mark.parametrize(
    ("blocks", "threads", "pieces"),
    [(1, 1, [STEPS]), (3, 1, [STEPS]), (1, 4, [7, 1, STEPS - 8]), (4, 2, [20] * 3)],
)
def test_they_are_fired_at_their_steps_whatever_the_blocks_and_runs(
    network, meant, blocks, threads, pieces
):
    with Session(network, seed=SEED, blocks=blocks, threads=threads) as session:
        found = []
        for n in pieces:
            found.append(session.advance(n, spikes=True))
            session.state("v")  # looking changes nothing
        v, j = session.state("v"), session.state("j_ampa")
    spikes, oracle = meant
    np.testing.assert_array_equal(
        np.concatenate([w.spike_neuron for w in found]), np.concatenate(spikes)
    )
    np.testing.assert_array_equal(
        np.concatenate([w.spike_step for w in found]),
        np.repeat(np.arange(STEPS), [ids.size for ids in spikes]),
    )
    np.testing.assert_array_equal(v[0], oracle.v)
    np.testing.assert_array_equal(j[0], oracle.j[0])


def test_they_are_counted_and_all_members_have_them(network):
    owner = network.populations.population_of(0, network.n_neurons)
    with Session(network, seed=SEED, members=2) as session:
        session.set("noise_rate", 0.0)
        session.set("ou_mean", 0.0)
        session.set("ou_sigma", 0.0)
        count = session.advance(STEPS).spike_count
    step, neuron = np.unique(np.stack(drawn_script(network.n_neurons)), axis=1)
    played = np.zeros((STEPS, owner.max() + 1), np.int64)
    np.add.at(played, (step[step < STEPS], owner[neuron[step < STEPS]]), 1)
    assert played.sum() > 300
    for m in range(2):
        np.testing.assert_array_equal(count[:, m], played)


def test_excluded_neurons_are_played_and_not_counted(tmp_path):
    plain = make_network(excluded=[1, 0, 0, 0, 0, 0], ou_mean=0.0, ou_sigma=0.0)
    last = plain.n_neurons - 1
    network = as_import(plain, tmp_path / "net.zarr", sources=([1, 1], [0, last]))
    with Session(network) as session:
        window = session.advance(3, spikes=True)
    assert window.spike_neuron.tolist() == [0, last]
    assert window.spike_count[:, 0].tolist() == [[0] * 6, [0, 0, 0, 0, 0, 1], [0] * 6]


def test_a_scripted_spike_leaves_the_neuron_itself_alone(tmp_path):
    plain = make_network(ou_mean=0.0, ou_sigma=0.0, i_ext=0.1)
    network = as_import(plain, tmp_path / "net.zarr", sources=([0, 2], [5, 5]))
    with Session(network) as session, Session(plain) as other:
        for step in range(4):
            assert session.advance(1, spikes=True).spike_neuron.tolist() == [5] * (step in (0, 2))
            other.advance(1)
            assert session.state("v")[0, 5] == other.state("v")[0, 5]
            assert not session.state("refractory").any()
        assert (session.state("j_ampa") > 0).any()


def test_the_input_blocks_of_dtb_drive_the_others(tmp_path):
    """Neurons of an input block have no in-edges; those that hear them are kicked."""
    spikes = [(2, 1), (0, 4), (2, 0)]
    folder = write(
        tmp_path / "dtb", input_block(blocks_of(*make_dtb(), cuts=(0, 6, 10, 18)), spikes)
    )
    network = import_dtb(folder, tmp_path / "net")
    edges = network.wiring.in_edges(0, 18)
    assert not np.diff(edges.indptr)[:6].any()
    target = np.repeat(np.arange(18), np.diff(edges.indptr))
    with Session(network) as session:
        for name in ("noise_rate", "i_ext"):
            session.set(name, 0.0)
        window = session.advance(1, spikes=True)
        assert window.spike_neuron.tolist() == [4]
        kicked = np.flatnonzero(session.state("j_ampa")[0])
        np.testing.assert_array_equal(
            kicked, np.unique(target[(edges.source == 4) & (edges.weight[:, 0] > 0)])
        )
        assert session.advance(5, spikes=True).spike_neuron.tolist() == [0, 1]


@given(data=st.data(), stretch=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_a_block_finds_its_own_spikes_of_each_step(network, data, stretch):
    n = network.n_neurons
    cuts = sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=8)))
    ranges = np.array(list(zip(cuts[::2], cuts[1::2], strict=False)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_module, "STRETCH", stretch * 10)
        script = read_script(network, ranges)
    own = np.concatenate([np.arange(low, high) for low, high in ranges])
    assert script.anywhere
    step, neuron = drawn_script(n)
    for k in range(0, STEPS + 20, 7):
        fires = np.sort(neuron[(step == k) & np.isin(neuron, own)])
        np.testing.assert_array_equal(own[script.at(k)], fires)
    assert script.neuron.size == np.isin(neuron, own).sum()


def test_a_network_without_any_pays_nothing(network, tmp_path):
    plain, path = make_network(), tmp_path / "net.zarr"
    empty = as_import(plain, path, sources=([], []), scripted_population=[2])
    for without in (plain, empty):
        script = read_script(without, np.array([[0, without.n_neurons]]))
        assert not script.anywhere
        assert script.at(0).size == 0
    with Session(empty) as session:
        assert not session._crew._gang.blocks[0].coefficients.features.scripted
    away = np.array([[0, 1]])
    assert read_script(network, away).anywhere  # all blocks of a network run the same kernel


def test_a_network_in_memory_that_has_lost_them_is_refused(network):
    about = {**network.attributes, "scripted_population": [1]}
    lost = dataclasses.replace(network, path="", attributes=about)
    with pytest.raises(InputError, match="scripted spikes, which only its store holds"):
        Session(lost)
