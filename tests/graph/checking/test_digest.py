"""The content hash is that of the synapses alone, however they are kept, and of all of them."""

import dataclasses
import hashlib
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import as_import, held
from networks import make_brain, make_network

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.graph.build import build
from dtbdask.graph.checking import digest as digest_module
from dtbdask.graph.checking import synapse_ranges
from dtbdask.graph.checking.digest import digest
from dtbdask.graph.modify import modify
from dtbdask.graph.network import open_network
from dtbdask.graph.wiring import InEdges

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
CHUNK = 800
FEW = 700
"""Synapses of a stretch here: neither the chunk nor a multiple of the in-degree."""


@pytest.fixture(autouse=True)
def _many_stretches(monkeypatch):
    for module in (digest_module, synapse_ranges):
        monkeypatch.setattr(module, "STRETCH", FEW)
    monkeypatch.setattr(digest_module, "PIECES", 2)


@pytest.fixture(scope="module")
def procedural(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, synapses="procedural", **SMALL)


def by_definition(network):
    """The hash as the module describes it, from whole arrays."""
    populations, synapses = network.populations, network.wiring
    edges = synapses.in_edges(0, network.n_neurons)
    scale = float(synapses.weight_scale).hex()
    whole = hashlib.sha256(
        f"dtbdask synapses 1, weights {edges.weight.dtype.name} of {scale}\n".encode()
    )
    whole.update(populations.size.astype("<i8").tobytes())
    whole.update(populations.excitatory.astype("u1").tobytes())
    whole.update(np.diff(edges.indptr).astype("<i8").tobytes())
    for start in range(0, edges.source.size, FEW):
        part = slice(start, start + FEW)
        whole.update(hashlib.sha256(edges.source[part].astype("<u4").tobytes()).digest())
        whole.update(hashlib.sha256(edges.weight[part].tobytes()).digest())
    return whole.hexdigest()


def test_it_is_what_its_description_says(procedural):
    wide = make_network(wide=True)
    assert digest(procedural) == by_definition(procedural)
    assert digest(wide) == by_definition(wide) != digest(make_network())


@pytest.mark.parametrize(("chunk", "threads"), [(233, 3), (CHUNK, 2), (5000, 1)])
def test_chunks_and_threads_do_not_matter(procedural, tmp_path, chunk, threads):
    stored = build(make_brain(), tmp_path / "s.zarr", chunk=chunk, **SMALL)
    with dask.config.set(num_workers=threads):
        assert digest(stored) == digest(procedural)


def test_the_way_synapses_are_kept_does_not_matter(procedural, tmp_path):
    imported = as_import(procedural, tmp_path / "i.zarr", chunk=CHUNK)
    assert digest(imported) == digest(held(procedural)) == digest(procedural)


def test_a_cluster_computes_the_same(procedural, tmp_path):
    stored = build(make_brain(), tmp_path / "s.zarr", chunk=CHUNK, **SMALL)
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as
        cluster, Client(cluster) as client,
    ):  # fmt: skip
        for network in (stored, procedural, held(stored)):
            assert digest(network, client) == digest(procedural)


def test_a_resumed_build_has_the_digest_of_an_uninterrupted_one(procedural, tmp_path):
    path = tmp_path / "s.zarr"
    build(make_brain(), path, chunk=CHUNK, **SMALL)
    schema.update_root(zarr.open_group(path, mode="r+"), status="writing")
    (path / "synapse" / "source" / "c" / "1").unlink()
    (path / "synapse" / "weight" / "c" / "3" / "0").unlink()
    assert digest(build(make_brain(), path, chunk=CHUNK, **SMALL)) == digest(procedural)


def test_parameters_are_not_part_of_it_and_all_of_the_wiring_is(procedural, tmp_path):
    changes = [{"seed": 6}, {"neurons": 301}, {"degree": 11}, {"weights": (1, 255)}]
    made = {
        digest(build(make_brain(), tmp_path / str(i), synapses="procedural", **(SMALL | change)))
        for i, change in enumerate(changes)
    }
    assert len(made | {digest(procedural)}) == 1 + len(changes)
    modify(procedural.path, "g_ampa", 0.01)
    assert digest(open_network(procedural.path)) == digest(procedural)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_one_synapse_more_or_less_is_seen(procedural, data):
    network = held(procedural)
    edges, synapses = network.wiring.edges, network.n_synapses
    e = data.draw(st.integers(0, synapses - 1), "synapse")
    bit = data.draw(st.integers(0, 7), "bit")
    source, weight, indptr = edges.source.copy(), edges.weight.copy(), edges.indptr.copy()
    match data.draw(st.sampled_from(["source", "weight", "target"])):
        case "source":
            source[e] ^= np.uint32(1 << bit)
        case "weight":
            weight[e, e % 2] ^= np.uint8(1 << bit)
        case "target":  # one neuron hands a synapse to the next
            indptr[1 + e % (indptr.size - 2)] -= 1
    other = dataclasses.replace(network.wiring, edges=InEdges(indptr, source, weight))
    assert digest(dataclasses.replace(network, wiring=other)) != digest(network)


def test_what_synapses_do_is_seen(procedural):
    network = held(procedural)
    table = network.populations
    size = table.size.copy()
    size[:2] += [-1, 1]
    mixture = table.mixture
    delay = np.full(mixture.far_population.size, 1, np.uint16)
    late = delay.copy()
    late[-1] = 2

    def of(**changes):
        return digest(
            dataclasses.replace(network, populations=dataclasses.replace(table, **changes))
        )

    made = [
        digest(network),
        of(size=size),
        of(excitatory=~table.excitatory),
        of(mixture=dataclasses.replace(mixture, far_delay=late)),
        digest(
            dataclasses.replace(
                network, wiring=dataclasses.replace(network.wiring, weight_scale=1.0)
            )
        ),
    ]
    assert len(set(made)) == len(made)
    assert of(mixture=dataclasses.replace(mixture, far_delay=delay)) == made[0]


def test_a_damaged_chunk_is_an_error(tmp_path):
    build(make_brain(), tmp_path / "s.zarr", chunk=CHUNK, **SMALL)
    file = Path(tmp_path / "s.zarr" / "synapse" / "source" / "c" / "2")
    good = file.read_bytes()
    file.write_bytes(good[:-9] + bytes([good[-9] ^ 4]) + good[-8:])
    with pytest.raises(StoreError, match=r"s\.zarr: damaged, array 'synapse/source'"):
        digest(open_network(tmp_path / "s.zarr"))
