"""Each peer is told the places in its list of the neurons that fired."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import ExchangeError
from dtbdask.sim.asked import Asked


def block_of(fires, bounds):
    """What `Asked` looks at of a block whose parts list the neurons that fired."""
    fired, n_fired = np.zeros((1, fires.size), np.uint32), np.zeros((1, bounds.size - 1), np.int64)
    for part, (low, high) in enumerate(pairwise(bounds)):
        ids = low + np.flatnonzero(fires[low:high])
        fired[0, low : low + ids.size], n_fired[0, part] = ids, ids.size
    return SimpleNamespace(fired=fired, n_fired=n_fired, bounds=bounds)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    n_peers=st.integers(1, 6),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    seed=st.integers(0, 1000),
)
def test_every_peer_hears_what_it_asked_for(n, n_peers, cuts, seed):
    draw = np.random.default_rng(seed)
    lists = [
        draw.permutation(n)[: draw.integers(0, n + 1)].astype(np.uint32) for _ in range(n_peers)
    ]
    bounds, fires = np.array([0, *sorted(min(cut, n) for cut in cuts), n]), draw.random(n) < 0.5
    called = [np.stack([ids, draw.permutation(ids.size) + 7]).astype(np.uint32) for ids in lists]
    found = Asked(called, n).of(block_of(fires, bounds))
    assert len(found) == n_peers
    for asked, numbers in zip(called, found, strict=True):
        assert numbers.dtype == np.uint32
        name = dict(zip(*asked.tolist(), strict=True))
        heard = [name[neuron] for neuron in np.flatnonzero(fires) if neuron in name]
        np.testing.assert_array_equal(numbers, heard)


def test_a_neuron_that_is_not_there_is_refused():
    lists = [np.zeros((2, 0), np.uint32), np.array([[3, 7], [0, 1]], np.uint32)]
    with pytest.raises(ExchangeError, match="neuron 7 of a block of 7"):
        Asked(lists, 7)
