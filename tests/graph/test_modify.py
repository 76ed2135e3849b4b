"""A modification changes what it says and nothing else; interrupted anywhere, it never half is."""

import fcntl
import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage._local as local
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import as_import, chunk_file
from networks import make_brain

from dtbdask.errors import InputError, StoreError
from dtbdask.graph import modify as modify_module
from dtbdask.graph.build import build
from dtbdask.graph.checking.verify import verify
from dtbdask.graph.modify import modify
from dtbdask.graph.network import open_network
from dtbdask.graph.parameters import PARAMETERS

SMALL = {"neurons": 300, "degree": 10, "seed": 5}


def contents(path):
    """Bytes of every file below a path."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return Path(build(make_brain(), path, gamma={"g_nmda": 5.0}, **SMALL).path)


@pytest.fixture
def path(untouched, tmp_path):
    return shutil.copytree(untouched, tmp_path / "brain.zarr")


# What is changed


@st.composite
def modifications(draw, n_populations=6, n_neurons=298):
    """Arguments of a modification, and the neurons it means."""
    dimension, n = draw(
        st.sampled_from(
            [("population", n_populations), ("neuron", n_neurons), (None, n_populations)]
        )
    )
    index = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8, unique=True))
    index = np.arange(n) if dimension is None else np.array(index)
    positive = st.floats(0.1, 4.0)
    value = draw(positive | st.lists(positive, min_size=index.size, max_size=index.size))
    chosen = {} if dimension is None else {dimension: index}
    if dimension is not None and np.ndim(value) == 0 and draw(st.booleans()):
        mask = np.zeros(n, bool)
        mask[index] = True
        chosen = {dimension: mask}
    parameter = draw(st.sampled_from(["g_ampa", "g_nmda", "tau_ampa"]))
    how = draw(st.sampled_from(["assign", "multiply"]))
    return parameter, value, chosen, how, dimension or "population", index


@given(st.lists(modifications(), min_size=1, max_size=3))
@settings(max_examples=4, deadline=None)
def test_a_series_of_modifications_does_what_each_says(untouched, tmp_path_factory, series):
    path = tmp_path_factory.mktemp("modified") / "brain.zarr"
    network = open_network(shutil.copytree(untouched, path))
    size = network.populations.size
    population = np.repeat(np.arange(size.size), size)
    values = {
        name: network.parameters.neuron.get(name, network.parameters.population[name][population])
        for name in ("g_ampa", "g_nmda", "tau_ampa")
    }
    for parameter, value, chosen, how, dimension, index in series:
        network = modify(path, parameter, value, how=how, **chosen)
        each = np.broadcast_to(value, index.shape)
        model = values[parameter] = values[parameter].copy()
        for i, v in zip(index, each, strict=True):
            at = population == i if dimension == "population" else i
            model[at] = v if how == "assign" else model[at] * v
    now = network.parameters
    for name, model in values.items():
        found = now.neuron.get(name, now.population[name][population])
        np.testing.assert_array_equal(found, model)
    assert len(network.attributes["modified"]) == len(series)
    before = contents(untouched)
    parameter_files = {k for k in before if "/parameter/" in k}
    now = {k: v for k, v in contents(path).items() if "/parameter/" not in k and k != "zarr.json"}
    before = {k: v for k, v in before.items() if k not in parameter_files and k != "zarr.json"}
    assert {k: v for k, v in now.items() if k in before} == before
    assert set(now) - set(before) <= {"neuron/zarr.json"}


def test_populations_keep_the_spread_of_their_neurons(path):
    before = open_network(path).parameters.neuron["g_nmda"]
    network = modify(path, "g_nmda", 3.0, how="multiply")
    np.testing.assert_array_equal(network.parameters.neuron["g_nmda"], before * 3.0)
    network = modify(path, "g_nmda", 0.5, population="region 2 I")
    own = network.parameters.neuron["g_nmda"]
    size = network.populations.size
    assert (own[-size[-1] :] == 0.5).all()
    np.testing.assert_array_equal(own[: -size[-1]], before[: -size[-1]] * 3.0)


def test_factors_are_relative_to_what_is_stored_now(path):
    modify(path, "g_ampa", 2.0, how="multiply")
    network = modify(path, "g_ampa", 2.0, how="multiply")
    assert (network.parameters.population["g_ampa"] == 4 * PARAMETERS["g_ampa"].default).all()


def test_only_chunks_that_change_are_written(path, monkeypatch):
    monkeypatch.setattr(modify_module, "NEURONS_PER_CHUNK", 64)
    modify(path, "tau_ampa", 3.0, neuron=[0])
    old = path / "neuron/parameter/tau_ampa.1/c"
    kept = {p.name: p.stat().st_ino for p in old.iterdir()}
    assert sorted(kept) == ["0", "1", "2", "3", "4"]
    network = modify(path, "tau_ampa", [4.0, 5.0], neuron=[70, 297])
    now = {p.name: p.stat().st_ino for p in (path / "neuron/parameter/tau_ampa.2/c").iterdir()}
    assert [name for name in sorted(now) if now[name] == kept[name]] == ["0", "2", "3"]
    assert not old.exists()
    assert network.parameters.neuron["tau_ampa"][[0, 1, 70, 297]].tolist() == [3.0, 2.0, 4.0, 5.0]


def test_without_links_files_are_copied(path, monkeypatch):
    def no_links(*arguments):
        raise PermissionError

    monkeypatch.setattr(modify_module, "NEURONS_PER_CHUNK", 64)
    modify(path, "tau_ampa", 3.0, neuron=[0])
    monkeypatch.setattr(os, "link", no_links)
    assert modify(path, "tau_ampa", 4.0, neuron=[1]).parameters.neuron["tau_ampa"][0] == 3.0


def test_imported_and_procedural_networks_are_modified_too(path, tmp_path):
    imported = as_import(open_network(path), tmp_path / "import.zarr")
    procedural = build(make_brain(), tmp_path / "p.zarr", synapses="procedural", **SMALL)
    for network in (imported, procedural):
        made = modify(network.path, "g_ampa", 0.5, population="E")
        assert made.parameters.population["g_ampa"].tolist() == [0.5, 0.002] * 3
        assert verify(made).ok


def test_the_history_tells_what_was_done(path):
    modify(path, "g_ampa", 0.5, population=["region 0 E", "I"])
    modify(path, "tau_ampa", np.linspace(1, 2, 20), neuron=np.arange(20), how="multiply")
    network = modify(path, "c", 1)
    first, second, third = network.attributes["modified"]
    assert first.pop("when").endswith("+00:00")
    assert first == {
        "parameter": "g_ampa", "population": ["region 0 E", "I"], "how": "assign", "value": 0.5,
    }  # fmt: skip
    assert (second["neuron"]["count"], second["neuron"]["high"]) == (20, 19)
    assert (second["value"]["low"], len(second["value"]["sha256"])) == (1.0, 64)
    assert (third["population"], third["value"]) == ("all", 1)
    assert network.attributes["made"] == open_network(path).attributes["made"]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("g_xyz", 1.0), "unknown parameter 'g_xyz'"),
        (("g_ampa", -1.0), "g_ampa of population 0 is -1"),
        (("g_ampa", float("nan")), "g_ampa of population 0 is nan"),
        (("g_ampa", "much"), "'much' is not a number"),
        (("g_ampa", [1.0, 2.0]), r"value has shape \(2,\); expected one value, or \(6,\)"),
        (("v_reset", -50.0), "population 0: v_reset is -50 mV, not below its v_th of -50 mV"),
        (("g_ampa", 1.0, {"population": "E", "neuron": [1]}), "both given"),
        (("g_ampa", 1.0, {"how": "add"}), "how is 'add'"),
        (("v_th", -55.0, {"neuron": [7]}), "neuron 7: v_reset is -55 mV"),
        (("tau_ampa", 0.0, {"neuron": [7], "how": "multiply"}), "tau_ampa of neuron 7 is 0 ms"),
        (("g_ampa", 1.0, {"neuron": [298]}), "neuron 298 is chosen; there are 0 to 297"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_changed(path, arguments, told):
    before = contents(path)
    parameter, value, *options = arguments
    with pytest.raises(InputError, match=told):
        modify(path, parameter, value, **(options[0] if options else {}))
    assert contents(path) == before


def test_a_store_that_is_none_or_damaged_or_in_use_is_refused(path, tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        modify(tmp_path / "absent", "g_ampa", 1.0)
    assert not (tmp_path / "absent").exists()
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="being modified by somebody else"):
        modify(path, "g_ampa", 1.0)
    os.close(handle)
    modify(path, "g_ampa", 1.0)
    chunk_file(path, "population/parameter/c", 0).unlink()
    with pytest.raises(StoreError, match="damaged"):
        modify(path, "g_ampa", 2.0)


# Interruptions


class Killed(Exception):
    """From here on nothing is written any more."""


class Power:
    """Lets a number of changes to the disk happen, and none after them."""

    def __init__(self, changes):
        self.left = changes

    def guard(self, function):
        def guarded(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return function(*arguments, **options)

        return guarded

    def torn_put(self, put):
        """A file of Zarr is first written beside its place: the last one stays there."""

        def guarded(path, value, **options):
            self.left -= 1
            if self.left == -1 and path.parent.exists():
                path.with_suffix(".0123.partial").write_bytes(b"{")
            if self.left < 0:
                raise Killed
            return put(path, value, **options)

        return guarded


def cut(monkeypatch, changes):
    power = Power(changes)
    for module, names in (
        (os, ("link", "rename", "unlink", "rmdir", "mkdir")),
        (shutil, ("copyfile",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, power.guard(getattr(module, name)))
    monkeypatch.setattr(local, "_put", power.torn_put(local._put))
    return power


def parameters(path):
    """All values, as opening the network gives them, and the length of its history."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr wonders at the file that was left
        network = open_network(path)
    now = network.parameters
    values = {f"p {k}": v.tolist() for k, v in now.population.items()}
    values |= {f"n {k}": v.tolist() for k, v in now.neuron.items()}
    return values, len(network.attributes.get("modified", []))


