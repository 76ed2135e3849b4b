"""An ensemble of one network: members share the wiring and differ in hyper-parameters and noise.

A neuron's parameter is `theta_i = h_v gamma_i`: the hyper-parameter h of its voxel, which the
filter estimates, times a factor drawn once from Gamma(shape, rate = shape), which all members share
(Lu et al. 2024, hierarchical mesoscale data assimilation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dtbdask.assim.hyper import Fixed, Hyper
from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.sim.session import Session

Floats = NDArray[np.float64]

LOOKS = 10
"""Looks at the BOLD signal in a frame, at most, of which its mean over the frame is taken."""


@dataclass(frozen=True)
class Forecast:
    """What the members look like at the end of a frame.

    Attributes
    ----------
    bold : (member, voxel) float64
        At the end of the frame, or its mean over the frame.
    balloon : (member, voxel, 4) float64
        s in 1/s, f, v, q.
    rate : (member, voxel) float64, Hz
        Mean over the frame.
    """

    bold: Floats
    balloon: Floats
    rate: Floats


class Ensemble:
    """Members of a network, advanced frame by frame.

    Parameters
    ----------
    network : Network
    client : distributed.Client or None
        Cluster to divide the members among; None runs them in this process.
    parameters : sequence of str
        Hyper-parameters, one value for each voxel; see `dtbdask.assim.hyper`.
    members : int
        At least two.
    tr_s : float
        Length of a frame, s.
    seed : int
        Of the noise. The factors of the neurons belong to the network and follow its own seed.
    gamma_shape : float or None
        Shape of the neurons' factors; None leaves all neurons of a voxel alike.
    window : {"last", "mean"}
        What is observed of a frame: BOLD of its last millisecond, or the mean of evenly spaced
        looks, at most `LOOKS`, as of a scanner that acquires all the time.
    voxels : sequence of str or int, optional
        Voxels whose hyper-parameters are set; by default all.
    fixed : Fixed, optional
        Hyper-parameters that are set once.
    device : {"auto", "cpu", "cuda"}
    threads : int
        Of this process, or of each worker, on the CPU.
    """

    def __init__(
        self, network: Network, client: Any = None, *, parameters: tuple[str, ...], members: int,
        tr_s: float, seed: int, gamma_shape: float | None, window: str = "last",
        voxels: Sequence[str | int] | None = None, fixed: Fixed | None = None,
        device: str = "auto", threads: int = 1,
    ) -> None:  # fmt: skip
        if members < 2:
            raise InputError(f"members is {members}; an ensemble needs 2 at least")
        if window not in ("last", "mean"):
            raise InputError(f"window is {window!r}; use 'last' or 'mean'")
        self.parameters, self.members = parameters, members
        self._rates = VoxelRates(network, tr_s)
        self._n_voxels = len(network.labels)
        self._hyper = Hyper(network, parameters, gamma_shape, voxels)
        self._network, self._fixed = network, fixed
        self._looks = looks_of(tr_s) if window == "mean" else 1
        self.session = Session(
            network, client, seed=seed, members=members, tr_s=tr_s / self._looks, device=device,
            threads=threads,
        )  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """Give a session that begins what does not change."""
        try:
            if self._fixed is not None:
                self._fixed.put(self._network, self.session)
            self._hyper.begin(self.session)
        except BaseException:
            self.session.close()
            raise

    def put(self, h: Floats) -> None:
        """Set the hyper-parameters.

        Parameters
        ----------
        h : (member, parameter, voxel) float64
            In the unit of each parameter.
        """
        shape = (self.members, len(self.parameters), self._n_voxels)
        if h.shape != shape:
            raise InputError(
                f"h has shape {h.shape}; expected (member, parameter, voxel) = {shape}"
            )
        self._hyper.put(self.session, h)

    def put_balloon(self, balloon: Floats) -> None:
        """Replace the haemodynamic states: (member, voxel, 4) float64."""
        self.session.put_balloon(np.moveaxis(balloon, -1, 0))

    def forecast(self) -> Forecast:
        """Advance all members by one frame."""
        window = self.session.advance(self.session.frame_steps * self._looks, summed=True)
        return Forecast(
            bold=window.bold[-self._looks :].mean(axis=0),
            balloon=np.moveaxis(self.session.balloon(), 0, -1),
            rate=self._rates(window.spike_count[0]),
        )

    def close(self) -> None:
        """End the session."""
        self.session.close()

    def __enter__(self) -> Self:
        """Use as a context: closed at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class VoxelRates:
    """Mean rates of voxels, from the spikes of populations in some time.

    Parameters
    ----------
    network : Network
    seconds : float
    """

    def __init__(self, network: Network, seconds: float) -> None:
        table = network.populations
        at, n = np.arange(table.size.size), len(network.labels)
        self._into = csr_array((np.ones(at.size), (table.voxel, at)), shape=(n, at.size))
        self._neuron_seconds = (self._into @ table.size) * seconds

    def __call__(self, spikes: NDArray[np.int64]) -> Floats:
        """Rates of (member, population) spikes: (member, voxel) float64, Hz."""
        rates: Floats = (self._into @ spikes.T).T / self._neuron_seconds
        return rates


def looks_of(tr_s: float, dt_ms: float = 1.0) -> int:
    """Looks at BOLD in a frame: as many as divide its steps, at most `LOOKS`."""
    steps = round(tr_s * 1000 / dt_ms)
    return max(n for n in range(1, LOOKS + 1) if steps % n == 0)


def spread_between(
    bounds: Mapping[str, tuple[float, float]], members: int, voxels: int, seed: int,
    start: str = "log",
) -> Floats:  # fmt: skip
    """Prior hyper-parameters: members evenly spread between the bounds.

    Each voxel and parameter has its own order of the members, so that voxels are independent.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
    members, voxels, seed : int
    start : {"log", "middle"}
        Evenly in the logarithm; or, as DTB does, evenly over the middle third, from the
        third-point of the bounds to the next.

    Returns
    -------
    (member, parameter, voxel) float64
    """
    from dtbdask import rng

    if start not in ("log", "middle"):
        raise InputError(f"start is {start!r}; use 'log' or 'middle'")
    h = np.empty((members, len(bounds), voxels))
    place = (np.arange(members) + 0.5) / members
    for index, (low, high) in enumerate(bounds.values()):
        values = low * (high / low) ** place
        if start == "middle":
            values = low + (high - low) * (1 + np.linspace(0, 1, members)) / 3
        for voxel in range(voxels):
            order = rng.generator(seed, "prior", index, voxel).permutation(members)
            h[:, index, voxel] = values[order]
    return h
