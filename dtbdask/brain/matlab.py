"""Reading MATLAB files, of version 5 to 7 and of version 7.3, by the names of their variables.

The same variables make the same brain whichever version they were saved in. Known are DTB's regions
(`net_sum`, `roi_grey`, ...), DTB's voxels (see `dtbdask.brain.dtb_voxels`) and the names of
`dtbdask.brain.contract.BRAIN`, with `tr_s`, the repetition time of BOLD in s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.io

from dtbdask.brain import dtb_voxels, mat73
from dtbdask.brain.aal import AAL90
from dtbdask.brain.contract import BRAIN, MATRICES, Reading
from dtbdask.brain.guard import decoding, digest, head, listed, refuse_bomb
from dtbdask.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DTB_TR_S = 0.8
"""Repetition time, s, that DTB assumes for the 90-region file, which does not state it."""

DTB_KEYS = {
    "net_sum": "connection",
    "roi_grey": "grey_matter",
    "roi_rest_state": "bold_rest",
    "roi_task_evaulation_reward": "bold_task",
}
"""Keys of the 90-region file of DTB (the misspelling is the file's) and our names."""

_NUMERIC = (
    "double",
    "single",
    "logical",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def read_mat(path: Path) -> Reading:
    """Read a connectome from a MATLAB file of any version.

    Parameters
    ----------
    path : path

    Returns
    -------
    Reading

    Raises
    ------
    InputFileError
        No MATLAB file, damaged, dangerous, too large, or without a connectome.
    MissingDependencyError
        It is of version 7.3 and h5py is not installed.
    """
    file = _Mat73(path) if _is_hdf5(path, head(path, 520)) else _Mat5(path)
    names = file.names()
    if any(name in names for name in dtb_voxels.MATRICES):
        return _voxels(path, file, names)
    if "connection" in names:
        return _ours(path, file, names)
    required = ("net_sum", "roi_grey")
    if missing := [name for name in required if name not in names]:
        raise InputFileError(
            f"{path}: lacks {listed(missing)}; needed are {listed(required)}, or DTB's voxels "
            "('dti_net_full', 'dti_grey_matter'), or our names ('connection', 'grey_matter'); "
            f"found are {listed(names)}"
        )
    return _regions(path, file, names)


class _Mat5:
    """A file of version 5 to 7, whose variables are read whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        with decoding(self.path, "a MATLAB 5 file"):
            return [name for name, _, _ in scipy.io.whosmat(self.path)]

    def load(self, wanted: Sequence[str]) -> dict[str, Any]:
        return load_mat(self.path, wanted)


class _Mat73:
    """A file of version 7.3, whose large matrices stay in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        return mat73.names(self.path)

    def load(self, wanted: Sequence[str]) -> dict[str, Any]:
        return mat73.load(self.path, wanted, matrices=(*MATRICES, *dtb_voxels.MATRICES, "net_sum"))


def _is_hdf5(path: Path, start: bytes) -> bool:
    if start.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n" in start:
        return True
    if not start.startswith(b"MATLAB 5.0"):
        raise InputFileError(
            f"{path}: not a MATLAB 5 file: it starts with {start[:10]!r}, expected b'MATLAB 5.0', "
            "or b'MATLAB 7.3' for version 7.3"
        )
    return False


def _regions(path: Path, file: _Mat5 | _Mat73, names: Iterable[str]) -> Reading:
    """Make a reading of DTB's 90 regions: counts, grey matter, BOLD of rest and task."""
    found = file.load([key for key in DTB_KEYS if key in names])
    arrays = {DTB_KEYS[key]: values for key, values in found.items()}
    if "grey_matter" in arrays:
        arrays["grey_matter"] = _vector(arrays["grey_matter"])
    if arrays["connection"].shape[0] == len(AAL90):
        arrays["label"] = np.array(AAL90)
    time = {"tr_s": DTB_TR_S, "tr_known": False, "note": "TR assumed: the file does not state it"}
    attributes = {"source": f"DTB regions {path.name}", "sha256": digest(path), "licence": ""}
    return Reading(arrays, attributes, {name: dict(time) for name in arrays if "bold" in name})


def _voxels(path: Path, file: _Mat5 | _Mat73, names: Iterable[str]) -> Reading:
    """Make a reading of DTB's voxels."""
    fields = file.load([name for name in dtb_voxels.FIELDS if name in names])
    if not any(name in fields for name in dtb_voxels.MATRICES):
        raise InputFileError(f"{path}: the connection is empty")
    arrays, details = dtb_voxels.arrays_of(path, fields)
    attributes = {"source": f"DTB voxels {path.name}", "sha256": digest(path), "licence": ""}
    return Reading(arrays, attributes, details)


def _ours(path: Path, file: _Mat5 | _Mat73, names: Iterable[str]) -> Reading:
    """Make a reading of variables with the names of `BRAIN`."""
    arrays = file.load([name for name in (*BRAIN, "tr_s") if name in names])
    tr_s = arrays.pop("tr_s", None)
    for name in [name for name in arrays if BRAIN[name].dims == ("voxel",)]:
        arrays[name] = _vector(arrays[name])
    if "is_cortex" in arrays:
        arrays["is_cortex"] = arrays["is_cortex"] != 0  # MATLAB stores a logical as 0 and 1
    for name in [name for name in ("label", "region") if name in arrays]:
        numbers = arrays[name].dtype.kind in "iuf"
        names = np.char.mod("%.15g", arrays[name]) if numbers else np.char.rstrip(arrays[name])
        arrays[name] = names  # MATLAB fills rows of text up with blanks
    time = {} if tr_s is None else {"tr_s": float(tr_s.ravel()[0]) if tr_s.size == 1 else tr_s}
    attributes = {"source": path.name, "sha256": digest(path), "licence": ""}
    return Reading(arrays, attributes, {name: dict(time) for name in arrays if "bold" in name})


def _vector(values: NDArray[Any]) -> NDArray[Any]:
    return values.ravel() if 1 in values.shape else values


def load_mat(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Load named numeric variables of a MATLAB 5 file after looking at their sizes.

    Parameters
    ----------
    path : path
        The file.
    required, optional : sequence of str
        Variables that must and may be there; any other is left alone.

    Returns
    -------
    dict of str to ndarray
        The variables found, as stored.

    Raises
    ------
    InputFileError
        No MATLAB 5 file, damaged, too large, or short of a required variable.
    """
    if _is_hdf5(path, head(path, 520)):
        raise InputFileError(f"{path}: MATLAB v7.3, expected version 5 to 7: save(file, '-v7')")
    with decoding(path, "a MATLAB 5 file"):
        listing = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        if missing := [name for name in required if name not in listing]:
            raise InputFileError(
                f"{path}: lacks {listed(missing)}; needed are {listed(required)}, "
                f"found are {listed(listing)}"
            )
        wanted = [name for name in (*required, *optional) if name in listing]
        for name in wanted:
            text = name in ("label", "region") and listing[name][1] == "char"
            if listing[name][1] not in _NUMERIC and not text:
                raise InputFileError(
                    f"{path}: {name!r} is of MATLAB class {listing[name][1]!r}; expected a full "
                    "numeric matrix (in MATLAB: full(double(x)))"
                )
        unpacked = sum(8 * math.prod(map(int, listing[name][0])) for name in wanted)
        refuse_bomb(path, unpacked, path.stat().st_size)
        loaded = scipy.io.loadmat(path, variable_names=wanted)
        return {name: np.asarray(loaded[name]) for name in wanted}
