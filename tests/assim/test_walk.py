"""A walk is a random walk unless told otherwise; what it is told shows in its statistics."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.transform import random_walk
from dtbdask.assim.walk import Walk, connectome_correlation
from dtbdask.errors import InputError

Z = np.random.default_rng(1).normal(size=(6, 2, 5))
STILL = np.zeros_like(Z)


def generator(seed=3):
    return np.random.default_rng(seed)


def test_a_plain_walk_is_the_random_walk_bit_for_bit():
    z, velocity = Walk(0.7).step(Z, STILL, np.zeros((2, 5)), generator())
    np.testing.assert_array_equal(z, random_walk(Z, 0.7, generator()))
    np.testing.assert_array_equal(velocity, STILL)


def test_without_variance_a_memory_leads_back_to_the_mean():
    mean, z, velocity = np.full((2, 5), 3.0), Z, STILL
    for _ in range(4):
        z, velocity = Walk(0.0, memory=4).step(z, velocity, mean, generator())
    np.testing.assert_allclose(z - mean, (Z - mean) * np.exp(-1))


def test_without_variance_a_momentum_goes_on_and_fades():
    z, velocity = Walk(0.0, momentum=2).step(Z, np.ones_like(Z), np.zeros((2, 5)), generator())
    np.testing.assert_allclose(velocity, np.exp(-0.5))
    np.testing.assert_allclose(z, Z + np.exp(-0.5))


def test_voxels_walk_together_as_they_are_told():
    c = connectome_correlation(np.random.default_rng(2).random((5, 5)))
    z, _ = Walk(4.0, correlation=c).step(np.zeros((200_000, 1, 5)), 0.0, 0.0, generator())
    np.testing.assert_allclose(np.cov(z[:, 0].T), 4 * c, atol=0.06)


def test_a_centred_walk_leaves_the_mean_of_the_ensemble():
    z, _ = Walk(4.0, correlation=np.eye(5), centred=True).step(Z, STILL, 0.0, generator())
    np.testing.assert_allclose(z.mean(axis=0), Z.mean(axis=0), atol=1e-12)
    assert (z != Z).all()


def test_hyper_parameters_may_step_together():
    z, _ = Walk(4.0, together=True).step(STILL, STILL, 0.0, generator())
    np.testing.assert_array_equal(z[:, 0], z[:, 1])
    assert np.unique(z[:, 0]).size == 6 * 5


def test_what_is_told_of_a_walk_makes_it_again():
    walk = Walk(1.5, 4.0, 2.0, np.eye(5), True, True)
    again = Walk.of_told(json.loads(json.dumps(walk.told())))
    for one, other in zip(walk.step(Z, STILL, 0.0, generator()),
                          again.step(Z, STILL, 0.0, generator()), strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    assert Walk.of_told(Walk(1.0).told()).memory == np.inf


# The correlation of a connectome


@given(st.integers(2, 8), st.floats(0, 0.95), st.integers(0, 2**32))
def test_a_connectome_gives_a_correlation_whatever_its_scale(n, coupling, seed):
    draw = np.random.default_rng(seed)
    c = draw.random((n, n)) * (draw.random((n, n)) < 0.5)
    found = connectome_correlation(c, coupling)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    np.testing.assert_array_equal(np.diag(found), 1)
    assert np.linalg.eigvalsh(found)[0] > -1e-10
    np.testing.assert_allclose(found, connectome_correlation(7 * c, coupling), atol=1e-10)


def test_voxels_without_connections_are_independent():
    np.testing.assert_array_equal(connectome_correlation(np.zeros((3, 3))), np.eye(3))
    np.testing.assert_array_equal(connectome_correlation(np.ones((3, 3)), 0.0), np.eye(3))


def test_two_halves_that_do_not_meet_do_not_correlate():
    c = np.kron(np.eye(2), np.ones((3, 3)))
    found = connectome_correlation(c)
    np.testing.assert_array_equal(found[:3, 3:], 0)
    assert (found[:3, :3] > 0.5).all()


WRONG = {
    "variance": ({"variance": -1}, "walk is -1"),
    "variance nan": ({"variance": np.nan}, "walk is nan"),
    "memory": ({"memory": 0}, "memory is 0"),
    "momentum": ({"momentum": -1}, "momentum is -1"),
    "momentum infinite": ({"momentum": np.inf}, "momentum is inf"),
    "not square": ({"correlation": np.ones((2, 3))}, "correlation has shape"),
    "no correlation": ({"correlation": 2 * np.eye(3)}, "diagonal of 1"),
    "indefinite": ({"correlation": [[1, 2], [2, 1]]}, "eigenvalue"),
    "asymmetric": ({"correlation": [[1, 0.5], [0, 1]]}, "symmetric"),
}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_walk_is_refused(wrong, told):
    with pytest.raises(InputError, match=told):
        Walk(**wrong)


@pytest.mark.parametrize(
    ("connection", "coupling", "told"),
    [(np.ones((2, 3)), 0.8, "square"), (-np.ones((3, 3)), 0.8, "negative"),
     (np.full((3, 3), np.nan), 0.8, "finite"), (np.ones((3, 3)), 1.0, "coupling is 1")],
)  # fmt: skip
def test_a_wrong_connectome_is_refused(connection, coupling, told):
    with pytest.raises(InputError, match=told):
        connectome_correlation(connection, coupling)
