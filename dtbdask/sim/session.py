"""A simulation: the driver half, which plans blocks, runs epochs and writes recordings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask import config, progress, schema
from dtbdask.errors import InputError, SessionError, whole_number
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameter, check, known
from dtbdask.graph.partition import Partition
from dtbdask.graph.partition import partition as divide
from dtbdask.graph.planning.capacity import check_session, memory_room
from dtbdask.graph.ranges import spread
from dtbdask.kernels import RECEPTORS
from dtbdask.rng import TILE
from dtbdask.sim.block import BlockSpec
from dtbdask.sim.bold import Haemodynamics
from dtbdask.sim.crew import Crew, Here, Workers, workers
from dtbdask.sim.gang import Window
from dtbdask.sim.observe import assemble, counted_neurons
from dtbdask.sim.quantities import Request, Samples, Watch
from dtbdask.sim.raster import in_order
from dtbdask.sim.record import Recorder, Recording

Floats = NDArray[np.float64]

LEAST_EDGE_BYTES = 4
SAFE = 4
"""A block needs less than this many times its edges and state: see `dtbdask.graph.planning`."""


class Session:
    """A network in motion, on this process or on the workers of a cluster.

    The spikes depend on the network, the seed and what is done to the session, and on nothing else:
    not on the number of blocks, workers or threads.

    Parameters
    ----------
    network : Network
    client : distributed.Client, optional
        Cluster to run on, one block a worker; by default this process.
    seed : int
        Seed of the noise.
    members : int
        Ensemble members: they share the wiring and differ in noise and parameters. With a client,
        members are divided among the workers; otherwise the neurons are.
    blocks : int, optional
        Number of blocks the neurons are divided into; by default one for each worker, or one.
    partition : {"auto", "metis", "greedy", "contiguous"} or Partition
        How they are divided, see `dtbdask.graph.partition.partition`; or which neurons each block
        owns. The spikes do not depend on it.
    threads : int
        Threads of each block.
    dt_ms : float
        Exchange step, ms; it is also the synaptic delay.
    t_steps : int
        Sub-steps of an exchange step.
    dtype : {"float32", "float64"}
        Of the state.
    tr_s : float
        Time between BOLD frames, s.

    Raises
    ------
    InputError
        A value is wrong, or the network has what this version does not simulate.
    CapacityError
        A block does not fit its worker.
    """

    def __init__(
        self, network: Network, client: Any = None, *, seed: int = 0, members: int = 1,
        blocks: int | None = None, partition: str | Partition = "auto", threads: int = 1,
        dt_ms: float = 1.0, t_steps: int = 1, dtype: str = "float32", tr_s: float = 0.8,
    ) -> None:  # fmt: skip
        seed = whole_number("seed", seed, 0, 2**64 - 1)
        members = whole_number("members", members, 1, 2**16 - 1)
        t_steps = whole_number("t_steps", t_steps, 1, 1000)
        threads = whole_number("threads", threads, 1)
        if not 0 < dt_ms <= 10:
            raise InputError(f"dt_ms is {dt_ms}; expected more than 0 and at most 10 ms")
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype is {dtype!r}; use 'float32' or 'float64'")
        _check_network(network)
        self.network, self.members, self.seed = network, members, seed
        self.dt_ms, self.tr_s = float(dt_ms), float(tr_s)
        self.frame_steps = _n_steps("tr_s", tr_s, dt_ms)
        self.step = 0
        common: dict[str, Any] = {
            "seed": seed,
            "dt_ms": dt_ms,
            "t_steps": t_steps,
            "dtype": dtype,
            "threads": threads,
        }
        n_workers = 1 if client is None else len(workers(client))
        if members == 1:
            self.partition = _divided(network, blocks, partition, n_workers)
            specs = [BlockSpec(network, ranges, **common) for ranges in self.partition.ranges]
        else:
            self.partition = _undivided(network, blocks, partition)
            n_gangs = min(members, n_workers)
            cuts = [members * k // n_gangs for k in range(n_gangs + 1)]
            specs = [
                BlockSpec.whole(network, first_member=low, members=high - low, **common)
                for low, high in pairwise(cuts)
            ]
        alone = self.partition.n_blocks if members == 1 else 1
        _check_room(network, client, alone, threads, max(spec.members for spec in specs), dtype)
        self._crew: Crew | None
        if client is None:
            self._crew = Here(specs, self.partition)
        else:
            self._crew = Workers(specs, self.partition, client)
        split = client is not None and self.partition.n_blocks > 1
        self._haemodynamics = Haemodynamics(network.populations, 1, dt_ms) if split else None

    def run(
        self, seconds: float, *, record: Sequence[str] = (), to: str | Path | None = None,
        overwrite: bool = False, bin_ms: float | None = None, samples: Samples | None = None,
        sample_every: float | None = None,
    ) -> Recording | None:  # fmt: skip
        """Simulate, going on from where the session is.

        Parameters
        ----------
        seconds : float
            Biological time.
        record : sequence of str
            What to write, of `dtbdask.sim.quantities.QUANTITIES`; of an ensemble only its first
            member.
        to : path, optional
            Store of the recording; needed if and only if something is recorded.
        overwrite : bool
            Replace a recording that is there.
        bin_ms : float, optional
            Sum spike counts, and take means of V and currents, over so long; by default the counts
            and means of every step are written. It divides `seconds`.
        samples : (sample,) int or mapping of str to int, optional
            Neurons that "sample" looks at: global indices in any order, or how many to take of each
            population that a name means.
        sample_every : float, optional
            Time between two looks at them, ms; by default every step.

        Returns
        -------
        Recording or None
        """
        n_steps, request = self.check_run(
            seconds, record, to, overwrite=overwrite, bin_ms=bin_ms, samples=samples,
            sample_every=sample_every,
        )  # fmt: skip
        recorder = None
        if to is not None:
            about = self._about(n_steps)
            recorder = Recorder(to, self.network, request, about, overwrite=overwrite)
        window_steps = request.window_steps(whole_number(
            "dtbdask.session.window-steps", config.get("session.window-steps"), 1
        ))  # fmt: skip
        watch, counted = request.watch(self.network), counted_neurons(self.network)
        with progress.track("Simulating", n_steps, "steps") as done:
            for start in range(0, n_steps, window_steps):
                steps = min(window_steps, n_steps - start)
                window = self.advance(steps, spikes="spikes" in request.record, watch=watch)
                if recorder is not None:
                    more = {} if watch is None else assemble(request, watch, counted, window.seen)
                    recorder.write(
                        **request.counts(window.spike_count[:, 0]), **more, bold=window.bold[:, 0],
                        spike_step=window.spike_step, spike_neuron=window.spike_neuron,
                    )  # fmt: skip
                done(steps)
        return recorder.finish() if recorder is not None else None

    def check_run(
        self, seconds: float, record: Sequence[str] = (), to: str | Path | None = None,
        *, overwrite: bool = False, **options: Any,
    ) -> tuple[int, Request]:  # fmt: skip
        """Steps and quantities of a run; what `run` would refuse is refused here.

        Parameters
        ----------
        seconds, record, to, overwrite, **options
            As in `run`.

        Returns
        -------
        n_steps : int
        request : Request
        """
        self._open_crew()
        n_steps = _n_steps("seconds", seconds, self.dt_ms)
        wanted = tuple(record)
        request = Request.make(self.network, wanted, n_steps, self.dt_ms, **options)
        if bool(wanted) != (to is not None):
            raise InputError(f"record is {wanted} and to is {to}; give both or neither")
        if to is not None:
            schema.check_free(to, "recording", overwrite=overwrite)
        return n_steps, request

    def advance(self, n_steps: int, *, spikes: bool = False, watch: Watch | None = None) -> Window:
        """Run some steps as one task a worker, and return what was seen.

        Parameters
        ----------
        n_steps : int
        spikes : bool
            Also return every spike of member 0.
        watch : Watch, optional
            What else to look at.

        Returns
        -------
        Window
            Of the whole network and all members.
        """
        n_steps = whole_number("n_steps", n_steps, 1)
        windows = self._ask("advance", n_steps, self.frame_steps, spikes, watch)
        first, self.step = self.step, self.step + n_steps
        if len(windows) == 1:
            return windows[0]  # type: ignore[no-any-return]
        seen = [one for window in windows for one in window.seen]
        if self._haemodynamics is None:
            counts = np.concatenate([window.spike_count for window in windows], axis=1)
            bold = np.concatenate([window.bold for window in windows], axis=1)
            return Window(counts, bold, windows[0].spike_step, windows[0].spike_neuron, seen)
        counts = np.stack([window.spike_count for window in windows]).sum(axis=0, dtype=np.int32)
        steps = np.concatenate([window.spike_step for window in windows])
        neurons = np.concatenate([window.spike_neuron for window in windows])
        bold = self._haemodynamics.advance(counts, first, self.frame_steps)
        return Window(counts, bold, *in_order(steps, neurons), seen)

    def set(self, parameter: str, value: ArrayLike, *, how: str = "assign") -> None:
        """Change a parameter from the next step on.

        Parameters
        ----------
        parameter : str
            Name in `dtbdask.graph.parameters.PARAMETERS`.
        value : float, (population,) or (member, population) float
            In the unit of the parameter, or a factor.
        how : {"assign", "multiply"}
            Replace the value, or set its multiplier relative to the stored base.
        """
        spec = _changeable(parameter)
        if how not in ("assign", "multiply"):
            raise InputError(f"how is {how!r}; use 'assign' or 'multiply'")
        shape = (self.members, self.network.populations.size.size)
        try:
            values = np.atleast_2d(np.asarray(value, dtype=np.float64))
            spread = np.array(np.broadcast_to(values, (values.shape[0], shape[1])))
            np.broadcast_to(spread, shape)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{parameter}: shape {np.shape(value)} does not spread to numbers for "
                f"(member, population), here {shape}"
            ) from error
        if how == "assign":
            for row in spread:
                check(parameter, row, shape[1], "population")
        elif not (np.isfinite(spread) & ((spread > 0) | ((spread == 0) & (spec.low <= 0)))).all():
            least = "0" if spec.low <= 0 else "above 0"
            raise InputError(f"{parameter}: multipliers must be finite and {least} or more")
        self._ask("assign", parameter, spread, how)

    def set_neuron(self, parameter: str, value: ArrayLike) -> None:
        """Give a parameter a base value of its own for each neuron.

        Parameters
        ----------
        parameter : str
        value : (neuron,) float
            Of the whole network.
        """
        _changeable(parameter)
        values = check(parameter, value, self.network.n_neurons, "neuron")
        self._ask("assign_neuron", parameter, values)

    def state(self, name: str) -> NDArray[Any]:
        """A field of the neurons' state, all kicks delivered.

        Parameters
        ----------
        name : {"v", "ou", "refractory", "j_ampa", "j_nmda", "j_gaba_a", "j_gaba_b"}

        Returns
        -------
        (member, neuron)
            In the dtype of the state; mV for v.
        """
        fields = ("v", "ou", "refractory", *(f"j_{receptor}" for receptor in RECEPTORS))
        if name not in fields:
            raise InputError(f"state {name!r} is unknown; known are {', '.join(fields)}")
        parts = [part for parts in self._ask("state", name) for part in parts]
        if self.members > 1:
            return np.concatenate([values for _, values in parts])
        whole = np.empty((1, self.network.n_neurons), parts[0][1].dtype)
        for ranges, values in parts:
            whole[:, spread(ranges)] = values
        return whole

    def balloon(self) -> Floats:
        """Haemodynamic state of an ensemble: (4, member, voxel) float64."""
        return np.concatenate(self._ask("balloon"), axis=1)

    def put_balloon(self, state: Floats) -> None:
        """Replace the haemodynamic state of an ensemble: (4, member, voxel) float64."""
        shape = (4, self.members, len(self.network.labels))
        if state.shape != shape or not np.isfinite(state).all():
            raise InputError(f"state has shape {state.shape}; expected finite values of {shape}")
        self._ask("put_balloon", state)

    def close(self) -> None:
        """End the session and free what it holds; the cluster stays usable."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def __enter__(self) -> Self:
        """Use as a context: the session is closed at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session."""
        self.close()

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        return self._open_crew().call(method, *arguments)

    def _open_crew(self) -> Crew:
        if self._crew is None:
            raise SessionError("the session is closed; make a new one")
        return self._crew

    def _about(self, n_steps: int) -> dict[str, Any]:
        return {
            "seed": self.seed, "dt_ms": self.dt_ms, "tr_s": self.tr_s, "first_step": self.step,
            "n_steps": n_steps, "frame_steps": self.frame_steps,
        }  # fmt: skip


