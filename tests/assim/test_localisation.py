"""Tapers, and distances along a connectome."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.localisation import HALF_WIDTH, connectome_distance, gaspari_cohn
from dtbdask.errors import InputError


def literal(z):
    """Equation 4.10 of Gaspari and Cohn, as printed."""
    if z <= 1:
        return -(z**5) / 4 + z**4 / 2 + 5 / 8 * z**3 - 5 / 3 * z**2 + 1
    if z <= 2:
        return z**5 / 12 - z**4 / 2 + 5 / 8 * z**3 + 5 / 3 * z**2 - 5 * z + 4 - 2 / (3 * z)
    return 0.0


@given(st.floats(0, 3), st.floats(0.1, 50))
def test_it_is_the_printed_equation(z, c):
    distance = z * c
    taper = gaspari_cohn(distance, c)
    assert 0 <= taper <= 1
    assert abs(taper - literal(distance / c)) < 1e-13


def test_it_is_one_at_none_zero_beyond_twice_c_and_falls():
    distance = np.linspace(0, 8, 2001)
    taper = gaspari_cohn(distance, 3.0)
    assert taper[0] == 1
    assert (np.diff(taper[distance < 6]) < 0).all()
    np.testing.assert_array_equal(taper[distance >= 6], 0)
    assert gaspari_cohn(np.inf, 3.0) == 0
    assert abs(gaspari_cohn(5.0, 5 * HALF_WIDTH) - np.exp(-0.5)) < 1e-5


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=30), st.floats(0.1, 20))
def test_it_is_positive_semidefinite_on_a_line(points, c):
    matrix = gaspari_cohn(np.abs(np.subtract.outer(points, points)), c)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * len(points)


@pytest.mark.parametrize(
    ("distance", "c", "message"),
    [
        ([1.0, -2.0], 1.0, "distance is as low as -2"),
        ([np.nan], 1.0, "distance is as low as nan"),
        ([1.0], 0.0, "half_width is 0"),
        ([1.0], np.inf, "half_width is inf"),
    ],
)
def test_wrong_distances_are_named(distance, c, message):
    with pytest.raises(InputError, match=message):
        gaspari_cohn(distance, c)


def test_a_chain_of_strong_connections_is_shorter_than_a_weak_one():
    connection = np.zeros((4, 4))
    connection[0, 1] = connection[1, 0] = 4  # mean 2, length 1/2
    connection[1, 2] = 4  # one way only: 2, length 1
    connection[0, 2] = connection[2, 0] = 0.5  # length 4
    mean = (4 + 4 + 2 + 2 + 0.5 + 0.5) / 6
    wanted = np.full((4, 4), np.inf)
    wanted[:3, :3] = mean * np.array([[0, 1 / 4, 3 / 4], [1 / 4, 0, 1 / 2], [3 / 4, 1 / 2, 0]])
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(connectome_distance(connection), wanted, rtol=1e-12)


@given(st.integers(0, 2**31), st.floats(0.01, 100))
def test_a_connectome_is_a_metric_space_whatever_its_unit(seed, unit):
    rng = np.random.default_rng(seed)
    connection = rng.exponential(size=(7, 7)) * (rng.random((7, 7)) < 0.4)
    kept = connection.copy()
    distance = connectome_distance(connection)
    np.testing.assert_array_equal(connection, kept)
    np.testing.assert_array_equal(distance, distance.T)
    np.testing.assert_array_equal(np.diag(distance), 0)
    assert (distance[:, :, None] <= distance[:, None] + distance.T[None] + 1e-9).all()
    np.testing.assert_allclose(connectome_distance(connection * unit), distance, rtol=1e-9)
    no_connection = connectome_distance(np.zeros((3, 3)))
    np.testing.assert_array_equal(no_connection, np.where(np.eye(3), 0, np.inf))


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (np.ones((2, 3)), r"connection has shape \(2, 3\)"),
        (-np.ones((2, 2)), "connection has values from -1"),
        (np.full((2, 2), np.nan), "connection has values from nan"),
        (np.full((2, 2), np.inf), "to inf"),
    ],
)
def test_wrong_connectomes_are_named(connection, message):
    with pytest.raises(InputError, match=message):
        connectome_distance(connection)
