"""Weights become whole numbers that come back exactly where they can, and never overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.graph.fixed_point import (
    DIGITS,
    FINEST,
    LARGEST_KICK,
    FixedPoint,
    choose,
    fraction_bits,
)

ANY = (
    st.floats(0, 65_504, width=32) | st.floats(0, 1, width=16)
    | st.integers(0, 2**53).map(lambda digits: digits * 2.0**-60)
)  # fmt: skip
WEIGHTS = st.lists(ANY, min_size=1, max_size=20)


def fixed(weight):
    """The unit for weights that all end on one neuron, on the same receptor."""
    return choose(fraction_bits(weight), float(weight.max()), float(weight.sum()), weight.size)


@given(weights=WEIGHTS)
def test_so_many_bits_are_exact_and_one_less_is_not(weights):
    weight = np.array([weights, weights]).T
    bits = fraction_bits(weight)
    scaled = np.ldexp(weight, bits)
    assert (scaled == np.floor(scaled)).all()
    fewer = np.ldexp(weight, bits - 1)
    assert bits == 0 or (fewer != np.floor(fewer)).any()


@given(weights=WEIGHTS)
def test_no_kick_overflows_and_rounding_is_at_most_half_a_unit(weights):
    weight = np.array(weights)
    unit = fixed(weight)
    integer = unit.encode(weight)
    assert integer.astype(object).sum() <= LARGEST_KICK
    assert unit.rounding(weight) <= unit.scale / 2
    assert unit.rounding(weight) == np.abs(integer * unit.scale - weight).max()
    if unit.bits == fraction_bits(weight):
        assert unit.rounding(weight) == 0
    else:
        assert integer.max() <= 2**DIGITS


@given(weights=WEIGHTS)
def test_the_unit_is_not_coarser_than_it_must_be(weights):
    weight = np.array(weights)
    unit = fixed(weight)
    most = min(FINEST, DIGITS - np.frexp(weight.max())[1])
    if unit.rounding(weight) and unit.bits < most:
        finer = FixedPoint(unit.bits + 1)
        assert (weight * 2.0**finer.bits).sum() + weight.size > LARGEST_KICK


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_random_weights_of_dtb_are_exact_up_to_a_degree(kind):
    """Uniform numbers in half and single precision are multiples of 2^-24."""
    rng = np.random.default_rng(1)
    for degree in (1, 256, 400, 2000):
        weight = rng.random(degree, np.float32).astype(kind)
        unit = fixed(weight)
        assert (unit.rounding(weight) == 0) == (degree < 512 or kind == np.float16)
        assert unit.bits <= 24
    assert fixed(np.ones(256) - 2.0**-24).bits == 24
    assert fixed(np.ones(257) - 2.0**-24).bits == 23


def test_eight_bits_of_one_half_need_one_bit():
    assert fraction_bits(np.array([0.5, 1.5, 3.0])) == 1
    assert fraction_bits(np.array([[0.0, 2.0]])) == 0
    assert fraction_bits(np.array([])) == 0
    assert choose(0, 0.0, 0.0, 5) == FixedPoint(0)


def test_large_and_tiny_weights_have_a_unit_too():
    large = np.full(100_000, 65_504.0)
    unit = fixed(large)
    assert unit.bits < 0
    assert unit.encode(large).astype(np.int64).sum() <= LARGEST_KICK
    tiny = np.array([2.0**-149, 2.0**-140])
    assert np.float32(fixed(tiny).scale) >= np.finfo(np.float32).tiny
