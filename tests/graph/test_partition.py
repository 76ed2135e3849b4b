"""Blocks are contiguous, never empty, and of about equal cost, whatever the populations."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.partition import cut


def network_of(size, degree):
    """A network as far as a partition can see it."""
    populations = dataclasses.replace(
        make_network().populations, size=np.array(size), degree=np.array(degree, np.int32)
    )
    return Network(populations, Parameters({}), None, (), {})


@given(
    populations=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 300)), min_size=1, max_size=8
    ),
    share=st.floats(0, 1),
)
@example(populations=[(2, 0), (1, 100)], share=1.0)
@settings(max_examples=100, deadline=None)
def test_blocks_cover_the_neurons_in_order_and_cost_about_the_same(populations, share):
    size, degree = zip(*populations, strict=True)
    network = network_of(size, degree)
    n_blocks = max(1, round(share * sum(size)))
    bounds = cut(network, n_blocks)
    assert bounds.size == n_blocks + 1
    assert (bounds[0], bounds[-1]) == (0, sum(size))
    assert (np.diff(bounds) > 0).all(), "a block is empty"
    per_neuron = np.repeat(1.0 + np.array(degree), size)
    cost = np.add.reduceat(per_neuron, bounds[:-1])
    assert cost.max() <= cost.mean() + per_neuron.max() + 1e-6


def test_a_costly_population_is_split_into_more_blocks():
    bounds = cut(network_of([1000, 1000], [9, 89]), 10)
    assert (np.diff(bounds)[0], np.diff(bounds)[-1]) == (1000, 111)
    assert np.searchsorted(bounds, 1000) == 1


@pytest.mark.parametrize("n_blocks", [0, -1, 598])
def test_a_number_of_blocks_that_makes_no_sense_is_refused(n_blocks):
    with pytest.raises(InputError, match=rf"blocks is {n_blocks}; expected 1 to 597"):
        cut(make_network(), n_blocks)
    assert cut(make_network(), 597).tolist() == list(range(598))
