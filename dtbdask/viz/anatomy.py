"""Where regions lie and which colour each has: the same in every picture.

The colour is that of the lobe, of Okabe and Ito (2008): more colours than eight cannot be told
apart by every eye. Regions of atlases whose names tell no lobe take one by their name.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.aal_xyz import aal_xyz
from dtbdask.errors import InputError
from dtbdask.viz.regions import region_names
from dtbdask.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

LOBES = {
    "Frontal": ("blue", ("Precentral", "Frontal", "Rolandic", "Supp_Motor", "Olfactory", "Rectus",
                         "OFC", "Paracentral")),
    "Limbic": ("purple", ("Insula", "Cingul", "Hippocampus", "ParaHippocampal", "Amygdala")),
    "Occipital": ("green", ("Calcarine", "Cuneus", "Lingual", "Occipital")),
    "Parietal": ("orange", ("Postcentral", "Parietal", "SupraMarginal", "Angular", "Precuneus")),
    "Subcortical": ("black", ("Caudate", "Putamen", "Pallidum", "Thalamus", "Nucleus")),
    "Temporal": ("vermilion", ("Heschl", "Temporal", "Fusiform")),
}  # fmt: skip
"""Colour of each lobe, and how the names of its regions begin in the AAL atlas."""

OTHER = "Other"


def lobe(name: str) -> str:
    """Lobe of a region of the AAL atlas by its name, or "Other"."""
    found = (key for key, (_, heads) in LOBES.items() if name.startswith(heads))
    return next(found, OTHER)


def region_colours(names: Sequence[str]) -> list[str]:
    """Colour of each region, as #rrggbb.

    Parameters
    ----------
    names : sequence of str
        Of those in a picture: the colour of one does not depend on the others.
    """
    cycle = list(OKABE_ITO.values())
    of_lobe = {key: OKABE_ITO[colour] for key, (colour, _) in LOBES.items()}
    return [
        of_lobe.get(lobe(name), cycle[zlib.crc32(name.encode()) % len(cycle)]) for name in names
    ]


def region_xyz(brain: xr.Dataset) -> NDArray[np.float64]:
    """Coordinates of the regions of a brain: its own, else those of its names in the AAL atlas.

    Parameters
    ----------
    brain : xarray.Dataset
        `xyz` (voxel, axis) float, mm, or names of regions.

    Returns
    -------
    (voxel, axis) float64, mm
        From left to right, from back to front, from below to above; NaN where nobody knows.

    Raises
    ------
    InputError
        Not one region has coordinates.
    """
    if "xyz" in brain:
        return np.asarray(brain["xyz"].transpose("voxel", ...).values, np.float64)
    names = region_names(brain)
    xyz = aal_xyz(names)
    if np.isnan(xyz).all():
        raise InputError(f"nobody knows where {names[0]!r} ... lie; give xyz (voxel, axis) in mm")
    return xyz