@pytest.mark.parametrize(
    "change",
    [
        {"parameter": "g_nmda", "value": 2.0, "how": "multiply"},
        {"parameter": "tau_ampa", "value": 3.0, "neuron": [5]},
    ],
    ids=["of populations and neurons", "of neurons that had none"],
)
def test_an_interruption_anywhere_leaves_the_network_as_before_or_as_after(
    path, tmp_path, monkeypatch, change
):
    monkeypatch.setattr(modify_module, "NEURONS_PER_CHUNK", 256)
    modify(path, "g_nmda", 0.001, neuron=[1])  # so there is an old version to be removed
    before, whole = parameters(path), tmp_path / "whole.zarr"
    modify(shutil.copytree(path, whole), **change)
    after = parameters(whole)
    seen, opened = [], open_network(path)
    for changes in range(200):
        broken = shutil.copytree(path, tmp_path / "broken.zarr", copy_function=os.link)
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(modify_module, "open_network", lambda _: opened)
            power = cut(patch, changes)
            with suppress(Killed):
                modify(broken, **change)
        found = parameters(broken)
        assert found in (before, after)
        seen.append(found == after)
        if power.left >= 0:
            break
        if changes % 12 == 0:  # and it can be modified again, which leaves no debris
            modify(broken, "c", 1.0)
            assert all("modify" not in name and "partial" not in name for name in contents(broken))
            versions = [p.name for p in broken.glob("*/parameter/g_nmda*")]
            assert len(versions) == 2
        shutil.rmtree(broken)
    assert power.left >= 0
    assert seen == sorted(seen)
    assert seen.count(False) > 5
    assert seen.count(True) > 2


def test_what_an_interruption_leaves_is_no_part_of_the_store(path):
    members = {name for name, _ in zarr.open_group(path, mode="r").members(None)}
    (path / modify_module.WORKSHOP / "half" / "c").mkdir(parents=True)
    shutil.copytree(path / "population/parameter/c", path / "population/parameter/c.9")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {name for name, _ in zarr.open_group(path, mode="r").members(None)} - members == {
            "population/parameter/c.9"
        }
        assert parameters(path)[1] == 0
        modify(path, "g_l", 0.03)
    assert not (path / "population/parameter/c.9").exists()
    assert not (path / modify_module.WORKSHOP).exists()
