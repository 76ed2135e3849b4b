"""A sound network has no findings; whatever is done to one is found, with its place."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import as_import, chunk_file, edit, flip, held, swap
from networks import drawn_populations, make_brain, make_network

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.graph.build import build
from dtbdask.graph.checking.agreement import matrix_findings
from dtbdask.graph.checking.damage import root_findings
from dtbdask.graph.checking.verify import verify
from dtbdask.graph.modify import modify
from dtbdask.graph.network import Network, open_network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.synapses import Procedural
from dtbdask.graph.wiring import InEdges, Recipe

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
CHUNK = 804
"""Chunks end amid the synapses of a neuron."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, chunk=CHUNK, **SMALL)


@pytest.fixture(scope="module")
def imported(sound, tmp_path_factory):
    return as_import(sound, tmp_path_factory.mktemp("network") / "import.zarr", chunk=CHUNK)


@pytest.fixture
def path(sound, tmp_path):
    return shutil.copytree(sound.path, tmp_path / "brain.zarr")


@pytest.fixture
def import_path(imported, tmp_path):
    return shutil.copytree(imported.path, tmp_path / "import.zarr")


def checks(findings):
    return {finding.check for finding in findings}


def only(findings, check):
    """The sole finding, which is of this check."""
    assert checks(findings) == {check}, str(findings)
    (finding,) = findings
    return finding


def set_root(path, **changes):
    schema.update_root(zarr.open_group(path, mode="r+"), **changes)


def neurons_of(chunk):
    """First and last neuron, as told, whose synapses are in a chunk."""
    return f"neurons {chunk * CHUNK // 10:,} to {((chunk + 1) * CHUNK - 1) // 10:,}"


# Sound networks


def test_sound_networks_have_no_findings_and_are_counted(sound, imported):
    size = sound.populations.size
    population = np.repeat(np.arange(size.size), size)
    edges = sound.wiring.in_edges(0, sound.n_neurons)
    counts = np.zeros((size.size, size.size), np.int64)
    np.add.at(counts, (np.repeat(population, 10), population[edges.source]), 1)
    for network in (sound, imported, held(sound), sound.path):
        found = verify(network, deep=True)
        assert found.ok, str(found)
        assert "sound" in str(found)
        np.testing.assert_array_equal(found.matrix.toarray(), counts)
        assert found.figures["synapses"] == sound.n_synapses
        assert found.figures["weight_mean"] == edges.weight.mean(axis=0).tolist()
    in_memory = dataclasses.replace(sound, wiring=Procedural(sound.wiring.recipe), path="")
    assert verify(in_memory).figures["chunks"] == 1
    assert verify(sound).figures["chunks"] == 4


