"""A simulation: the driver half, which plans blocks, runs epochs and writes recordings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.errors import InputError, SessionError, whole_number
from dtbdask.graph.identity import identity
from dtbdask.graph.network import Network
from dtbdask.graph.partition import Partition
from dtbdask.graph.ranges import spread
from dtbdask.kernels import RECEPTORS
from dtbdask.sim import checkpoint
from dtbdask.sim.abreast import Abreast
from dtbdask.sim.admission import check_network, check_room, divided, divided_again, undivided
from dtbdask.sim.bold import Haemodynamics
from dtbdask.sim.changes import Change
from dtbdask.sim.crew import Crew, Here, Workers
from dtbdask.sim.currents import MEMORIES
from dtbdask.sim.devices import chosen
from dtbdask.sim.exchange_choice import known
from dtbdask.sim.gang import Window
from dtbdask.sim.joining import joined
from dtbdask.sim.losses import answering
from dtbdask.sim.moments import Moments, beside, steps_of, writing
from dtbdask.sim.protocol import entry, read_change, told_stimulus
from dtbdask.sim.quantities import Request, Samples, Watch
from dtbdask.sim.record import Recorder
from dtbdask.sim.recording import Recording
from dtbdask.sim.recovery import endure
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.stimuli import Bound, Stimulus, bind, drive_of, read_stimulus, written
from dtbdask.sim.timing import Timing
from dtbdask.sim.windows import in_windows

Floats = NDArray[np.float64]


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
        members are divided among the workers; otherwise the neurons are. In this process members
        are divided among the threads.
    blocks : int, optional
        Number of blocks the neurons are divided into; by default one for each worker, or one.
    partition : {"auto", "metis", "greedy", "contiguous"} or Partition
        How they are divided, see `dtbdask.graph.partition.partition`; or which neurons each block
        owns. The spikes do not depend on it.
    threads : int
        Threads of each block on the CPU.
    dt_ms : float
        Exchange step, ms; it is also the delay of a synapse without an axonal one. A network with
        axonal delays has them in steps of its own `dt_ms`, which must be this.
    t_steps : int
        Sub-steps of an exchange step.
    dtype : {"float32", "float64"}
        Of the state.
    tr_s : float
        Time between BOLD frames, s.
    device : {"auto", "cpu", "cuda"}
        Where blocks live; the spikes do not depend on it. With "auto" a CUDA device, where this
        process, or every worker, has one of its own, else the CPU.
    exchange : {"auto", "shm", "tcp", "tls", "ucx"}
        How blocks on different workers hand each other spikes; the spikes do not depend on it. With
        "auto" by shared memory where all workers are on one host, else by TCP, which is encrypted
        (TLS) where Dask is.

    Attributes
    ----------
    device : {"cpu", "cuda"}
        What was taken.
    exchange : {"loopback", "shm", "tcp", "tls", "ucx"}
        What was taken; "loopback" where no two workers exchange anything.
    client : distributed.Client or None

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
        device: str = "auto", exchange: str = "auto",
    ) -> None:  # fmt: skip
        known(exchange)
        seed = whole_number("seed", seed, 0, 2**64 - 1)
        members = whole_number("members", members, 1, 2**16 - 1)
        t_steps = whole_number("t_steps", t_steps, 1, 1000)
        threads = whole_number("threads", threads, 1)
        if not 0 < dt_ms <= 10:
            raise InputError(f"dt_ms is {dt_ms}; expected more than 0 and at most 10 ms")
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype is {dtype!r}; use 'float32' or 'float64'")
        check_network(network, dt_ms)
        where = None if client is None else answering(client)
        self.device = chosen(device, client, where)
        self.network, self.members, self.seed = network, members, seed
        self.dt_ms, self.tr_s = float(dt_ms), float(tr_s)
        self.t_steps, self.dtype = t_steps, dtype
        self.frame_steps = steps_of("tr_s", tr_s, dt_ms)
        self.step = 0
        self._changes: list[dict[str, Any]] = []
        self._stimuli: list[Bound] = []
        common: dict[str, Any] = {
            "seed": seed,
            "dt_ms": self.dt_ms,
            "t_steps": t_steps,
            "dtype": dtype,
            "threads": threads if self.device == "cpu" else 1,
            "device": self.device,
        }
        self.client, self._common = client, common
        self._blocks, self._wanted, self._asked = blocks, partition, exchange
        self._cancelled = False
        self._crew: Crew | None = None
        n_workers = 1 if where is None else len(where)
        if members == 1:
            self.partition = divided(network, blocks, partition, n_workers)
        else:
            self.partition = undivided(network, blocks, partition)
        self._gather(where)

    def _gather(self, where: list[str] | None) -> None:
        """Make the blocks live, as at the start of a session, here or on workers that answer."""
        network, client, common = self.network, self.client, self._common
        if self.members == 1:
            specs = [BlockSpec(network, ranges, **common) for ranges in self.partition.ranges]
        else:
            n_gangs = min(self.members, common["threads"] if where is None else len(where))
            cuts = [self.members * k // n_gangs for k in range(n_gangs + 1)]
            each = common["threads"] // n_gangs if where is None else common["threads"]
            specs = [
                BlockSpec.whole(network, first_member=low, members=high - low,
                                **{**common, "threads": each})
                for low, high in pairwise(cuts)
            ]  # fmt: skip
        if self.device == "cpu":
            alone = self.partition.n_blocks if self.members == 1 else 1
            members = self.members if where is None else max(spec.members for spec in specs)
            check_room(network, client, alone, common["threads"], members, self.dtype)
        if where is None:
            abreast = len(specs) > self.partition.n_blocks
            self._crew = (Abreast if abreast else Here)(specs, self.partition, self._asked)
        else:
            self._crew = Workers(specs, self.partition, client, where, self._asked)
        self.exchange = self._crew.exchange
        split = client is not None and self.partition.n_blocks > 1
        self._haemodynamics = Haemodynamics(network.populations, 1, self.dt_ms) if split else None

    def run(
        self, seconds: float, *, record: Sequence[str] = (), to: str | Path | None = None,
        overwrite: bool = False, bin_ms: float | None = None, samples: Samples | None = None,
        sample_every: float | None = None, checkpoint_every: float | None = None,
        checkpoint_wall: float | None = None,
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
        checkpoint_every : float, optional
            Biological time between checkpoints, s. They are kept in a folder beside the recording,
            and `dtbdask.sim.restart.resume_run` goes on from the last after an accident.
        checkpoint_wall : float, optional
            Time on the clock after which there is a checkpoint at the end of a window, s.

        Returns
        -------
        Recording or None
        """
        n_steps, request, moments = self.check_run(
            seconds, record, to, overwrite=overwrite, checkpoint_every=checkpoint_every,
            checkpoint_wall=checkpoint_wall, bin_ms=bin_ms, samples=samples,
            sample_every=sample_every,
        )  # fmt: skip
        if to is None:
            return in_windows(self, n_steps, None, None)
        about = self._about(n_steps)
        with writing(to, begin=True) if moments is not None else nullcontext():
            if moments is not None:  # before the recording, so that whoever finds it finds both
                about |= moments.protocol(to, seconds, self.network)
                self.keep(beside(to), moments.run)
            recorder = Recorder.new(to, self.network, request, about, overwrite=overwrite)
            return endure(self, n_steps, recorder, moments)

    def check_run(
        self, seconds: float, record: Sequence[str] = (), to: str | Path | None = None,
        *, overwrite: bool = False, checkpoint_every: float | None = None,
        checkpoint_wall: float | None = None, **options: Any,
    ) -> tuple[int, Request, Moments | None]:  # fmt: skip
        """What a run is made of; what `run` would refuse is refused here.

        Parameters
        ----------
        seconds, record, to, overwrite, checkpoint_every, checkpoint_wall, **options
            As in `run`.

        Returns
        -------
        n_steps : int
        request : Request
        moments : Moments, optional
            Of checkpoints.
        """
        self._open_crew()
        n_steps = steps_of("seconds", seconds, self.dt_ms)
        wanted = tuple(record)
        request = Request.make(self.network, wanted, n_steps, self.dt_ms, **options)
        if bool(wanted) != (to is not None):
            raise InputError(f"record is {wanted} and to is {to}; give both or neither")
        moments = Moments.of(checkpoint_every, checkpoint_wall, self.dt_ms)
        if moments is not None:
            moments.check_whole(request.window_steps(1), self.dt_ms)
            if to is None:
                raise InputError(
                    "checkpoints of a run are kept beside its recording: give to and record, or "
                    "call checkpoint between two runs"
                )
            checkpoint.check_free(beside(to), overwrite=overwrite)
        if to is not None:
            schema.check_free(to, "recording", overwrite=overwrite)
        return n_steps, request, moments

    def checkpoint(self, path: str | Path) -> Path:
        """Write down all that the next step depends on; the session goes on unchanged.

        Parameters
        ----------
        path : path
            Folder of two generations, made if need be: the older one is replaced.

        Returns
        -------
        pathlib.Path
            Of the store written.
        """
        return self.keep(path)

    @classmethod
    def resume(
        cls, path: str | Path, network: Network, client: Any = None, *, blocks: int | None = None,
        partition: str | Partition = "auto", threads: int = 1, device: str = "auto",
        exchange: str = "auto",
    ) -> Self:  # fmt: skip
        """A session that goes on from a checkpoint, as the one that wrote it would have.

        Parameters
        ----------
        path : path
            Folder of checkpoints, of which the newest complete one counts, or one of them.
        network : Network
            That of the checkpoint; it may be kept in another place, or otherwise.
        client, blocks, partition, threads, device, exchange
            As of any session: the spikes do not depend on them.

        Raises
        ------
        InputError
            The checkpoint is of another network.
        StoreError
            There is no complete one, or it is damaged or of a newer format.
        """
        store = checkpoint.newest(path)
        root = schema.read_root(store)
        checkpoint.check(store, root, identity(network))
        made = {name: root[name] for name in checkpoint.OF_SESSION}
        session = cls(
            network, client, blocks=blocks, partition=partition, threads=threads, device=device,
            exchange=exchange, **made,
        )  # fmt: skip
        try:
            session.restore(store)
        except BaseException:
            session.close()
            raise
        return session

    def restore(self, path: str | Path) -> None:
        """Put this session where a checkpoint was: state, step, parameters, haemodynamics.

        Parameters
        ----------
        path : path
            Folder of checkpoints, or one of them.

        Raises
        ------
        InputError
            It is of another network, or of a session with another seed, dtype, number of members,
            step or repetition time; nothing was changed.
        StoreError
            There is no complete one, or it is damaged or of a newer format.
        """
        store = checkpoint.newest(path)
        root = schema.read_root(store)
        checkpoint.check(store, root, self._identity())
        names, there = (
            set(known) - set(MEMORIES) for known in (self._ask("fields")[0], root["fields"])
        )
        if names != there:  # the state of a current begins when it is switched on
            raise InputError(
                f"{store}: its state is {', '.join(sorted(there))}; here it is "
                f"{', '.join(sorted(names))}"
            )
        self._ask("restore", str(store))
        if self._haemodynamics is not None:
            group = schema.open_store(store, "checkpoint")
            self._haemodynamics.balloon.put(schema.read(group, "balloon"))
        self.step, self._changes = root["step"], list(root["changes"])
        given = [read_stimulus(stimulus) for stimulus in root["stimuli"]]
        self._stimuli = [bind(stimulus, self.network, 0, self.dt_ms) for stimulus in given]

    def advance(
        self, n_steps: int, *, spikes: bool = False, watch: Watch | None = None,
        summed: bool = False,
    ) -> Window:  # fmt: skip
        """Run some steps as one task a worker, and return what was seen.

        Parameters
        ----------
        n_steps : int
        spikes : bool
            Also return every spike of member 0.
        watch : Watch, optional
            What else to look at.
        summed : bool
            Return the spike counts of all steps together: of an ensemble those of each step are
            much to send.

        Returns
        -------
        Window
            Of the whole network and all members.
        """
        n_steps = whole_number("n_steps", n_steps, 1)
        drive = drive_of(self._stimuli, self.step, n_steps, self.dt_ms)
        split, steps = self._haemodynamics, (n_steps, self.frame_steps)
        windows = self._ask("advance", *steps, spikes, drive, watch, summed and split is None)
        self.step += n_steps
        return joined(windows, split, self.frame_steps, summed=summed)

    def timing(self) -> Timing:
        """On what its blocks have spent their time, since they were made."""
        return Timing.of(self._ask("timing"))

    def set(
        self, parameter: str, value: ArrayLike, *, population: str | ArrayLike | None = None,
        neuron: str | ArrayLike | None = None, member: int | ArrayLike | None = None,
        how: str = "assign",
    ) -> None:  # fmt: skip
        """Change a parameter from the next step on, for all or for those that are chosen.

        Parameters
        ----------
        parameter : str
            Name in `dtbdask.graph.parameters.PARAMETERS`.
        value : float, (chosen,) or (member, chosen) float
            In the unit of the parameter; or a factor; or the shape of gamma factors. One for all
            that are chosen or one for each, in the order of indices as given or of the network.
        population : str, sequence of str, (index,) int or (population,) bool, optional
            Populations: by the name of one ("V1 E"), a slot ("L5E"), a voxel ("V1"), or "E" or "I";
            by index; or by mask. By default all.
        neuron : (index,) int, (neuron,) bool or "all", optional
            Single neurons, instead of populations; the others keep their values.
        member : int, (index,) int or (member,) bool, optional
            Members of the ensemble; by default all. They share the values of single neurons.
        how : {"assign", "multiply", "gamma"}
            Replace the value, of neurons too; or set the multiplier of populations, always relative
            to their base, so that 1 gives it back after 0; or give each neuron the base of its
            population times a factor from Gamma(shape, rate = shape), which follows from the seed,
            the parameter and the neuron alone.
        """
        change = read_change(
            self.network, self.members, self.seed, parameter, value,
            population=population, neuron=neuron, member=member, how=how,
        )  # fmt: skip
        self._check_neurons(change)
        try:
            self._ask("change", change)
        except InputError:
            self._ask("undo")  # where it was not refused
            raise
        told = {"population": population, "neuron": neuron, "member": member}
        self._changes.append(entry(self.step, parameter=parameter, **told, how=how, value=value))

    def stimulate(self, *stimuli: Stimulus) -> None:
        """Add stimuli, from now or from their onset on; all members get the same.

        Parameters
        ----------
        *stimuli : Stimulus
            See `dtbdask.sim.stimuli`.
        """
        bounds = [bind(stimulus, self.network, self.step, self.dt_ms) for stimulus in stimuli]
        for name in {name: None for bound in bounds for name in bound.stimulus.drives}:
            if self._held(name)[2]:
                raise InputError(
                    f"{name} has values by neuron, so populations cannot be stimulated"
                )
        self._stimuli += bounds
        self._changes += [told_stimulus(self.step, stimulus) for stimulus in stimuli]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Log of all changes and stimuli, in order, with the step at which they were given."""
        return deepcopy(self._changes)

    def state(self, name: str) -> NDArray[Any]:
        """A field of the neurons' state, all kicks delivered.

        Parameters
        ----------
        name : {"v", "ou", "refractory", "j_ampa", "j_nmda", "j_gaba_a", "j_gaba_b", "h_t", "ca"}

        Returns
        -------
        (member, neuron)
            In the dtype of the state; mV for v.
        """
        fields = ("v", "ou", "refractory", *(f"j_{receptor}" for receptor in RECEPTORS),
                  *MEMORIES)  # fmt: skip
        if name not in fields:
            raise InputError(f"state {name!r} is unknown; known are {', '.join(fields)}")
        return self._whole(name)

    def balloon(self) -> Floats:
        """Haemodynamic state of an ensemble: (4, member, voxel) float64."""
        return np.concatenate(self._ask("balloon"), axis=1)

    def put_balloon(self, state: Floats) -> None:
        """Replace the haemodynamic state of an ensemble: (4, member, voxel) float64."""
        shape = (4, self.members, len(self.network.labels))
        if state.shape != shape or not np.isfinite(state).all():
            raise InputError(f"state has shape {state.shape}; expected finite values of {shape}")
        self._ask("put_balloon", state)

    @property
    def workers(self) -> list[str]:
        """Addresses of the workers that hold its blocks; none of a session in this process."""
        return self._crew.workers if isinstance(self._crew, Workers) else []

    def gather_anew(self, where: list[str]) -> None:
        """Give up the gangs, and have others on these workers, as new: `restore` comes next.

        Parameters
        ----------
        where : list of str
            Addresses of workers that answer.
        """
        if self._crew is not None:
            self._crew.close()
        if self.members == 1:
            self.partition = divided_again(
                self.partition, self.network, self._blocks, self._wanted, len(where)
            )
        if self.partition.n_blocks == 1:
            self._asked = "auto"  # nothing is exchanged any more
        self._gather(where)

    def cancel(self) -> None:
        """End what the session does, from any thread: that gets a `SessionError`.

        The session is over; a recording with checkpoints can be resumed.
        """
        self._cancelled = True
        if (crew := self._crew) is not None:
            crew.cancel()

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

    def _held(self, name: str) -> tuple[Floats, Floats, bool]:
        """Base and multiplier, (member, population) of all, and whether neurons have their own."""
        base, multiplier, own = zip(*self._ask("held", name), strict=True)
        if self.members == 1:
            return base[0], multiplier[0], own[0]
        return np.concatenate(base), np.concatenate(multiplier), own[0]

    def _check_neurons(self, change: Change) -> None:
        """Refuse values by neuron where members differ, or where stimuli need populations."""
        if not change.meets_neurons(True, self.members):
            return
        base, multiplier, own = self._held(change.parameter)
        if not change.meets_neurons(own, self.members):
            return
        change.check_shared(base, multiplier, self.network.populations)
        for bound in self._stimuli:
            if bound.stop > self.step and change.parameter in bound.stimulus.drives:
                raise InputError(
                    f"{change.parameter} cannot have values by neuron while populations are "
                    f"stimulated, here until {bound.stop * self.dt_ms:g} ms"
                )

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        crew = self._open_crew()
        try:
            return crew.call(method, *arguments)
        except SessionError:
            self.check_uncancelled()
            raise

    def check_uncancelled(self) -> None:
        """Refuse to go on after `cancel`."""
        if self._cancelled:
            raise SessionError(f"the session was cancelled, after step {self.step}; make a new one")

    def _open_crew(self) -> Crew:
        self.check_uncancelled()
        if self._crew is None:
            raise SessionError("the session is closed; make a new one")
        return self._crew

    def _whole(self, name: str) -> NDArray[Any]:
        """A field of the state of all neurons and members: (..., member, neuron)."""
        parts = [part for parts in self._ask("state", name) for part in parts]
        if self.members > 1:
            return np.concatenate([values for _, values in parts], axis=-2)
        leading = parts[0][1].shape[:-1]
        whole = np.empty((*leading, self.network.n_neurons), parts[0][1].dtype)
        for ranges, values in parts:
            whole[..., spread(ranges)] = values
        return whole

    def keep(self, path: str | Path, run: str = "", recorder: Recorder | None = None) -> Path:
        """Write a checkpoint, of a run that is recorded with the rows not yet on disk."""
        fields = self._ask("fields")[0]
        changed = checkpoint.joined(self._ask("changes"), self.members)
        about = {
            **self._identity(), "step": self.step, "run": run, "changes": self._changes,
            "stimuli": [written(bound.stimulus) for bound in self._stimuli],
        }  # fmt: skip
        held = {}
        if recorder is not None:
            about["rows"], held = recorder.rows(), recorder.held()
        alone = self._haemodynamics
        return checkpoint.write(
            path, about, changed, self.balloon() if alone is None else alone.balloon.state,
            ((name, told, self._whole(name)) for name, told in fields.items()), held,
        )  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        of_session = {name: getattr(self, name) for name in checkpoint.OF_SESSION}
        return {**identity(self.network), **of_session}

    def _about(self, n_steps: int) -> dict[str, Any]:
        return {
            "seed": self.seed, "dt_ms": self.dt_ms, "tr_s": self.tr_s, "first_step": self.step,
            "n_steps": n_steps, "frame_steps": self.frame_steps, "changes": self.changes,
        }  # fmt: skip
