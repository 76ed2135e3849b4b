"""Every draw is a pure function of what it is for, and is distributed as it promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dtbdask import rng
from dtbdask.kernels import cpu_random
from dtbdask.rng import Purpose

SEEDS = st.integers(0, 2**64 - 1)
STEPS = st.integers(0, 2**56 - 1)
MEMBERS = st.integers(0, 2**16 - 1)


def hexadecimal(words):
    return np.array([int(word, 16) for word in words.split()], np.uint32)


KNOWN = {  # Random123 1.14, tests/kat_vectors: counter, key, words
    "zero": ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    "ones": (
        "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    "pi": (
        "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_philox_gives_the_known_answers_of_random123(name):
    counter, key, answer = map(hexadecimal, KNOWN[name])
    np.testing.assert_array_equal(rng.philox(counter, tuple(map(int, key))), answer)
    np.testing.assert_array_equal(cpu_random.philox(*counter, *key), answer)


@given(seed=SEEDS, step=STEPS, member=MEMBERS, tile=st.integers(0, 2**25))
@settings(max_examples=30, deadline=None)
def test_numba_says_the_same_bits_as_numpy(seed, step, member, tile):
    words, key = np.empty((4, 32), np.uint32), np.array(rng.split_seed(seed), np.uint32)
    normals, where = np.empty(128, np.float32), (np.uint32(Purpose.BACKGROUND), tile, step, member)
    cpu_random.tile_words(words, *where, key)
    cpu_random.tile_normals(normals, *where, key)
    where = (tile * 128, (tile + 1) * 128, step, member)
    np.testing.assert_array_equal(words.ravel(), rng.neuron_words(seed, Purpose.BACKGROUND, *where))
    np.testing.assert_array_equal(normals, rng.neuron_normals(seed, *where))


def test_numba_says_the_same_normals_for_extreme_words():
    edge = [0, 1, 255, 256, 257, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFF00, 0xFFFFFFFF]
    edge += [round(2**31.5) + k for k in range(-300, 300, 20)]  # where the mantissa is cut in two
    pairs = np.array(list(itertools.product(edge, edge)), np.uint32)
    found = np.array([cpu_random.box_muller(first, second) for first, second in pairs])
    np.testing.assert_array_equal(found.T, rng.box_muller(*pairs.T))
    assert np.isfinite(found).all()


@given(seed=SEEDS, step=STEPS, member=MEMBERS, start=st.integers(0, 2**33), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_part_of_the_neurons_draws_its_slice_of_the_whole(seed, step, member, start, data):
    stop = start + data.draw(st.integers(0, 600))
    low = data.draw(st.integers(start, stop))
    high = data.draw(st.integers(low, stop))
    where = slice(low - start, high - start)
    for draw in (rng.neuron_normals, lambda s, *rest: rng.neuron_words(s, Purpose.NOISE, *rest)):
        whole = draw(seed, start, stop, step, member)
        assert whole.size == stop - start
        np.testing.assert_array_equal(draw(seed, low, high, step, member), whole[where])


@given(
    one=st.tuples(SEEDS, st.sampled_from(Purpose), STEPS, MEMBERS),
    other=st.tuples(SEEDS, st.sampled_from(Purpose), STEPS, MEMBERS),
    index=st.integers(0, 2**48 - 8),
)
@settings(max_examples=50, deadline=None)
def test_words_differ_whenever_what_they_are_for_differs(one, other, index):
    """Seed, purpose, step and member all enter, in all their bits."""
    where = np.arange(index, index + 8)
    (a, p, s, m), (b, q, t, k) = one, other
    first = rng.words(a, p, where, s, m)
    np.testing.assert_array_equal(first, rng.words(a, p, where, s, m))
    assert (first == rng.words(b, q, where, t, k)).mean() < 0.2 or one == other


@pytest.mark.parametrize("bit", range(64))
def test_every_bit_of_seed_step_index_and_member_counts(bit):
    where = np.array([5])
    plain = rng.words(0, Purpose.NOISE, where)
    assert (rng.words(1 << bit, Purpose.NOISE, where) != plain).any()
    if bit < 56:
        assert (rng.words(0, Purpose.NOISE, where, step=1 << bit) != plain).any()
    if bit < 48:
        assert (rng.words(0, Purpose.NOISE, where ^ (1 << bit)) != plain).any()
    if bit < 16:
        assert (rng.words(0, Purpose.NOISE, where, member=1 << bit) != plain).any()


def test_counters_of_neurons_steps_members_and_purposes_never_meet():
    steps, members = (0, 1, 2**32, 2**32 + 1), (0, 1, 2**15)
    drawn = [
        rng.neuron_words(9, purpose, start, start + 512, step, member)
        for purpose, start, step, member in itertools.product(Purpose, (0, 2**35), steps, members)
    ]
    together = np.concatenate(drawn).astype(np.int64)
    expected = together.size**2 / 2 / 2**32  # birthday coincidences of 32-bit words
    assert together.size - np.unique(together).size <= expected + 5 * expected**0.5 + 3


def test_normals_are_standard_normal():
    z = np.concatenate([rng.neuron_normals(4, 0, 100_000, step, 0) for step in range(4)])
    assert stats.kstest(z, "norm").pvalue > 0.01
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert abs((z.astype(float) ** power).mean() - moment) < 4 * deviation / z.size**0.5
    assert np.abs(z).max() < 5.78


def test_normals_of_neighbours_steps_and_members_are_uncorrelated():
    z = {(s, m): rng.neuron_normals(4, 0, 50_000, s, m) for s in range(2) for m in range(2)}
    pairs = [(z[0, 0], z[1, 0]), (z[0, 0], z[0, 1])]
    pairs += [(z[0, 0][:-lag], z[0, 0][lag:]) for lag in (1, 31, 32, 64, 96, 128)]
    for x, y in pairs:
        assert abs(np.corrcoef(x, y)[0, 1]) < 4 / x.size**0.5
        assert abs(np.corrcoef(x**2, y**2)[0, 1]) < 4 / x.size**0.5


def test_the_log_sine_and_cosine_of_the_normals_are_accurate():
    f = np.float32
    y = np.linspace(0.5**0.5 - 1, 2**0.5 - 1, 200_001).astype(f)
    t = np.linspace(-np.pi / 2, np.pi / 2, 200_001).astype(f)
    for got, meant in (
        (y * rng._polynomial(rng.LOG, y), np.log1p(y.astype(float))),
        (t * rng._polynomial(rng.SIN, t * t), np.sin(t.astype(float))),
        (rng._polynomial(rng.COS, t * t), np.cos(t.astype(float))),
    ):
        assert np.abs(got - meant).max() < 1e-6


def test_box_muller_is_box_muller():
    drawn = np.random.default_rng(0).integers(0, 2**32, (2, 200_000), dtype=np.uint32)
    radius = np.sqrt(-2 * np.log(((drawn[0] >> 8) + 1.0) / 2**24))
    angle = 2 * np.pi * drawn[1].view(np.int32) / 2.0**32
    even, odd = rng.box_muller(*drawn)
    np.testing.assert_allclose(even, radius * np.cos(angle), atol=4e-6)
    np.testing.assert_allclose(odd, radius * np.sin(angle), atol=4e-6)


def test_uniforms_are_uniform_below_one():
    u = rng.uniform(rng.neuron_words(1, Purpose.NOISE, 0, 200_000, 3, 0))
    assert stats.kstest(u, "uniform").pvalue > 0.01
    assert rng.uniform(np.array([0, 0xFFFFFFFF], np.uint32)).tolist() == [0.0, 1.0 - 2.0**-24]


def test_a_generator_is_a_stream_of_its_own_for_each_seed_purpose_and_index():
    seeds = (0, 1, 2, 10, 12, 2**32, 2**64 - 1, 2**64, 2**200)
    names = [(s, p, *i) for s in seeds for p in ("prior", "noise", "") for i in
             ((), (0,), (1,), (0, 0), (0, 1), (1, 0), (10,), (2**64,))]  # fmt: skip
    first = {name: rng.generator(*name).integers(0, 2**63, 2).tobytes() for name in names}
    assert len(set(first.values())) == len(names)
    for name in names:
        assert rng.generator(*name).integers(0, 2**63, 2).tobytes() == first[name]
