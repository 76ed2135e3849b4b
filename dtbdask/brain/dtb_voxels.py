"""Voxel archives of DTB: its names for arrays, and ours.

Three kinds are about, which share most names: MATLAB files of the whole brain (`dti_net_full`,
`dti_xyz`, `dti_aal_label`, ...), those of the psychiatry cohort on the Shen atlas (`dti_net_full`,
`grey_matter_size`, `atlas_region`, ...), and `whole_brain_voxel_info.npz` (`conn_prob`,
`block_size`, `divide_point`, `aal_region`, `rest_bold`).

None states its repetition time, which is the 0.8 s that DTB assumes, or, of a file on the Shen
atlas, the 2.2 s of its cohort. Arrays that lie along voxels are turned so that voxels come where
ours have them, whichever way they are stored. The matrix is taken as MATLAB shows it, row = target;
DTB's scripts use it as h5py shows it, which is the transpose and, for counts that are symmetric to
within noise, next to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.aal import AAL92, is_cortex
from dtbdask.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MATRICES = ("dti_net_full", "conn_prob")
"""Names of the connection; one of them marks a file as such an archive."""

NAMES = {
    "connection": MATRICES,
    "grey_matter": ("dti_grey_matter", "grey_matter_size", "block_size"),
    "xyz": ("dti_xyz",),
    "bold_rest": ("Resting_state", "dti_rest_state", "rest_state_bold", "rest_bold"),
    "bold_task": ("MID_task_bold", "SST_task_bold", "Visual_Task_run1", "Auditory_Task_run1"),
}
"""Our names and DTB's, of which the first that a file has is taken."""

MARKS = (
    "dti_aal_label", "aal_region", "dti_brainPart_label", "divide_point",
    "atlas_region", "uni_region", "is_cortex", "voxel_label",
)  # fmt: skip
"""What DTB says of regions and voxels."""

FIELDS = (*(name for names in NAMES.values() for name in names), *MARKS)
"""All that is read of such a file; the rest is left alone."""

TR_S, TR_SHEN_S = 0.8, 2.2
"""Repetition times, s, that files do not state: assumed by DTB, and of the psychiatry cohort."""

CORTEX_PART = 200
"""Value of `dti_brainPart_label` for cortex; subcortex, brain stem and cerebellum have others."""


