"""Sums of what the state shows are whole numbers, of any runs in any parts; spoilt ones stay so."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.kernels import N_COEFFICIENTS, Coefficient, Features
from dtbdask.kernels.cpu_observe import LIMIT, SPOILT, single, strike, totals

N, POPULATIONS, SCALE = 40, 3, 2.0**30
ALL = np.arange(6)
SLOTS = tuple(0 if k == Coefficient.G else -1 for k in range(N_COEFFICIENTS))
FEATURES = Features((True, False, True, False), background=True, noise=False, slots=SLOTS)


def made(dtype, seed=0):
    """V, four traces, coefficients and factors of a block, as the kernels take them."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(-70, -50, (1, N)).astype(dtype)
    none = np.zeros((1, 0), dtype)
    j = tuple(rng.uniform(0, 3, (1, N)).astype(dtype) if on else none for on in FEATURES.receptors)
    value = rng.uniform(-1, 1, (1, POPULATIONS, N_COEFFICIENTS)).astype(dtype)
    return v, j, value, rng.uniform(0.5, 2, (1, N)).astype(dtype)


def currents(v, j, value, factor, of):
    """Current of each receptor of each neuron, in plain NumPy."""
    p = value[0, of].astype(np.float64)
    x, found = v[0].astype(np.float64), np.zeros((4, v.shape[1]))
    for u in np.flatnonzero(FEATURES.receptors):
        g = value[0, of, Coefficient.G + u]
        g = g * factor[0] if SLOTS[Coefficient.G + u] == 0 else g
        found[u] = g.astype(np.float64) * (p[:, Coefficient.V_U + u] - x) * j[u][0]
    return found


def summed(stop, of, parts, given, row=ALL):
    total = np.zeros((row.max() + 1, stop.size), np.int64)
    cut = np.searchsorted(stop, parts, side="right")
    for first, last in pairwise(cut):
        v, j, value, factor = given
        totals(FEATURES)(total, row, SCALE, stop, of, first, last, v, j, value, factor)
    return total


def whole(values):
    return np.rint(values * SCALE).astype(np.int64)


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_sums_are_those_of_rounded_values_whatever_the_runs_and_parts(data):
    """The last population stands for excluded neurons, which are left out."""
    given_ = made("float64")
    cuts = data.draw(st.sets(st.integers(1, N - 1), max_size=8))
    stop = np.array([*sorted(cuts), N])
    kinds = st.lists(st.integers(0, POPULATIONS), min_size=stop.size, max_size=stop.size)
    of_run = np.array(data.draw(kinds))
    parts = np.array([0, *sorted(data.draw(st.sets(st.sampled_from(stop.tolist()))) | {N})])
    found = summed(stop, of_run, parts, given_)
    of = np.repeat(of_run, np.diff(stop, prepend=0))
    counted = of < POPULATIONS
    one = currents(*given_, np.minimum(of, POPULATIONS - 1))
    meant = np.stack([given_[0][0].astype(np.float64), one.sum(axis=0), *one])
    begin = np.append(0, stop[:-1])
    sums = np.add.reduceat(np.where(counted, whole(meant), 0), begin, axis=1)
    np.testing.assert_array_equal(found, sums)


def test_only_what_is_asked_for_is_summed():
    stop, of = np.array([N]), np.array([1])
    everything = summed(stop, of, np.array([0, N]), made("float64"))
    row = np.array([-1, 1, -1, -1, 0, -1])
    found = summed(stop, of, np.array([0, N]), made("float64"), row)
    np.testing.assert_array_equal(found, everything[[4, 1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, LIMIT, -LIMIT])
def test_a_value_beyond_all_sense_spoils_its_sum_and_no_other(bad):
    v, *rest = made("float64")
    stop, of, parts = np.array([10, N]), np.array([0, 1]), np.array([0, N])
    good = summed(stop, of, parts, (v, *rest))
    v[0, 3] = bad
    found = summed(stop, of, parts, (v, *rest))
    assert found[0, 0] == SPOILT
    np.testing.assert_array_equal(found[:, 1], good[:, 1])


def test_a_spoilt_sum_stays_spoilt():
    v, j, value, factor = made("float64")
    total = np.full((6, 1), SPOILT)
    stop, of = np.array([N]), np.array([0])
    totals(FEATURES)(total, ALL, SCALE, stop, of, 0, 1, v, j, value, factor)
    assert (total == SPOILT).all()


def test_single_neurons_show_what_they_have():
    v, j, value, factor = made("float64")
    neuron, of = np.array([7, 0, 39, 7]), np.array([0, 0, 2, 0])
    ou = np.arange(N, dtype=np.float64)[None]
    out = np.zeros((3, 4))
    single(FEATURES)(out, neuron, of, v, ou, j, value, factor)
    np.testing.assert_array_equal(out[0], v[0, neuron])
    one = currents(v, j, value, factor, np.zeros(N, int))[:, neuron]
    one[:, 2] = currents(v, j, value, factor, np.full(N, 2))[:, 39]
    np.testing.assert_array_equal(out[1], one.sum(axis=0))
    np.testing.assert_array_equal(out[2], neuron)


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_spikes_of_single_neurons_are_found_in_the_list_of_each_part(data):
    acts = np.array(data.draw(st.lists(st.booleans(), min_size=N, max_size=N)))
    bounds = np.array([0, 16, 17, N])
    fired, n_fired = np.full((1, N), 2**32 - 1, np.uint32), np.zeros((1, 3), np.int64)
    for part, (low, high) in enumerate(pairwise(bounds)):
        spiked = low + np.flatnonzero(acts[low:high])
        fired[0, low : low + spiked.size], n_fired[0, part] = spiked, spiked.size
    neuron = np.array(data.draw(st.lists(st.integers(0, N - 1), max_size=9)), np.int64)
    count = np.ones(neuron.size, np.uint16)
    strike(count, neuron, fired, n_fired, bounds)
    np.testing.assert_array_equal(count, 1 + acts[neuron])
