"""From a connectome of regions to one of voxels: a rule, for tractography that stops at regions.

It adds no knowledge: between regions all voxel pairs are alike but for grey matter, and within a
region nearness decides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.distance import cdist

from dtbdask.brain.contract import Reading, assemble, validate_connectome
from dtbdask.brain.guard import listed
from dtbdask.brain.rows import lazy
from dtbdask.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def expand(
    regions: xr.Dataset, voxels: xr.Dataset, *, within: float = 0.5, length_mm: float = 10.0
) -> xr.Dataset:
    r"""Make a connectome of voxels from one of regions.

    Voxel i of region R hears voxel j of another region S with the weight

    .. math:: C_{ij} = W_{RS}\, g_j / \sum_{k \in S} g_k,

    so that each voxel of R hears all of S as R does. Within its region it hears

    .. math:: C_{ij} = o_R\, e^{-d_{ij} / \ell} / \sum_{k \in R, k \ne i} e^{-d_{ik} / \ell},
              \quad C_{ii} = 0,

    with d the distance. Where W has a diagonal, :math:`o_R = W_{RR}`; where that is zero
    throughout, :math:`o_R` is such that it is the share `within` of the row. A voxel alone in its
    region hears no more than the other regions.

    Parameters
    ----------
    regions : xarray.Dataset
        A brain of regions: W is its `connection`. Its BOLD is left behind.
    voxels : xarray.Dataset
        From `dtbdask.brain.volume.read_volume`: `region` (voxel) str, labels of `regions`;
        `grey_matter` g (voxel) float, 1; `xyz` (voxel, axis) float, mm; optionally `is_cortex`
        (voxel) bool, else taken from the regions where they have it.
    within : float
        Share, from 0 and below 1, of what a voxel hears that comes from its own region; of use
        only where W has no diagonal. The default is a convention, not a measurement.
    length_mm : float
        Length over which weights within a region fall by e, mm. Likewise.

    Returns
    -------
    xarray.Dataset
        A brain of voxels, whose `connection` is a Dask array of float32 in chunks of rows, made
        when it is wanted and nowhere held whole. `tract_length`, if the regions have it, is that of
        the regions of a pair, and the distance within a region. See
        `dtbdask.brain.connectome.read_connectome`.

    Raises
    ------
    InputError
        A region has no voxels, a voxel no region, or a region no grey matter, all listed; or a
        number is out of range.
    """
    if not 0 <= within < 1:
        raise InputError(f"within is {within}; expected a share from 0 and below 1")
    if not (np.isfinite(length_mm) and length_mm > 0):
        raise InputError(f"length_mm is {length_mm}; expected a length above 0")
    if lack := [name for name in ("region", "grey_matter", "xyz") if name not in voxels.variables]:
        raise InputError(f"voxels lack {lack}; get them with read_volume")
    regions = validate_connectome(regions)
    region = _places(regions, voxels)
    grey, xyz = (voxels[name].to_numpy().astype(np.float64) for name in ("grey_matter", "xyz"))
    rows = _rows(regions, region, grey, xyz, within, length_mm)
    shape = (region.size, region.size)
    arrays: dict[str, Any] = {
        "connection": lazy(rows, shape, np.float32),
        "grey_matter": grey,
        "region": regions["label"].to_numpy()[region],
        "xyz": xyz,
    }
    if "label" in voxels.variables:
        arrays["label"] = voxels["label"].to_numpy().astype(str)
    if "tract_length" in regions:
        length = regions["tract_length"].to_numpy().astype(np.float32)
        arrays["tract_length"] = lazy(_Lengths(length, region, xyz), shape, np.float32)
    if "is_cortex" in voxels:
        arrays["is_cortex"] = voxels["is_cortex"].to_numpy()
    elif "is_cortex" in regions:
        arrays["is_cortex"] = regions["is_cortex"].to_numpy()[region]
    note = f"expanded from regions, within={within:g}, length_mm={length_mm:g}"
    return assemble(
        Reading(arrays, _attributes(regions, voxels, note), {"connection": {"note": note}})
    )


def _places(regions: xr.Dataset, voxels: xr.Dataset) -> Ints:
    """Row in the connectome of the region of each voxel."""
    labels = regions["label"].to_numpy()
    names, inverse = np.unique(voxels["region"].to_numpy().astype(str), return_inverse=True)
    known = {str(label): row for row, label in enumerate(labels)}
    wrong = []
    if empty := [name for name in known if name not in set(names.tolist())]:
        wrong.append(f"{len(empty)} regions of the connectome have no voxels: {listed(empty)}")
    if lost := [name for name in names.tolist() if name not in known]:
        wrong.append(f"{len(lost)} regions of voxels are not in the connectome: {listed(lost)}")
    if wrong:
        raise InputError("; ".join(wrong))
    return np.array([known[name] for name in names.tolist()])[inverse]


def _rows(
    regions: xr.Dataset, region: Ints, grey: Floats, xyz: Floats, within: float, length_mm: float
) -> _Weights:
    weight = regions["connection"].to_numpy().astype(np.float64)
    own = np.diag(weight).copy()
    np.fill_diagonal(weight, 0.0)
    if not own.any():
        own = within / (1 - within) * weight.sum(axis=1)
    if not (np.isfinite(grey) & (grey >= 0)).all():
        raise InputError("grey_matter of the voxels must be finite and not negative")
    total = np.bincount(region, grey, minlength=len(own))
    if (total == 0).any():
        bare = regions["label"].to_numpy()[total == 0].tolist()
        raise InputError(f"{len(bare)} regions have no grey matter in their voxels: {listed(bare)}")
    share = (grey / total[region]).astype(np.float32)
    return _Weights(weight.astype(np.float32), own, region, share, xyz, float(length_mm))


def _attributes(regions: xr.Dataset, voxels: xr.Dataset, note: str) -> dict[str, Any]:
    parts = [str(part.attrs.get("sha256", "")) for part in (regions, voxels)]
    source = f"{regions.attrs['source']} in the voxels of {voxels.attrs.get('source', 'a volume')}"
    return {
        "source": source,
        "sha256": hashlib.sha256(" ".join([*parts, note]).encode()).hexdigest(),
        "licence": str(regions.attrs.get("licence", "")),
    }


@dataclass(frozen=True)
class _Weights:
    """Rows of the connection of voxels."""

    weight: NDArray[np.float32]
    """(region, region), without its diagonal."""
    own: Floats
    """(region,), what its voxels hear of their own."""
    region: Ints
    """(voxel,)"""
    share: NDArray[np.float32]
    """(voxel,), of the grey matter of its region."""
    xyz: Floats
    length_mm: float

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        block = np.empty((stop - start, self.region.size), np.float32)
        for r in np.unique(self.region[start:stop]):
            here = np.flatnonzero(self.region[start:stop] == r)
            block[here] = self.weight[r, self.region] * self.share
            members = np.flatnonzero(self.region == r)
            if members.size > 1:
                block[np.ix_(here, members)] = self._near(start + here, members) * self.own[r]
        return block

    def _near(self, target: Ints, source: Ints) -> Floats:
        """Shares of the voxels of a region, by distance; each row sums to one."""
        distance = cdist(self.xyz[target], self.xyz[source])
        distance[target[:, None] == source] = np.inf
        distance -= distance.min(axis=1, keepdims=True)
        near = np.exp(-distance / self.length_mm)
        near /= near.sum(axis=1, keepdims=True)
        return np.asarray(near)


@dataclass(frozen=True)
class _Lengths:
    """Rows of the tract lengths of voxels."""

    length: NDArray[np.float32]
    """(region, region), mm"""
    region: Ints
    xyz: Floats

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        block = np.empty((stop - start, self.region.size), np.float32)
        for r in np.unique(self.region[start:stop]):
            here = np.flatnonzero(self.region[start:stop] == r)
            block[here] = self.length[r, self.region]
            members = np.flatnonzero(self.region == r)
            block[np.ix_(here, members)] = cdist(self.xyz[start + here], self.xyz[members])
        return block
