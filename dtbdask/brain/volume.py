"""Voxels of a labelled brain image (NIfTI): where they lie, in which region, how much grey matter.

An image says which voxels there are, not how they are joined; `dtbdask.brain.expansion.expand`
joins them by the connectome of their regions.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from dtbdask.brain.guard import SMALL, decoding, digest, head
from dtbdask.errors import InputError, InputFileError, MissingDependencyError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

VOLUME_LIMIT = 2**27
"""Voxels of an image that is read: 512 along each edge."""

_MILLIMETRES = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}


def read_volume(
    labels: str | os.PathLike[str],
    grey_matter: str | os.PathLike[str] | None = None,
    *,
    names: Mapping[int, str] | None = None,
) -> xr.Dataset:
    """Read the voxels of a label image.

    Parameters
    ----------
    labels : path
        NIfTI image (`.nii`, `.nii.gz`) of the number of the region of each voxel; those of 0 lie
        outside and are left out.
    grey_matter : path, optional
        NIfTI image on the same grid: grey matter of each voxel, not negative. Without it, it is 1
        everywhere, which its attribute `note` says.
    names : mapping of int to str, optional
        Name of each region by its number; by default the number itself.

    Returns
    -------
    xarray.Dataset
        `region` (voxel) str; `grey_matter` (voxel) float64, 1; `xyz` (voxel, axis) float64, mm, by
        the affine of the image; `index` (voxel, axis) int64, in the image; coordinate `label`
        (voxel) str, region and number. The last axis of the image runs fastest.

    Raises
    ------
    InputFileError
        An image is missing, damaged, too large or of another kind.
    InputError
        A number has no name, or no voxel is labelled.
    MissingDependencyError
        nibabel is not installed.
    """
    path = Path(labels)
    image, affine, unit = _image(path)
    index = np.argwhere(image != 0)
    number = image[tuple(index.T)]
    if not (np.isfinite(number) & (number == np.rint(number)) & (number > 0)).all():
        wrong = number[~(np.isfinite(number) & (number == np.rint(number)) & (number > 0))][0]
        raise InputFileError(f"{path}: a voxel has label {wrong}; expected whole numbers from 0")
    if not len(index):
        raise InputError(f"{path}: no voxel has a label above 0")
    region = _named(path, number.astype(np.int64), names)
    grey, note = np.ones(len(index)), {"note": "uniform: no image of grey matter was given"}
    digests = [path]
    if grey_matter is not None:
        digests.append(Path(grey_matter))
        grey, note = _grey(Path(grey_matter), image.shape, affine)[tuple(index.T)], {}
    xyz = (index @ affine[:3, :3].T + affine[:3, 3]) * _MILLIMETRES[unit]
    told = {"note": "the image does not state its unit; taken for mm"} if unit == "unknown" else {}
    return xr.Dataset(
        {
            "region": ("voxel", region, {"long_name": "name of the region the voxel lies in"}),
            "grey_matter": ("voxel", grey, {"long_name": "grey matter", "units": "1", **note}),
            "xyz": (("voxel", "axis"), xyz, {"long_name": "centre", "units": "mm", **told}),
            "index": (("voxel", "axis"), index, {"long_name": "index in the image"}),
        },
        coords={"label": ("voxel", _numbered(region))},
        attrs={"source": path.name, "sha256": digest(*digests), "licence": ""},
    )


def _image(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], str]:
    """Values (i, j, k), affine and spatial unit of an image."""
    try:
        import nibabel
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: NIfTI images are read by nibabel, which is not installed: "
            "pip install 'dtbdask[formats]'"
        ) from error
    head(path, 1)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputFileError(f"{path}: not a NIfTI image, whose name ends in .nii or .nii.gz")
    with decoding(path, "a NIfTI image"):
        _refuse_preface(path)
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise InputFileError(f"{path}: of type {type(image).__name__}; expected a NIfTI image")
        shape = tuple(int(length) for length in image.shape)
        if len(shape) == 4 and shape[3] == 1:
            shape = shape[:3]
        if len(shape) != 3 or not 0 < math.prod(shape) <= VOLUME_LIMIT:
            raise InputFileError(
                f"{path}: an image of shape {shape}; expected three dimensions and at most "
                f"{VOLUME_LIMIT:,} voxels"
            )
        affine = np.asarray(image.affine, dtype=np.float64)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise InputFileError(f"{path}: its affine does not place voxels in space: {affine}")
        values = np.asarray(image.dataobj).reshape(shape)
        if values.dtype.kind not in "iuf":
            raise InputFileError(f"{path}: has dtype {values.dtype}; expected real numbers")
        header: Any = image.header
        return values, affine, str(header.get_xyzt_units()[0])


def _refuse_preface(path: Path) -> None:
    """Refuse an image with much before its values, which would be read whole."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        start = file.read(176)
    offset = 0.0
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", start)
        if size == 348:  # NIfTI-1
            (offset,) = struct.unpack_from(order + "f", start, 108)
        elif size == 540:  # NIfTI-2
            (offset,) = struct.unpack_from(order + "q", start, 168)
    if not 0 <= offset <= SMALL:
        raise InputFileError(f"{path}: its values begin at byte {offset:g}; at most {SMALL:,} is")


def _grey(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey matter on the grid of the labels."""
    values, own, _ = _image(path)
    if values.shape != shape or not np.allclose(own, affine, atol=1e-3):
        raise InputFileError(
            f"{path}: has shape {values.shape}, the labels {shape}, or lies elsewhere; expected "
            "the same grid: resample it to the labels first"
        )
    return values.astype(np.float64)


def _named(
    path: Path, number: NDArray[np.int64], names: Mapping[int, str] | None
) -> NDArray[np.str_]:
    if names is None:
        return number.astype(str)
    found, place = np.unique(number, return_inverse=True)
    if lack := [int(n) for n in found if int(n) not in names]:
        raise InputError(f"{path}: names has none for the labels {lack[:20]} of its voxels")
    return np.array([str(names[int(n)]) for n in found])[place]


def _numbered(region: NDArray[np.str_]) -> list[str]:
    """Names of voxels: their region, and their number in it from 1."""
    count: dict[str, int] = {}
    names = []
    for name in region.tolist():
        count[name] = count.get(name, 0) + 1
        names.append(f"{name} {count[name]}")
    return names