def arrays_of(
    path: Path, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Arrays by our names, and what there is to say of them.

    Parameters
    ----------
    path : path
        For messages.
    fields : mapping
        By DTB's names, those of `FIELDS` that the file has.

    Returns
    -------
    arrays : dict
    details : dict of dict
        Attributes of single arrays.

    Raises
    ------
    InputFileError
        A label is out of range, or lengths do not fit.
    """
    chosen = {
        ours: next(name for name in theirs if name in fields)
        for ours, theirs in NAMES.items()
        if any(name in fields for name in theirs)
    }
    arrays = {ours: fields[name] for ours, name in chosen.items()}
    details: dict[str, dict[str, Any]] = {}
    if arrays["connection"].ndim != 2:
        return {"connection": arrays["connection"]}, details
    n = arrays["connection"].shape[0]
    if "grey_matter" in arrays:
        arrays["grey_matter"] = _vector(arrays["grey_matter"])
    if "xyz" in arrays and arrays["xyz"].shape == (3, n):
        arrays["xyz"] = arrays["xyz"].T
    for name in [name for name in ("bold_rest", "bold_task") if name in arrays]:
        if arrays[name].ndim == 2 and arrays[name].shape[0] == n != arrays[name].shape[1]:
            arrays[name] = arrays[name].T
        details[name] = _bold_details(chosen[name], fields)
    if "conn_prob" in fields:
        details["connection"] = {"units": "1", "note": "shares of fibres, as the file has them"}
    regions, notes = _regions(path, fields, n)
    return arrays | regions, details | notes


def _bold_details(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    shen = "atlas_region" in fields
    note = f"{name}; TR assumed: the file does not state it"
    others = [other for other in NAMES["bold_task"] if other in fields and other != name]
    if name in NAMES["bold_task"] and others:
        note += f"; the file also has {', '.join(others)}"
    return {"tr_s": TR_SHEN_S if shen else TR_S, "tr_known": False, "note": note}


def _regions(
    path: Path, fields: Mapping[str, Any], n: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Region of each voxel, whether it is cortex, and its name if the file numbers voxels."""
    marks = {name: _vector(fields[name]) for name in MARKS if name in fields}
    along = [name for name in MARKS if name in marks and name not in ("uni_region", "divide_point")]
    for name in along:
        short = name == "is_cortex" and "atlas_region" in marks  # one a region, not one a voxel
        if marks[name].size != n and not short:
            raise InputFileError(
                f"{path}: {name!r} has {marks[name].size:,} values for {n:,} voxels"
            )
    arrays: dict[str, Any] = {}
    notes: dict[str, dict[str, Any]] = {}
    if "atlas_region" in marks:
        arrays["region"] = _whole(path, "atlas_region", marks["atlas_region"]).astype(str)
    aal = _aal(path, marks)
    if aal is not None:
        arrays["region"] = np.array(AAL92)[aal - 1]
    cortex, note = _cortex(path, marks, aal, n)
    if cortex is not None:
        arrays["is_cortex"] = cortex
        notes["is_cortex"] = {"note": note}
    if "voxel_label" in marks:
        arrays["label"] = _whole(path, "voxel_label", marks["voxel_label"]).astype(str)
    return arrays, notes


def _aal(path: Path, marks: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    """Number of the AAL region of each voxel, from 1.

    `dti_aal_label` counts from 1; `aal_region` does from 0 where a 0 occurs, else from 1.
    """
    name = next((name for name in ("dti_aal_label", "aal_region") if name in marks), None)
    if name is None:
        return None
    number = _whole(path, name, marks[name])
    if name == "aal_region" and number.min() == 0:
        number = number + 1
    wrong = np.flatnonzero((number < 1) | (number > len(AAL92)))
    if wrong.size:
        raise InputFileError(
            f"{path}: {name}[{wrong[0]}] is {marks[name][wrong[0]]:g}; expected the number of an "
            f"AAL region, 1 to {len(AAL92)}"
        )
    return number


def _cortex(
    path: Path, marks: Mapping[str, NDArray[Any]], aal: NDArray[np.int64] | None, n: int
) -> tuple[NDArray[np.bool_] | None, str]:
    """Which voxels are cortex, by the first thing in the file that tells it, and what that is."""
    if "divide_point" in marks:
        point = _whole(path, "divide_point", marks["divide_point"])
        if point.size != 1 or not 0 <= point[0] <= n:
            raise InputFileError(f"{path}: divide_point is {point}; expected one from 0 to {n:,}")
        return np.arange(n) < point[0], "the first divide_point voxels"
    if "dti_brainPart_label" in marks:
        part = np.asarray(marks["dti_brainPart_label"] == CORTEX_PART)
        return part, f"dti_brainPart_label = {CORTEX_PART}"
    if "is_cortex" in marks:
        return _of_voxels(path, marks, n), "is_cortex of the file"
    if aal is not None:
        return is_cortex(aal), "from the AAL region: grey nuclei, hippocampus and amygdala are not"
    return None, ""


def _of_voxels(path: Path, marks: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.bool_]:
    """`is_cortex` of the voxels, where it is given for the regions that `uni_region` lists."""
    cortex = np.asarray(marks["is_cortex"] != 0)
    if cortex.size == n:
        return cortex
    region = marks["atlas_region"]
    listed = marks.get("uni_region", np.unique(region))
    place = np.searchsorted(np.sort(listed), region).clip(max=listed.size - 1)
    order = np.argsort(listed)
    if cortex.size != listed.size or (listed[order][place] != region).any():
        raise InputFileError(
            f"{path}: 'is_cortex' has {cortex.size:,} values; expected one for each of the {n:,} "
            f"voxels, or for each of the {listed.size:,} regions, which must have all voxels"
        )
    return np.asarray(cortex[order][place])


def _whole(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    number = np.asarray(values, dtype=np.float64)
    broken = ~np.isfinite(number) | (number != np.rint(number))
    if broken.any():
        raise InputFileError(f"{path}: {name!r} holds {number[broken][0]}; expected whole numbers")
    return number.astype(np.int64)


def _vector(values: NDArray[Any]) -> NDArray[Any]:
    return values.ravel() if values.ndim < 2 or 1 in values.shape else values
