"""How much an observation counts for a variable: tapers that fall with distance.

Distance is what the user takes it to be: of voxels in mm, of grid points round a circle, or along
the connectome, where two regions are near if strong connections join them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import namespace
from dtbdask.assim.checks import positive
from dtbdask.errors import InputError

Floats = NDArray[np.float64]

HALF_WIDTH = 1.7386
"""Half width of a taper that is e^-1/2 at distance 1, as a Gaussian of standard deviation 1 is."""


def gaspari_cohn(distance: ArrayLike, half_width: float) -> Floats:
    """Compactly supported correlation of Gaspari and Cohn (1999), their equation 4.10.

    A fifth-order piecewise polynomial of z = distance / half width, nearly a Gaussian:

        z <= 1      1 - 5/3 z^2 + 5/8 z^3 + 1/2 z^4 - 1/4 z^5
        z <= 2      4 - 5 z + 5/3 z^2 + 5/8 z^3 - 1/2 z^4 + 1/12 z^5 - 2 / (3 z)
        beyond      0.

    It is positive semidefinite for distances of points in up to three dimensions; along a
    connectome it need not be, and as a taper of observations it does not have to.

    Gaspari and Cohn 1999, Q. J. R. Meteorol. Soc. 125, 723-757.

    Parameters
    ----------
    distance : array_like
        (...) float, any unit. Not negative; infinite where nothing joins two points.
    half_width : float
        c, unit of the distance; beyond 2 c the taper is 0. `HALF_WIDTH` times the radius at which
        the taper is to be e^-1/2.

    Returns
    -------
    taper : ndarray
        (...) float64, 0 to 1.

    Raises
    ------
    InputError
        A distance is negative or not a number, or the half width is not positive.
    """
    positive("half_width", half_width)
    xp = namespace(distance)
    d = xp.asarray(distance, dtype=np.float64)
    if not (d >= 0).all():
        raise InputError(f"distance is as low as {d.min()}; it must not be negative")
    z = xp.minimum(d / half_width, 2.0)
    inner = 1 + z**2 * (-5 / 3 + z * (5 / 8 + z * (1 / 2 - z / 4)))
    far = xp.maximum(z, 1.0)
    # the outer piece, factored at its root of order four: no digits are lost near z = 2
    outer = (2 - far) ** 4 * (far * (far + 2) - 1 / 2) / 12 / far
    taper: Floats = xp.where(z <= 1, inner, outer)
    return taper


def connectome_distance(connection: ArrayLike) -> Floats:
    """Distance along the connectome: the shortest path, strong connections being short.

    A connection of strength s has length m / s, m the mean of the positive strengths; of the two
    directions of a pair counts the mean strength (lengths as in Rubinov and Sporns 2010,
    NeuroImage 52, 1059-1069).

    Parameters
    ----------
    connection : array_like
        (target, source) float, any unit. Not negative; the diagonal is not looked at.

    Returns
    -------
    distance : ndarray
        (voxel, voxel) float64, 1, in lengths of a connection of mean strength. Symmetric, 0 on the
        diagonal; infinite where no path leads.

    Raises
    ------
    InputError
        The matrix is not square, or a strength is negative or not finite.
    """
    from scipy.sparse.csgraph import shortest_path

    s = np.array(connection, dtype=np.float64)
    if s.ndim != 2 or s.shape[0] != s.shape[1]:
        raise InputError(f"connection has shape {s.shape}; it must be (target, source), square")
    if not ((s >= 0) & (s < np.inf)).all():
        raise InputError(
            f"connection has values from {s.min()} to {s.max()}; they must be finite and not "
            "negative"
        )
    np.fill_diagonal(s, 0)
    s = (s + s.T) / 2
    joined = s > 0
    length: Any = np.zeros_like(s)  # 0 is no edge
    length[joined] = s[joined].mean() / s[joined] if joined.any() else 1
    path = shortest_path(length, method="D", directed=False)
    distance: Floats = np.minimum(path, path.T)  # sums along a path and back may round apart
    return distance
