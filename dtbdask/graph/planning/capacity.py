"""Refusing what does not fit before anything is written or allocated, and saying what would fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from dask.utils import parse_bytes

from dtbdask.errors import CapacityError, InputError, whole_number
from dtbdask.graph.network import Network
from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.planning.audience import audience
from dtbdask.graph.planning.figures import Plan, amount
from dtbdask.graph.planning.footprint import Footprint, Run, footprint, growth
from dtbdask.graph.population import MOST_NEURONS

CGROUPS = (
    ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.max"),
    ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Files that tell what the own control group uses and may use, of both versions."""
SMALLEST_CHUNK = 10_000
"""Synapses of a chunk; nobody is advised to take smaller ones."""
MOST_BLOCKS = 1 << 20
"""Blocks of a session, beyond which none are looked for."""


def check_build(plan: Plan, path: str | Path) -> None:
    """Refuse a build for which there is no room.

    Parameters
    ----------
    plan : Plan
        It says how the synapses are kept, and in which chunks.
    path : path
        Of the store to be.

    Raises
    ------
    CapacityError
        The disk of `path` or the memory of this process is too small, or the network has more
        neurons than can be numbered: names the need, what there is, and what would fit.
    """
    if plan.neurons > MOST_NEURONS:
        raise CapacityError(
            f"the network has {plan.neurons:,} neurons; this version numbers at most "
            f"{MOST_NEURONS:,}: use neurons={MOST_NEURONS:,} or fewer"
        )
    need, room = plan.disk.total(plan.kind), disk_room(path)
    if need > room:
        raise CapacityError(
            f"{path}: the network needs {amount(need)}, the disk has {amount(room)} free; "
            f"{_smaller(plan, room)}"
        )
    need, room = plan.build.growth, memory_room()
    if need > room:
        raise CapacityError(
            f"{path}: the build needs {amount(need)} of memory, there are {amount(room)}; "
            f"{_leaner(plan, room)}"
        )


def check_session(
    source: Plan | Network,
    blocks: int,
    memory_per_worker: float | str,
    *,
    threads: int = 1,
    members: int = 1,
    dtype: str = "float32",
) -> None:
    """Refuse a session of which a block does not fit its worker.

    Parameters
    ----------
    source : Plan or Network
    blocks : int
        One on each worker.
    memory_per_worker : float or str
        Bytes, or for instance "80 GB".
    threads, members, dtype
        As in `Session`, for a network; members are those that one block holds. A plan has its own.

    Raises
    ------
    CapacityError
        Names the block that needs most, its need, the memory, and how many blocks would fit.
    """
    memory = float(parse_bytes(memory_per_worker))
    if not memory > 0:
        raise InputError(f"memory_per_worker is {memory_per_worker!r}; expected more than 0 bytes")
    if isinstance(source, Plan):
        anatomy, run, listen = source.anatomy, source.run, source.listen
    else:
        anatomy, run = Anatomy.of_network(source), Run(threads, members, dtype)
        listen = partial(audience, source.populations)
    blocks = whole_number("blocks", blocks, 1, anatomy.most_blocks)
    heard = listen(blocks)
    need = footprint(anatomy, heard, blocks, run).need
    worst = int(need.argmax())
    if need[worst] > memory:
        raise CapacityError(
            f"block {heard.block[worst]} needs {amount(float(need[worst]))}, its worker has "
            f"{amount(memory)}; "
            + _more_blocks(lambda n: footprint(anatomy, listen(n), n, run), anatomy, blocks, memory)
        )


def disk_room(path: str | Path) -> int:
    """Bytes free for a store at `path`, which need not be there yet."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def memory_room() -> int:
    """Bytes that this process may still take: of the machine's, or of its control group's."""
    room = int(psutil.virtual_memory().available)
    for used, limit in CGROUPS:
        with suppress(OSError, ValueError):  # another version, or no limit
            room = min(room, int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(room, 0)


def _smaller(plan: Plan, room: int) -> str:
    """What of a network would fit a disk."""
    left = (room - plan.disk.tables) / plan.disk.bytes_per_synapse
    neurons = max(0, int(left * plan.neurons / plan.synapses)) if plan.kind == "stored" else 0
    advice = []
    if plan.kind == "stored" and plan.disk.tables <= room:
        advice.append(f"synapses='procedural' needs {amount(plan.disk.tables)}")
    if neurons >= plan.populations:
        advice.append(f"neurons={neurons:,} fit at degree={plan.degree:,}")
    return "; ".join(advice) or "choose another disk"


def _leaner(plan: Plan, room: int) -> str:
    """How a build would fit memory."""

    def taken(chunk: int) -> int:
        return growth(replace(plan.anatomy, chunk=chunk), plan.build.threads)

    chunk = plan.anatomy.chunk // 2
    while chunk >= SMALLEST_CHUNK:
        if taken(chunk) <= room:
            return f"chunk={chunk:,} fits, and so may fewer threads of Dask"
        chunk //= 2
    return "free some memory, or build where there is more"


def _more_blocks(
    of: Callable[[int], Footprint], anatomy: Anatomy, blocks: int, memory: float
) -> str:
    """How many blocks would fit, or why none do."""
    most = min(anatomy.most_blocks, MOST_BLOCKS)
    enough = _first(lambda n: float(of(n).need.max()) <= memory, blocks, most)
    if enough:
        return f"use at least {enough:,} blocks"
    least = float(of(most).need.max())
    return (
        f"more blocks do not help, each of {most:,} needs {amount(least)}: give workers more "
        "memory, or use fewer neurons"
    )


def _first(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Smallest number above `low` and up to `high` that fits, 0 if none: doubled, then halved."""
    step = low
    while not fits(min(step, high)):
        if step >= high:
            return 0
        low, step = step, 2 * step
    high = min(step, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
