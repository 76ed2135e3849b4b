"""Regions of the AAL atlas (Tzourio-Mazoyer et al. 2002) as DTB numbers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAIRS = (
    "Precentral", "Frontal_Sup", "Frontal_Sup_Orb", "Frontal_Mid", "Frontal_Mid_Orb",
    "Frontal_Inf_Oper", "Frontal_Inf_Tri", "Frontal_Inf_Orb", "Rolandic_Oper",
    "Supp_Motor_Area", "Olfactory", "Frontal_Sup_Medial", "Frontal_Med_Orb", "Rectus", "Insula",
    "Cingulum_Ant", "Cingulum_Mid", "Cingulum_Post", "Hippocampus", "ParaHippocampal",
    "Amygdala", "Calcarine", "Cuneus", "Lingual", "Occipital_Sup", "Occipital_Mid",
    "Occipital_Inf", "Fusiform", "Postcentral", "Parietal_Sup", "Parietal_Inf", "SupraMarginal",
    "Angular", "Precuneus", "Paracentral_Lobule", "Caudate", "Putamen", "Pallidum", "Thalamus",
    "Heschl", "Temporal_Sup", "Temporal_Pole_Sup", "Temporal_Mid", "Temporal_Pole_Mid",
    "Temporal_Inf",
)  # fmt: skip

AAL90 = tuple(f"{name}_{side}" for name in _PAIRS for side in "LR")
"""The 90 cerebral regions, left and right in turn; region 1 is the first."""

AAL92 = (*AAL90, "Nucleus_91", "Nucleus_92")
"""With the two nuclei that DTB appends: geniculate bodies in some files, subthalamic in others."""

SUBCORTICAL = (37, 38, 41, 42, *range(71, 79), 91, 92)
"""Numbers, from 1, of regions below the cortex: hippocampus, amygdala, caudate, putamen, pallidum,
thalamus and the appended nuclei."""


def is_cortex(number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether voxels are cortex, by the number of their region.

    Parameters
    ----------
    number : (voxel,) int
        From 1.

    Returns
    -------
    (voxel,) bool
    """
    return ~np.isin(number, SUBCORTICAL)
