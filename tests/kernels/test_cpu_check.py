"""Bad edges are found, and the others counted, as by a slow text."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.kernels import cpu_check


@st.composite
def drawn_edges(draw):
    """Populations, and in-edges of a range of neurons, some of them bad."""
    size = np.array(draw(st.lists(st.integers(0, 90), min_size=1, max_size=6)), np.int64)
    size[draw(st.integers(0, size.size - 1))] += 1
    n = int(size.sum())
    start = draw(st.integers(0, n - 1))
    n_targets = draw(st.integers(1, min(n - start, 12)))
    degree = draw(st.lists(st.integers(0, 9), min_size=n_targets, max_size=n_targets))
    edges = sum(degree)
    source = draw(st.lists(st.integers(0, n + 1), min_size=edges, max_size=edges))
    whole = draw(st.integers(0, 1)), n_targets - draw(st.integers(0, 1))
    return size, start, np.array(degree, np.int64), np.array(source, np.uint32), whole


def slowly(size, start, degree, source, whole):
    population = np.repeat(np.arange(size.size), size)
    bad, counts, e = [[], [], []], Counter(), 0
    for t, d in enumerate(degree):
        target, seen = start + t, set()
        for neuron in source[e : e + d].tolist():
            if neuron >= size.sum():
                bad[cpu_check.BEYOND].append(e)
            else:
                counts[population[target], population[neuron]] += 1
                if neuron == target:
                    bad[cpu_check.ITSELF].append(e)
                elif neuron in seen and whole[0] <= t < whole[1]:
                    bad[cpu_check.TWICE].append(e)
                seen.add(neuron)
            e += 1
    return bad, counts


@given(drawn_edges())
@settings(max_examples=150, deadline=None)
def test_bad_edges_and_counts_are_those_of_a_slow_text(drawn):
    size, start, degree, source, whole = drawn
    first = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    bad, place = np.empty(3, np.int64), np.empty(3, np.int64)
    row, column = np.empty((2, source.size), np.int32)
    number = np.empty(source.size, np.int64)
    indptr = np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)
    n = cpu_check.examine(
        bad, place, row, column, number, source, indptr, start, whole, first,
        cpu_check.landmarks(first),
    )  # fmt: skip
    meant_bad, meant = slowly(size, start, degree, source, whole)
    assert bad.tolist() == [len(edges) for edges in meant_bad]
    assert place.tolist() == [edges[0] if edges else -1 for edges in meant_bad]
    entries = list(zip(row[:n].tolist(), column[:n].tolist(), strict=True))
    assert len(set(entries)) == n
    assert dict(zip(entries, number[:n].tolist(), strict=True)) == meant


def test_a_landmark_is_the_population_of_its_neuron():
    size = np.array([3, 0, 200, 1, 64, 2], np.int64)
    first = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    population = np.repeat(np.arange(size.size), size)
    np.testing.assert_array_equal(cpu_check.landmarks(first), population[:: 1 << cpu_check.SHIFT])


def test_weights_are_counted():
    weight = np.random.default_rng(1).integers(0, 256, (5000, 2), np.uint8)
    count = np.ones((2, 256), np.int64)
    cpu_check.histogram(count, weight)
    for pair in (0, 1):
        np.testing.assert_array_equal(count[pair] - 1, np.bincount(weight[:, pair], minlength=256))
