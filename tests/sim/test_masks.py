"""Laws of lists as bits: what is told is what fired, in as few words as there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import delayed, make_network

from dtbdask.errors import ExchangeError
from dtbdask.sim.exchange import Loopback
from dtbdask.sim.masks import Masks
from dtbdask.sim.session import Session

NONE = np.zeros(0, np.uint32)


def numbers(n, seed):
    """What a block calls the neurons that it hears from another."""
    draw = np.random.default_rng(seed)
    return np.sort(draw.choice(4 * n + 1, n, replace=False)).astype(np.uint32)


@given(n=st.integers(0, 300), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_who_fired_is_told_in_the_fewest_words(n, share, seed):
    called, draw = numbers(n, seed), np.random.default_rng(seed)
    fired = draw.permutation(called[draw.random(n) < share])
    words = Masks([called], [NONE]).folded(0, fired)
    assert words.dtype == np.uint32
    assert words.size == min(fired.size, -(-n // 32))
    heard = Masks([NONE], [called]).unfolded(0, words)
    assert heard.dtype == np.uint32
    np.testing.assert_array_equal(np.sort(heard), np.sort(fired))


def test_few_are_told_as_they_are():
    called = numbers(200, 1)
    fired = called[[3, 199, 0]]
    assert Masks([called], [called]).folded(0, fired) is fired


def test_more_words_than_neurons_could_need_are_refused():
    called = numbers(64, 1)
    with pytest.raises(ExchangeError, match="block 1 sent 3 words for 64 neurons, which 2 tell"):
        Masks([called] * 2, [called] * 2).unfolded(1, np.zeros(3, np.uint32))


@pytest.mark.parametrize("delay", [1, 3])
def test_a_run_is_the_same_by_bits_and_says_less(monkeypatch, delay):
    network = delayed(make_network(voxels=4, i_ext=1.5), delay)

    def said():
        """Spikes of a run, and words that were posted."""
        words, post = [], Loopback.post

        def counting(self, step, outgoing):
            words.extend(ids.size for ids in outgoing if ids is not None and step >= 0)
            post(self, step, outgoing)

        with monkeypatch.context() as patch, Session(network, seed=2, blocks=3) as session:
            patch.setattr(Loopback, "post", counting)
            window = session.advance(120, spikes=True)
        return window.spike_neuron, sum(words)

    meant, by_numbers = said()
    monkeypatch.setattr(Loopback, "far", True)
    found, by_bits = said()
    assert meant.size > 0.04 * 600 * 120
    np.testing.assert_array_equal(found, meant)
    assert by_bits < 0.9 * by_numbers