def _divided(
    network: Network, blocks: int | None, wanted: str | Partition, n_workers: int
) -> Partition:
    """The partition that was given, or one that is found."""
    if isinstance(wanted, Partition):
        wanted.check(network)
        if blocks not in (None, wanted.n_blocks):
            raise InputError(f"blocks is {blocks}, but the partition has {wanted.n_blocks} blocks")
        return wanted
    if blocks is None:
        blocks = min(n_workers, -(-network.n_neurons // TILE))
    return divide(network, blocks, wanted)


def _undivided(network: Network, blocks: int | None, wanted: str | Partition) -> Partition:
    """One block: that of an ensemble, which is divided by members instead."""
    if blocks not in (None, 1):
        raise InputError(f"blocks is {blocks}; an ensemble is divided by members instead")
    if isinstance(wanted, Partition) and wanted.n_blocks > 1:
        raise InputError(
            f"partition has {wanted.n_blocks} blocks; an ensemble is divided by members instead"
        )
    return _divided(network, 1, wanted, 1)


def _check_network(network: Network) -> None:
    """Refuse what a network has and this version does not simulate."""
    longest = int(network.populations.mixture.far_delay.max(initial=1))
    if longest > 1:
        raise InputError(
            f"network has axonal delays of up to {longest} steps, which are not simulated yet; "
            "build it without speed"
        )
    if network.attributes.get("scripted_population"):
        raise InputError("network has neurons with scripted spikes, which are not played yet")


def _check_room(
    network: Network, client: Any, blocks: int, threads: int, members: int, dtype: str
) -> None:
    """Refuse blocks that cannot fit; only what may come near is reckoned out."""
    if client is None:
        memory, blocks = memory_room(), 1
    else:
        told = client.scheduler_info(n_workers=-1)["workers"].values()
        memory = min((w["memory_limit"] or memory_room() for w in told), default=memory_room())
    least = (
        network.n_synapses * LEAST_EDGE_BYTES / blocks + network.n_neurons / blocks * 16 * members
    )
    if least > memory / SAFE:
        check_session(network, blocks, memory, threads=threads, members=members, dtype=dtype)


def _changeable(parameter: str) -> Parameter:
    """The parameter of this name, if a session may change it."""
    if parameter == "excluded":
        raise InputError("excluded belongs to the network; change it by dtbdask.modify")
    return known(parameter)


def _n_steps(name: str, seconds: float, dt_ms: float) -> int:
    steps = seconds * 1000 / dt_ms
    if not (1 <= steps < 2**53 and abs(steps - round(steps)) < 1e-6):
        raise InputError(
            f"{name} is {seconds:g}; expected a positive multiple of dt = {dt_ms:g} ms"
        )
    return round(steps)
