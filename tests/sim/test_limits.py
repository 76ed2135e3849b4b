"""What a session cannot simulate, or hold, is refused; what is excluded is not counted."""

import dataclasses

import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import CapacityError, InputError
from dtbdask.sim import admission
from dtbdask.sim.session import Session


def test_scripted_spikes_are_refused_not_ignored():
    network = make_network()
    about = {**network.attributes, "scripted_population": [1]}
    with pytest.raises(InputError, match="scripted spikes"):
        Session(dataclasses.replace(network, attributes=about))


@pytest.mark.parametrize("blocks", [1, 3])
def test_excluded_neurons_run_and_are_not_counted(blocks):
    """Their spikes are recorded and act; only the counts lack them."""
    n = make_network().n_neurons
    excluded = (np.arange(n) % 3 == 0).astype(float)
    with Session(make_network(), blocks=blocks) as session:
        all_of_them = session.advance(100, spikes=True)
    with Session(make_network(neuron={"excluded": excluded}), blocks=blocks) as session:
        window = session.advance(100, spikes=True)
    np.testing.assert_array_equal(window.spike_neuron, all_of_them.spike_neuron)
    counted = window.spike_neuron[excluded[window.spike_neuron] == 0]
    assert 0 < counted.size < window.spike_neuron.size
    population = make_network().populations.population_of(0, n)[counted]
    np.testing.assert_array_equal(
        window.spike_count[:, 0].sum(axis=0), np.bincount(population, minlength=6)
    )


def test_populations_are_excluded_as_a_whole_and_only_in_the_network():
    network = make_network(excluded=[1, 0, 0, 0, 0, 0])
    with Session(network) as session:
        count = session.advance(200).spike_count.sum(axis=(0, 1))
        assert count[0] == 0
        assert count[2] > 0
        with pytest.raises(InputError, match="excluded belongs to the network"):
            session.set("excluded", 1.0)
        with pytest.raises(InputError, match="excluded belongs to the network"):
            session.set("excluded", 1.0, neuron="all")


def test_a_network_that_does_not_fit_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(admission, "memory_room", lambda: 100_000)
    with pytest.raises(CapacityError, match=r"block 0 needs .*, its worker has 100\.0 kB"):
        Session(make_network(), device="cpu")
