"""Where the regions of the AAL atlas lie, for connectomes that do not say.

Centres of the 90 cerebral regions in MNI space, to a millimetre, as computed from the atlas of
Tzourio-Mazoyer et al. (2002, NeuroImage 15, 273-289).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.aal import AAL90

AAL90_XYZ = (
    (-39, -6, 51), (41, -8, 52), (-18, 35, 42), (22, 31, 44), (-17, 47, -13), (18, 48, -14),
    (-33, 33, 35), (38, 33, 34), (-31, 50, -10), (33, 53, -11), (-48, 13, 19), (50, 15, 21),
    (-46, 30, 14), (50, 30, 14), (-36, 31, -12), (41, 32, -12), (-47, -8, 14), (53, -6, 15),
    (-5, 5, 61), (9, 0, 62), (-8, 15, -11), (10, 16, -11), (-5, 49, 31), (9, 51, 30),
    (-5, 54, -7), (8, 52, -7), (-5, 37, -18), (8, 36, -18), (-35, 7, 3), (39, 6, 2),
    (-4, 35, 14), (8, 37, 16), (-5, -15, 42), (8, -9, 40), (-5, -43, 25), (7, -42, 22),
    (-25, -21, -10), (29, -20, -10), (-21, -16, -21), (25, -15, -20), (-23, -1, -17), (27, 1, -18),
    (-7, -79, 6), (16, -73, 9), (-6, -80, 27), (14, -79, 28), (-15, -68, -5), (16, -67, -4),
    (-17, -84, 28), (24, -81, 31), (-32, -81, 16), (37, -80, 19), (-36, -78, -8), (38, -82, -8),
    (-31, -40, -20), (34, -39, -20), (-42, -23, 49), (41, -25, 53), (-23, -60, 59), (26, -59, 62),
    (-43, -46, 47), (46, -46, 50), (-56, -34, 30), (58, -32, 34), (-44, -61, 36), (46, -60, 39),
    (-7, -56, 48), (10, -56, 44), (-8, -25, 70), (7, -32, 68), (-11, 11, 9), (15, 12, 9),
    (-24, 4, 2), (28, 5, 2), (-18, 0, 0), (21, 0, 0), (-11, -18, 8), (13, -18, 8),
    (-42, -19, 10), (46, -17, 10), (-53, -21, 7), (58, -22, 7), (-40, 15, -20), (48, 15, -17),
    (-56, -34, -2), (57, -37, -1), (-36, 15, -34), (44, 15, -32), (-50, -28, -23), (54, -31, -22),
)  # fmt: skip
"""(x, y, z) in mm: to the right, to the front and up; in the order of `AAL90`."""

_PLACE = dict(zip(AAL90, AAL90_XYZ, strict=True))


def aal_xyz(labels: Sequence[str]) -> NDArray[np.float64]:
    """Centres of regions by their names.

    Parameters
    ----------
    labels : sequence of str
        As in `AAL90`.

    Returns
    -------
    (region, axis) float64, mm
        NaN for a name that is not of the atlas.
    """
    nowhere = (np.nan,) * 3
    return np.array([_PLACE.get(str(name), nowhere) for name in labels], np.float64).reshape(-1, 3)
