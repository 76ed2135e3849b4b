"""What can be recorded, how often, and what it costs; nothing here runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.samples import choose_samples
from dtbdask.kernels import RECEPTORS
from dtbdask.kernels.cpu_observe import LIMIT
from dtbdask.sim.model import receptors

Ints = NDArray[np.int64]
Samples = ArrayLike | Mapping[str | int, int]

QUANTITIES = ("rate", "bold", "spikes", "v_mean", "current_mean", "receptor_current", "sample")
"""What can be recorded."""
MEANS = ("v_mean", "current_mean", "receptor_current")
"""Those that are means over the neurons of a population."""
SAMPLE = ("sample_v", "sample_current", "sample_background", "sample_spike")
"""Arrays of sampled neurons."""

ROWS = {"bold": 64, "spike_neuron": 1 << 20}
"""First dimension of a chunk; `STEPS`, or fewer, of the others."""
QUICK = ("spike_neuron",)
"""Arrays that take the least time to compress; the others take the least room."""
STEPS = 2000
LARGEST = 1 << 22
"""Values in a chunk of counts, means or samples, at most."""
WIDEST = 1000
"""Steps of a bin, and between two looks at samples, at most."""
MOST_BITS = 32
"""Binary places that a value is rounded to before it is summed, at most."""


@dataclass(frozen=True)
class Watch:
    """What a block looks at beside spikes; travels to the gangs.

    Attributes
    ----------
    row : (6,) int64
        Rows of the sums of V, synaptic current and current of each receptor, or -1.
    bits : int
        Binary places that values are rounded to.
    bin_steps : int
        Steps that a sum covers.
    sample : (sample,) int64
        Neurons to look at one by one.
    every : int
        Steps between two looks at them.
    """

    row: Ints
    bits: int
    bin_steps: int
    sample: Ints
    every: int

    @property
    def n_rows(self) -> int:
        """Number of sums."""
        return int(self.row.max()) + 1


@dataclass(frozen=True)
class Request:
    """What a run records.

    Attributes
    ----------
    record : tuple of str
        Of `QUANTITIES`.
    n_steps : int
        Of the run.
    bin_steps : int
        Steps over which spikes are summed and means are taken.
    binned : bool
        Whether spikes are counted by the bin.
    sample : (sample,) int64
        Neurons that are looked at one by one.
    every : int
        Steps between two looks at them.
    receptors : tuple of str
        Those that are on.
    """

    record: tuple[str, ...]
    n_steps: int
    bin_steps: int
    binned: bool
    sample: Ints
    every: int
    receptors: tuple[str, ...]

    @classmethod
    def make(
        cls, network: Network, record: tuple[str, ...], n_steps: int, dt_ms: float, *,
        bin_ms: float | None = None, samples: Samples | None = None,
        sample_every: float | None = None,
    ) -> Request:  # fmt: skip
        """Check what is asked for against the network and the length of the run.

        Parameters
        ----------
        network : Network
        record : tuple of str
        n_steps : int
        dt_ms : float
        bin_ms, samples, sample_every
            As of `dtbdask.sim.session.Session.run`.

        Raises
        ------
        InputError
            A name, a length or a neuron that does not fit, or an option without its quantity.
        """
        check_record(record)
        if bin_ms is not None and not {"rate", *MEANS} & set(record):
            raise InputError(f"bin_ms is {bin_ms}, but record is {record}: nothing in it has bins")
        if (samples is None) == ("sample" in record):
            raise InputError(
                f"record is {record} and samples is {samples!r}; give 'sample' and samples, or "
                "neither"
            )
        if sample_every is not None and samples is None:
            raise InputError(f"sample_every is {sample_every}, but samples is None; give both")
        bins = _stretch("bin_ms", bin_ms, dt_ms, n_steps)
        every = _stretch("sample_every", sample_every, dt_ms, n_steps)
        if math.lcm(bins, every) > WIDEST:
            raise InputError(
                f"bin_ms is {bin_ms} and sample_every is {sample_every}; they have no common "
                f"multiple of {WIDEST:,} steps or less"
            )
        sample = np.zeros(0, np.int64) if samples is None else choose_samples(network, samples)
        on = zip(RECEPTORS, receptors(network.parameters), strict=True)
        names = tuple(name for name, is_on in on if is_on)
        return cls(record, n_steps, bins, bin_ms is not None, sample, every, names)

    @classmethod
    def of_root(cls, root: Mapping[str, Any]) -> Request:
        """That of a recording, from its root attribute."""
        sample = np.array(root["sample"], np.int64)
        return cls(
            tuple(root["record"]), root["n_steps"], root["bin_steps"], root["binned"], sample,
            root["sample_steps"], tuple(root["receptors"]),
        )  # fmt: skip

    def window_steps(self, least: int) -> int:
        """Steps to advance at once: whole bins and looks, and at least so many."""
        step = math.lcm(self.bin_steps, self.every)
        return -(-least // step) * step

    def watch(self, network: Network) -> Watch | None:
        """What blocks look at, or None if nothing beside spikes is asked for."""
        rows: list[int] = []
        if "v_mean" in self.record:
            rows.append(0)
        if "current_mean" in self.record:
            rows.append(1)
        if "receptor_current" in self.record:
            rows += [2 + RECEPTORS.index(name) for name in self.receptors]
        if not rows and not self.sample.size:
            return None
        row = np.full(2 + len(RECEPTORS), -1, np.int64)
        row[rows] = np.arange(len(rows))
        most = int(network.populations.size.max()) * self.bin_steps
        bits = min(MOST_BITS, 62 - round(math.log2(LIMIT)) - math.ceil(math.log2(max(most, 1))))
        return Watch(row, bits, self.bin_steps, self.sample, self.every)

    def counts(self, count: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Spike counts (step, population) by the name of their array, summed over bins if asked."""
        if not self.binned:
            return {"spike_count": count}
        bins = count.reshape(-1, self.bin_steps, count.shape[1])
        return {"bin_spike_count": bins.sum(axis=1, dtype=np.int64)}

    def names(self) -> tuple[str, ...]:
        """Arrays that grow with the run."""
        arrays = {
            "rate": ("bin_spike_count" if self.binned else "spike_count",),
            "spikes": ("n_spikes", "spike_neuron"),
            "sample": SAMPLE,
        }
        return tuple(name for quantity in self.record for name in arrays.get(quantity, (quantity,)))

    def tail(self, name: str, n_populations: int, n_voxels: int) -> tuple[int, ...]:
        """Sizes of the dimensions of an array but the first."""
        size = {
            "population": n_populations, "voxel": n_voxels, "receptor": len(self.receptors),
            "sample": self.sample.size,
        }  # fmt: skip
        return tuple(size[dim] for dim in schema.RECORDING[name].dims[1:])

    def rows(self, name: str, tail: tuple[int, ...]) -> int:
        """First dimension of a chunk."""
        return ROWS.get(name, min(STEPS, max(1, LARGEST // max(1, math.prod(tail)))))

    def attributes(self) -> dict[str, Any]:
        """What the root of the recording says of this."""
        return {
            "record": list(self.record),
            "binned": self.binned,
            "sample": self.sample.tolist(),
            "bin_steps": self.bin_steps,
            "sample_steps": self.every,
            "receptors": list(self.receptors),
        }


def check_record(record: tuple[str, ...]) -> tuple[str, ...]:
    """The quantities to record, or an error that lists those known."""
    if len(set(record)) < len(record):
        raise InputError(f"record is {record}; name each quantity once")
    for quantity in record:
        if quantity not in QUANTITIES:
            raise InputError(f"record: {quantity!r} is unknown; known are {', '.join(QUANTITIES)}")
    return record


def bytes_per_second(
    record: tuple[str, ...], *, populations: int, voxels: int, neurons: int, rate_hz: float = 7.0,
    dt_ms: float = 1.0, tr_s: float = 0.8, bin_ms: float | None = None, receptors: int = 4,
    samples: int = 0, sample_every: float | None = None,
) -> dict[str, float]:  # fmt: skip
    """Bytes that each quantity gathers in a second of biological time, before compression.

    Parameters
    ----------
    record : tuple of str
        Of `QUANTITIES`.
    populations, voxels, neurons : int
        Of the network.
    rate_hz : float
        Mean firing rate.
    dt_ms, tr_s, bin_ms, sample_every : float
        As of `dtbdask.sim.session.Session`.
    receptors : int
        That are on.
    samples : int
        Neurons that are looked at one by one.

    Returns
    -------
    dict of str to float
        By quantity.
    """
    bins, looks = 1000 / (bin_ms or dt_ms), 1000 / (sample_every or dt_ms)
    spec = schema.RECORDING
    size = {name: np.dtype(array.dtype).itemsize for name, array in spec.items()}
    count = "spike_count" if bin_ms is None else "bin_spike_count"
    figures = {
        "rate": bins * populations * size[count],
        "bold": voxels * size["bold"] / tr_s,
        "spikes": neurons * rate_hz * size["spike_neuron"] + 1000 / dt_ms * size["n_spikes"],
        "v_mean": bins * populations * size["v_mean"],
        "current_mean": bins * populations * size["current_mean"],
        "receptor_current": bins * receptors * populations * size["receptor_current"],
        "sample": looks * samples * sum(size[name] for name in SAMPLE),
    }
    return {quantity: figures[quantity] for quantity in check_record(record)}


def _stretch(name: str, given: float | None, dt_ms: float, n_steps: int) -> int:
    """Steps of a length in ms, which must divide the run into whole stretches."""
    if given is None:
        return 1
    steps = given / dt_ms
    if not (1 <= steps <= WIDEST and abs(steps - round(steps)) < 1e-6):
        raise InputError(
            f"{name} is {given:g}; expected a multiple of dt = {dt_ms:g} ms, up to "
            f"{WIDEST * dt_ms:g} ms"
        )
    if n_steps % round(steps):
        raise InputError(
            f"{name} is {given:g}, which does not divide the run of {n_steps * dt_ms:g} ms"
        )
    return round(steps)
