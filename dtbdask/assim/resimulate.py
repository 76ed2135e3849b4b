"""Runs of a fitted brain that see no data: one network with the hyper-parameters of a posterior.

The trajectory h(t) of the fit is given to the network frame by frame, as in DTB; the neurons and
their noise are new. What comes out is compared with what was measured, or with the same run after a
lesion or under a stimulus: an experiment on the fitted brain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.assim.ensemble import VoxelRates, looks_of
from dtbdask.assim.evidence import free_run_scores
from dtbdask.assim.hyper import Fixed, Hyper
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.network import Network
from dtbdask.sim.session import Session
from dtbdask.sim.stimuli import Stimulus

Floats = NDArray[np.float64]


def resimulate(
    network: Network,
    posterior: xr.Dataset,
    client: Any = None,
    *,
    course: str = "smoothed",
    burn_in_frames: int = 8,
    stimuli: Sequence[Stimulus] = (),
    first: int = 0,
    seed: int = 1,
    device: str = "auto",
    threads: int = 1,
) -> xr.Dataset:
    """Run one network freely with the fitted hyper-parameters.

    Parameters
    ----------
    network : Network
        That of the fit; or another with the same voxels, larger, or lesioned.
    posterior : xarray.Dataset
        From `dtbdask.open_posterior`.
    client : distributed.Client, optional
        Cluster to divide the neurons among.
    course : {"smoothed", "filtered", "constant"}
        What is given: the mean of the members in each frame, smoothed where the fit has a `lag`, or
        as it was filtered; or the mean over all frames from `first` on, which does not change.
    burn_in_frames : int
        Frames run before with the hyper-parameters of the first.
    stimuli : sequence of Stimulus
        Given from the end of the burn-in on; their onsets count from there.
    first : int
        Frames before it are not scored.
    seed : int
        Of the noise, which should not be that of the fit.
    device : {"auto", "cpu", "cuda"}
    threads : int
        Of this process, or of each worker, on the CPU.

    Returns
    -------
    xarray.Dataset
        `bold` (frame, voxel) float64, `rate` (frame, voxel) float64, Hz, and `bold_observed`; the
        attribute `scores` has `r`, `rmse` and `fc_similarity`.

    Raises
    ------
    InputError
        The network has other voxels, or the course is unknown.
    """
    whole_number("burn_in_frames", burn_in_frames, 0)
    labels = [str(label) for label in posterior["voxel_label"].values]
    if labels != list(network.labels):
        raise InputError(
            f"posterior is of {len(labels)} voxels that are not those of the network, "
            f"{len(network.labels)}; give the network of the fit, or one with its voxels"
        )
    h, attrs = _course(posterior, course, first), posterior.attrs
    names = [str(name) for name in posterior["parameter"].values]
    hyper = Hyper(network, names, attrs["gamma_shape"], attrs["voxels"])
    looks = looks_of(attrs["tr_s"]) if attrs["window"] == "mean" else 1
    with Session(
        network, client, seed=seed, tr_s=attrs["tr_s"] / looks, device=device, threads=threads
    ) as session:
        if (kept := attrs["fixed"]) is not None:
            Fixed(kept["parameters"], kept["h"], kept["gamma_shape"]).put(network, session)
        hyper.begin(session)
        run = _Run(network, session, hyper, looks, attrs["tr_s"])
        with progress.track("Simulating", burn_in_frames + len(h), "frames") as done:
            for _ in range(burn_in_frames):
                run.frame(h[0])
                done(1)
            now = session.step * session.dt_ms
            session.stimulate(*(replace(one, onset_ms=one.onset_ms + now) for one in stimuli))
            frames = []
            for values in h:
                frames.append(run.frame(values))
                done(1)
    return _told(posterior, frames, course, first, seed)


class _Run:
    """A session that is led frame by frame."""

    def __init__(
        self, network: Network, session: Session, hyper: Hyper, looks: int, tr_s: float
    ) -> None:
        self._session, self._hyper, self._looks = session, hyper, looks
        self._rates = VoxelRates(network, tr_s)

    def frame(self, h: Floats) -> tuple[Floats, Floats]:
        """BOLD and rate of the voxels in a frame with these hyper-parameters."""
        self._hyper.put(self._session, h)
        window = self._session.advance(self._session.frame_steps * self._looks, summed=True)
        bold = window.bold[-self._looks :, 0].mean(axis=0)
        return bold, self._rates(window.spike_count[0])[0]


def _course(posterior: xr.Dataset, course: str, first: int) -> Floats:
    """Hyper-parameters by frame: (frame, parameter, voxel)."""
    if course not in ("smoothed", "filtered", "constant"):
        raise InputError(f"course is {course!r}; use 'smoothed', 'filtered' or 'constant'")
    smooth = course != "filtered" and "parameter_smoothed" in posterior
    name = "parameter_smoothed" if smooth else "parameter_value"
    h: Floats = posterior[name].mean("member").values
    if course == "constant":
        h = np.repeat(h[first:].mean(axis=0)[None], len(h), axis=0)
    return h


def _told(
    posterior: xr.Dataset, frames: list[tuple[Floats, Floats]], course: str, first: int, seed: int
) -> xr.Dataset:
    bold, rate = (np.array(column) for column in zip(*frames, strict=True))
    y = posterior["bold_observed"].values
    scores = free_run_scores(bold, y, first) if len(y) - first > 2 else {}
    return xr.Dataset(
        {
            "bold": (("frame", "voxel"), bold, {"units": "1"}),
            "rate": (("frame", "voxel"), rate, {"units": "Hz"}),
            "bold_observed": (("frame", "voxel"), y, {"units": "1"}),
        },
        coords={name: posterior.coords[name] for name in ("voxel_label", "time_s")},
        attrs={"scores": scores, "course": course, "seed": seed, "tr_s": posterior.attrs["tr_s"]},
    )