@given(drawn_populations(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_networks_that_use_their_sources_up_are_sound(populations, seed):
    n = populations.size.size
    recipe = Recipe.make(populations, seed)
    names, about = tuple(f"v{i}" for i in range(n)), {"slots": ("E",), "seed": seed}
    network = Network(populations, Parameters.make(n), Procedural(recipe), names, about)
    assert verify(network).ok


def test_a_test_of_many_entries_raises_no_false_alarm():
    for seed in range(20):
        found = verify(make_network(voxels=5, neurons=2000, degree=40, seed=seed))
        assert found.ok, str(found)
        assert found.figures["matrix_entries"] == 60  # each of 10 hears 5 x E and its own I
        assert 0.5 < abs(found.figures["matrix_largest_z"]) < found.figures["matrix_threshold_z"]


def test_a_modified_network_is_sound(path):
    modify(path, "g_ampa", 2.0, population="E", how="multiply")
    modify(path, "tau_ampa", 3.0, neuron=[1, 2])
    assert verify(path, deep=True).ok


# Damage


@pytest.mark.parametrize("name", ["synapse/source", "synapse/weight"])
@pytest.mark.parametrize("at", [None, -1])
def test_a_flipped_bit_is_found_with_its_chunk_and_neurons(path, name, at):
    flip(chunk_file(path, name, 1), at)
    finding = only(verify(path), "checksum")
    assert f"array '{name}', chunk 1 (synapses 804 to 1,607, {neurons_of(1)}" in finding.place
    assert "region 0 E to region 1 E)" in finding.place


def test_all_damage_is_found(path):
    for name, chunk in (("synapse/source", 0), ("synapse/source", 3), ("synapse/weight", 2)):
        flip(chunk_file(path, name, chunk))
    flip(chunk_file(path, "population/parameter/g_l", 0))
    chunk_file(path, "synapse/weight", 0).unlink()
    shutil.rmtree(path / "population" / "parameter" / "c")
    found = verify(path, deep=True)
    places = [finding.place for finding in found]
    for place in (
        "array 'synapse/source', chunk 0", "array 'synapse/source', chunk 3",
        "array 'synapse/weight', chunk 2", "array 'synapse/weight', chunk 0",
        "array 'population/parameter/g_l', chunk 0", "array 'population/parameter/c'",
    ):  # fmt: skip
        assert sum(p.startswith(place) for p in places) == 1, place
    assert len(places) == 6
    assert checks(found) == {"checksum", "missing chunk", "array"}
    assert found.figures["synapses"] == sum(len(range(k, 2980)[:CHUNK]) for k in (804, 1608))


@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_any_flipped_bit_of_any_chunk_is_found(sound, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "flipped.zarr"
    if not path.exists():
        shutil.copytree(sound.path, path)
    chunks = (p for p in path.rglob("*") if p.is_file() and p.name != "zarr.json")
    files = sorted(p for p in chunks if "c" in p.relative_to(path).parts)
    file = data.draw(st.sampled_from(files), "file")
    good = file.read_bytes()
    flip(file, data.draw(st.integers(0, len(good) - 1), "byte"))
    found = verify(path)
    file.write_bytes(good)
    name = "/".join(file.relative_to(path).parts).rpartition("/c/")[0]
    assert found.of("checksum")[0].place.startswith(f"array {name!r}, chunk ")


def test_missing_chunks_are_told_as_runs(path):
    for chunk in (0, 1, 3):
        chunk_file(path, "synapse/source", chunk).unlink()
    found = verify(path)
    assert [finding.place.partition(" (")[0] for finding in found.of("missing chunk")] == [
        "array 'synapse/source', chunks 0 to 1", "array 'synapse/source', chunk 3",
    ]  # fmt: skip
    assert "neurons 0 to 160, region 0 E" in found.found[0].place
    assert checks(found) == {"missing chunk"}


def test_swapped_chunks_are_found_by_the_recipe_and_by_who_hears_whom(path):
    swap(chunk_file(path, "synapse/source", 0), chunk_file(path, "synapse/source", 2))
    assert "matrix" in checks(verify(path))
    found = verify(path, deep=True).of("recipe")
    assert [finding.place.partition(" (")[0] for finding in found] == [
        "array 'synapse/source', chunk 0", "array 'synapse/source', chunk 2",
    ]  # fmt: skip


@given(synapse=st.integers(0, 2979), name=st.sampled_from(["source", "weight"]))
@settings(max_examples=3, deadline=None)
def test_one_other_synapse_is_named(sound, tmp_path_factory, synapse, name):
    path = tmp_path_factory.getbasetemp() / "other.zarr"
    shutil.copytree(sound.path, path, dirs_exist_ok=True)
    target = synapse // 10
    own = sound.wiring.in_edges(target, target + 1)
    values = {"source": own.source, "weight": own.weight[:, 0]}[name]
    meant = int(values[synapse % 10])
    free = [i for i in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) if i not in {*values, target}]
    edit(path, f"synapse/{name}", synapse if name == "source" else (synapse, 0), free[0])
    finding = verify(path, deep=True).of("recipe")[0]
    assert finding.place.startswith(f"array 'synapse/{name}', chunk {synapse // CHUNK} ")
    label = sound.population_labels[int(sound.populations.population_of(target, target + 1)[0])]
    assert f"synapse {synapse:,} of neuron {target:,} of {label} has {name} " in finding.told
    assert str(meant) in finding.told.partition("the recipe makes")[2]
    assert f"1 of {min(CHUNK, 2980 - synapse // CHUNK * CHUNK)} differ" in finding.told


# Synapses that break a law


@pytest.mark.parametrize(
    ("kept", "check"),
    [("stored", "source"), ("stored", "self edge"), ("stored", "double edge"),
     ("imported", "source"), ("held", "double edge")],
)  # fmt: skip
def test_a_bad_edge_is_named(sound, path, import_path, kept, check):
    target, synapse = 123, 1234
    other = int(sound.wiring.in_edges(target, target + 1).source[7])
    bad = {"source": sound.n_neurons, "self edge": target, "double edge": other}[check]
    if kept == "held":
        network = held(sound)
        edges = network.wiring.edges
        source = edges.source.copy()
        source[synapse] = bad
        edges = InEdges(edges.indptr, source, edges.weight)
        synapses = dataclasses.replace(network.wiring, edges=edges)
        found = verify(dataclasses.replace(network, wiring=synapses))
    else:
        place = path if kept == "stored" else import_path
        edit(place, "synapse/source", synapse, bad)
        found = verify(place)
    (finding,) = found.of(check)
    assert finding.place.startswith(
        "synapses 0" if kept == "held" else "array 'synapse/source', ch"
    )
    at = 1237 if check == "double edge" else synapse
    assert finding.told.startswith(f"synapse {at:,} of neuron 123 of region 0 I comes from ")
    assert finding.told.endswith(f"neuron {bad:,}")


def test_a_source_twice_is_found_across_chunks(path):
    target, first = CHUNK // 10, CHUNK // 10 * 10
    assert first < CHUNK < first + 10
    group = zarr.open_group(path, mode="r")
    edit(path, "synapse/source", first, group["synapse/source"][first + 9])
    (finding,) = verify(path).of("double edge")
    assert finding.place == f"synapses {first} to {first + 9}"
    assert f"neuron {target} of region 0 E has neuron " in finding.told
    assert finding.told.endswith("as a source twice")


def test_sources_from_populations_that_are_not_to_be_heard(sound, path):
    far = int(sound.populations.first[5])
    source = zarr.open_group(path, mode="r")["synapse/source"][0:10].tolist()
    free = next(i for i in range(far, sound.n_neurons) if i not in source)
    edit(path, "synapse/source", 3, free)
    finding = only(verify(path), "matrix")
    assert finding.place == "region 0 E"
    assert finding.told.startswith("1 synapses from 1 populations that the recipe does not let it")
    assert finding.told.endswith("region 2 I first")


def test_other_shares_are_seen_in_who_hears_whom():
    network = make_network(voxels=4, neurons=4000, degree=40)
    mixture = network.populations.mixture
    share = np.roll(mixture.far_share.reshape(4, 3), 1, axis=1).ravel()
    populations = dataclasses.replace(
        network.populations, mixture=dataclasses.replace(mixture, far_share=share)
    )
    figures, names = {}, network.population_labels
    matrix = verify(network).matrix
    assert not list(matrix_findings(matrix, network.wiring.recipe, names, figures))
    found = list(matrix_findings(matrix, Recipe.make(populations, 0), names, figures))
    assert {finding.check for finding in found} == {"matrix"}
    assert all(" E from region " in f.place or " I from region " in f.place for f in found)
    assert abs(figures["matrix_largest_z"]) > figures["matrix_threshold_z"] > 5
    assert figures["matrix_largest_entry"].partition(":")[0] in {f.place for f in found}


def test_weights_beyond_their_range_and_not_uniform(path):
    weight = zarr.open_group(path, mode="r")["synapse/weight"][:]
    edit(path, "synapse/weight", slice(None), np.minimum(weight, 200))
    places = [finding.place for finding in verify(path).of("weights")]
    assert places == ["weight 0 of the pairs", "weight 1 of the pairs"]
    set_root(path, weights=[0, 199])
    found = verify(path).of("weights")
    assert len(found) == 4
    first = int(np.flatnonzero((weight >= 200).any(axis=1))[0])
    assert found[0].place.startswith("array 'synapse/weight', chunk 0 ")
    assert found[0].told.startswith(f"synapse {first:,} of neuron {first // 10:,} of region 0 E")


def test_kicks_that_overflow_are_named(tmp_path):
    network = make_network(neurons=300, degree=10, wide=True)
    path = tmp_path / "wide.zarr"
    assert verify(as_import(network, path)).ok
    edit(path, "synapse/weight", (slice(50, 60), 1), 2**32 - 1)
    assert only(verify(path), "weights").told.startswith("those of neuron 5 of region 0 E overflow")


# Tables


@pytest.mark.parametrize(
    ("name", "at", "value", "check", "told"),
    [
        ("population/parameter/g_l", 4, 0.03, "recipe checksum", "are not those it was made with"),
        ("population/parameter/g_l", 4, -1.0, "parameters", "g_l of population 4 is -1 1/ms"),
        ("population/size", 1, 1, "populations", "population 1 has 1; expected 2 to"),
        ("population/size", 1, 24, "in-degree", "2,980 synapses; the in-degrees of the neurons"),
        ("mixture/indptr", 2, 99, "mixture", "it must rise from 0 to 18"),
    ],
)
def test_an_edited_table_is_found(path, name, at, value, check, told):
    edit(path, name, at, value)
    found = verify(path, deep=True).of(check)
    assert any(told in finding.told for finding in found), found
    assert all(f"array '{name}'" in finding.place for finding in found if check in name)


def test_wrong_in_degrees_of_an_import_are_found(import_path):
    edit(import_path, "synapse/indptr", 7, 10**6)
    found = verify(import_path)
    finding = only(found, "in-degree")
    assert finding.place == "array 'synapse/indptr'"
    assert "neuron 7 has -999,920 synapses" in finding.told
    assert found.matrix is None


def test_a_root_that_lacks_an_entry_is_told(path):
    root = dict(open_network(path).attributes)
    assert not list(root_findings(root))
    for entry in ("seed", "weights", "labels", "slots", "synapses", "recipe_sha256"):
        (finding, *_) = root_findings({name: root[name] for name in root if name != entry})
        assert finding.told == f"its entry {entry!r} is missing"
    set_root(path, labels=7)
    assert only(verify(path), "root").told == "its entry 'labels' is 7"
    set_root(path, labels=root["labels"], weights=[0, 300])
    assert "weights[1] is 300" in only(verify(path), "root").told


# Stores that were never completed, and what is no network


def test_an_uncommitted_store_says_what_is_missing_and_how_to_go_on(path, import_path):
    for store, again in ((path, "the same build resumes it"), (import_path, "import it again")):
        set_root(store, status="writing")
        chunk_file(store, "synapse/weight", 2).unlink()
        found = verify(store)
        assert again in found.of("commit")[0].told
        assert found.of("missing chunk")[0].place.startswith("array 'synapse/weight', chunk 2 ")
        assert len(found.found) == 2
    build(make_brain(), path, chunk=CHUNK, **SMALL)
    assert verify(path, deep=True).ok


def test_a_store_without_tables_is_told(path):
    shutil.rmtree(path / "population")
    found = verify(path)
    assert {"array 'population/size'", "array 'population/parameter/g_l'"} <= {
        finding.place for finding in found
    }
    assert found.matrix is None


def test_what_is_no_network_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        verify(tmp_path / "absent.zarr")
    schema.commit(schema.create_store(tmp_path / "r", "recording", {}))
    with pytest.raises(StoreError, match="a dtbdask recording store, expected a network"):
        verify(tmp_path / "r")


def test_findings_are_plain_text_and_plain_values(path):
    for chunk in range(4):
        flip(chunk_file(path, "synapse/source", chunk))
    found = verify(path)
    assert str(found).startswith(f"{path}: 4 findings\n- checksum: array 'synapse/source', chunk 0")
    told = json.loads(json.dumps(found.to_dict()))
    assert [finding["check"] for finding in told["findings"]] == ["checksum"] * 4
    assert told["ok"] is False
    assert told["synapses"] == 0
