"""Stores hold the parameters of auxiliary currents where these depart from their defaults."""

import hashlib
import shutil

import numpy as np
import pytest
import zarr
from networks import make_brain

from dtbdask.errors import StoreError
from dtbdask.graph.build import build
from dtbdask.graph.checking.verify import verify
from dtbdask.graph.modify import modify
from dtbdask.graph.network import open_network
from dtbdask.graph.parameters import AUXILIARY, PARAMETERS
from dtbdask.graph.store import MIXTURE

RECIPE = {"neurons": 400, "degree": 5, "seed": 1}


def built(path, **parameters):
    return build(make_brain(2), path, parameters=parameters, **RECIPE)


def parameter_arrays(path, dimension="population"):
    group = zarr.open_group(path, mode="r")[dimension]
    return set(group["parameter"].array_keys()) if "parameter" in group else set()


def old_digest(network):
    """Checksum of a store from before there were auxiliary currents."""
    table, values = network.populations, network.parameters.population
    digest = hashlib.sha256(f"{network.attributes['seed']} (0, 255)".encode())
    for name in ("voxel", "slot", "excitatory", "size", "degree"):
        digest.update(getattr(table, name).tobytes())
    for name in MIXTURE:
        digest.update(getattr(table.mixture, name).tobytes())
    for name in sorted(set(PARAMETERS) - set(AUXILIARY)):
        digest.update(name.encode() + values[name].tobytes())
    return digest.hexdigest()


def test_a_store_from_before_these_parameters_opens_with_the_defaults(tmp_path):
    """It is what is written today of a network without them, byte for byte."""
    network = built(tmp_path / "net")
    assert parameter_arrays(tmp_path / "net") == set(PARAMETERS) - set(AUXILIARY)
    assert network.attributes["recipe_sha256"] == old_digest(network)
    for name in AUXILIARY:
        values = open_network(tmp_path / "net").parameters.population[name]
        np.testing.assert_array_equal(values, np.full(4, PARAMETERS[name].default))
    assert verify(tmp_path / "net").ok


def test_values_that_depart_are_stored_and_guarded_by_the_checksum(tmp_path):
    given = {"g_t": [0.0, 0.06, 0.0, 0.0], "v_h": -60.0}
    network = built(tmp_path / "net", **given)
    assert parameter_arrays(tmp_path / "net") & set(AUXILIARY) == set(given)
    np.testing.assert_array_equal(network.parameters.population["g_t"], given["g_t"])
    np.testing.assert_array_equal(network.parameters.population["v_h"], np.full(4, -60.0))
    assert network.attributes["recipe_sha256"] != old_digest(network)
    assert verify(tmp_path / "net").ok
    shutil.rmtree(tmp_path / "net" / "population" / "parameter" / "g_t")
    with pytest.raises(StoreError, match="do not match the recipe's checksum"):
        open_network(tmp_path / "net")
    assert not verify(tmp_path / "net").ok


@pytest.mark.parametrize("name", ["ou_mean", "g_ampa"])
def test_a_parameter_modified_to_zero_leaves_a_whole_store(tmp_path, name):
    built(tmp_path / "net")
    for value in (0.0, 0.1, 0.0):
        values = modify(tmp_path / "net", name, value).parameters.population[name]
        np.testing.assert_array_equal(values, np.full(4, value))


def test_a_parameter_that_a_store_lacks_can_be_modified(tmp_path):
    path = tmp_path / "net"
    n = built(path).n_neurons
    modify(path, "g_da", 0.01, population="E")
    network = modify(path, "alpha_ca", [0.5, 0.7], neuron=[0, n - 1])
    e = network.populations.excitatory
    np.testing.assert_array_equal(network.parameters.population["g_da"], np.where(e, 0.01, 0.0))
    own = network.parameters.neuron["alpha_ca"]
    assert (own[0], own[1], own[-1]) == (0.5, PARAMETERS["alpha_ca"].default, 0.7)
    network = modify(path, "g_da", 0.0)
    assert not network.parameters.on("g_da")
    assert verify(path).ok
    assert not list(path.rglob("*modify*"))
