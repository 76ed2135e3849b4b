"""Checkpoints of a fit: the network's and, beside it, all that the filter knows.

The filter's is written first, in a file named by the step; what counts is the newest complete
checkpoint of the network, whose step says which file belongs to it. A fit that is resumed gives,
array for array, the posterior of one that was never interrupted.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.sim import checkpoint
from dtbdask.sim.moments import beside

if TYPE_CHECKING:
    from dtbdask.assim.fit import Fit

_NAME = re.compile(r"filter-\d+\.npz")


def keep(fit: Fit) -> None:
    """Write a checkpoint beside the posterior.

    Parameters
    ----------
    fit : Fit
    """
    folder = beside(fit.posterior.path)
    folder.mkdir(exist_ok=True)
    file = _file(folder, fit.ensemble.session.step)
    held: dict[str, Any] = {f"held/{name}": rows for name, _, rows in fit.posterior.rows()}
    written: dict[str, Any] = {
        f"written/{name}": np.array(n) for name, n, _ in fit.posterior.rows()
    }
    belief: dict[str, Any] = {f"belief/{name}": values for name, values in fit.belief.items()}
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        np.savez(out, frame=np.array(fit.frame), balloon=fit.balloon, **belief, **written, **held)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
    fit.ensemble.session.checkpoint(folder)
    whole = sorted(_steps(folder))[-2:]
    for old in folder.iterdir():
        if _NAME.fullmatch(old.name) and old.name not in {_file(folder, s).name for s in whole}:
            old.unlink()


def check_free(path: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds checkpoints of another fit, unless they may be replaced."""
    checkpoint.check_free(beside(path), overwrite=overwrite)


def discard(path: str | Path) -> None:
    """Remove the checkpoints of an earlier fit, so that none is taken for one of this."""
    folder = beside(path)
    for store in (folder / name for name in checkpoint.GENERATIONS):
        if schema.check_free(store, "checkpoint", overwrite=True):
            shutil.rmtree(store)
    for file in folder.glob("filter-*.npz"):
        if _NAME.fullmatch(file.name):
            file.unlink()


def put_back(fit: Fit) -> None:
    """Put a fit, as it begins, where its last checkpoint was.

    Parameters
    ----------
    fit : Fit

    Raises
    ------
    StoreError
        There is no complete checkpoint, or it is damaged.
    """
    folder = beside(fit.posterior.path)
    store = checkpoint.newest(folder)
    file = _file(folder, schema.read_root(store)["step"])
    kept = _read(file)
    fit.ensemble.session.restore(store)
    fit.frame = int(kept["frame"])
    fit.balloon = kept["balloon"]
    for name in fit.belief:
        fit.belief[name] = kept[f"belief/{name}"]
    for name in [name for name, _, _ in fit.posterior.rows()]:
        fit.posterior.cut(name, int(kept[f"written/{name}"]), kept[f"held/{name}"])


def _read(file: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a file of the filter, which is not compressed: no more than its size is read."""
    try:
        with zipfile.ZipFile(file) as archive:
            whole = sum(entry.file_size for entry in archive.infolist())
        if whole > file.stat().st_size:
            raise StoreError(f"{file}: damaged (its arrays announce {whole:,} bytes)")
        with np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except FileNotFoundError:
        raise StoreError(f"{file}: the filter's part of the checkpoint is missing") from None
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise StoreError(f"{file}: damaged ({error})") from error


def _file(folder: Path, step: int) -> Path:
    return folder / f"filter-{step}.npz"


def _steps(folder: Path) -> list[int]:
    return [int(file.stem.removeprefix("filter-")) for file in folder.glob("filter-*.npz")]
