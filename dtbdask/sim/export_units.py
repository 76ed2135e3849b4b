"""Spikes neuron by neuron, as NWB and Neo want them: sorted through buckets on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import CapacityError
from dtbdask.graph.sonata.spill import Spill, stretches

if TYPE_CHECKING:
    from dtbdask.sim.export import Spikes

Ints = NDArray[np.int64]

MOST_TRAINS = 10**6
"""Neurons of a Neo file, at most: each is an object of its own."""


def counts(spikes: Spikes) -> Ints:
    """Spikes of each neuron of the network: (neuron,) int64."""
    n = np.zeros(int(spikes.labels["size"].sum()), np.int64)
    for _, _, neuron in spikes.stretches():
        found, times = np.unique(neuron, return_counts=True)
        n[found] += times
    return n


def by_neuron(spikes: Spikes, count: Ints, folder: Path) -> Iterator[tuple[Ints, NDArray[Any]]]:
    """Neurons and times in s of all spikes, by neuron and time, some whole neurons at once."""
    from dtbdask.sim.export import AT_ONCE

    with tempfile.TemporaryDirectory(dir=folder) as spilled:
        spill = Spill(Path(spilled), stretches(count, AT_ONCE), 2, np.dtype(np.int64))
        for _, time_ms, neuron in spikes.stretches():
            step = np.rint(time_ms / spikes.dt_ms).astype(np.int64)
            spill.put(np.column_stack([neuron, step]))
        for records in spill.buckets():
            yield records[:, 0], records[:, 1] * (spikes.dt_ms / 1000)


def write_nwb(spikes: Spikes, path: Path) -> None:
    """Write a table of units, one for each neuron of the network, in NWB."""
    from dtbdask.sim.export import needed

    pynwb, iterator = needed("pynwb"), needed("hdmf.data_utils").DataChunkIterator
    misc, common = needed("pynwb.misc"), needed("hdmf.common")
    count = counts(spikes)
    of = spikes.population_of(np.arange(count.size))
    labels = spikes.labels
    started = datetime.fromisoformat(schema.root_of(spikes.group)["made"]).astimezone(UTC)
    file = pynwb.NWBFile(
        session_description="spikes simulated by dtbdask", identifier=str(path.name),
        session_start_time=started,
    )  # fmt: skip

    class Times(iterator):  # type: ignore[misc,valid-type]
        """Times as they come; an index of them, and the file, want to know how many."""

        def __len__(self) -> int:
            return spikes.n_spikes

        def recommended_data_shape(self) -> tuple[int]:
            return (spikes.n_spikes,)

    data: Any = np.zeros(0)
    if spikes.n_spikes:
        one_by_one = (t for _, some in by_neuron(spikes, count, path.parent) for t in some)
        data = Times(one_by_one, buffer_size=2**16, dtype=np.dtype("f8"))
    time = common.VectorData(name="spike_times", description="times of spikes, s", data=data)
    index = common.VectorIndex(name="spike_times_index", data=np.cumsum(count), target=time)
    told = {
        "population": ("population of the neuron", labels["population_label"][of]),
        "voxel": ("voxel of the neuron", labels["voxel_label"][labels["population_voxel"][of]]),
    }
    columns = [
        common.VectorData(name=name, description=meaning, data=values.tolist())
        for name, (meaning, values) in told.items()
    ]
    file.units = misc.Units(
        name="units", description="neurons of the network", id=np.arange(count.size),
        columns=[index, time, *columns], colnames=["spike_times", *told],
    )  # fmt: skip
    with pynwb.NWBHDF5IO(str(path), "w") as out:
        out.write(file)


def write_neo(spikes: Spikes, path: Path) -> None:
    """Write a block of spike trains, one for each neuron that spiked, as NIX through Neo."""
    from dtbdask.sim.export import needed

    neo, _ = needed("neo"), needed("nixio")
    count = counts(spikes)
    n = int(np.count_nonzero(count))
    if n > MOST_TRAINS:
        raise CapacityError(
            f"{n:,} neurons spiked; Neo holds a train of each in memory, which is done for up to "
            f"{MOST_TRAINS:,}; use the format sonata, parquet or nwb"
        )
    schema_root = schema.root_of(spikes.group)
    first, last = schema_root["first_step"], schema_root["first_step"] + schema_root["n_steps"]
    start, stop = (step * spikes.dt_ms / 1000 for step in (first, last))
    block = neo.Block(name="spikes simulated by dtbdask")
    segment = neo.Segment(name="recording")
    block.segments.append(segment)
    labels = spikes.labels
    for neurons, seconds in by_neuron(spikes, count, path.parent):
        cuts = np.flatnonzero(np.diff(neurons)) + 1
        for times, neuron in zip(
            np.split(seconds, cuts), neurons[np.append(0, cuts)].tolist(), strict=True
        ):
            of = int(spikes.population_of(np.array([neuron]))[0])
            segment.spiketrains.append(neo.SpikeTrain(
                times, units="s", t_start=start, t_stop=stop, name=str(neuron), neuron=neuron,
                population=str(labels["population_label"][of]),
                voxel=str(labels["voxel_label"][labels["population_voxel"][of]]),
            ))  # fmt: skip
    out = neo.NixIO(str(path), mode="ow")
    try:
        out.write_block(block)
    finally:
        out.close()
