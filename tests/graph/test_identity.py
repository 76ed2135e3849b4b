"""A network is told by the same entries in whatever was made with it."""

import dataclasses

import pytest
from networks import make_network

from dtbdask import schema
from dtbdask.graph.identity import IDENTITY, identity
from dtbdask.sim.moments import Moments, beside
from dtbdask.sim.session import Session


def test_recordings_and_checkpoints_carry_it(tmp_path, monkeypatch):
    network = make_network().lesioned(source="E", target="region 1", scale=0.5)
    made = []
    of = Moments.of.__func__
    monkeypatch.setattr(
        Moments, "of", classmethod(lambda cls, *a, **k: made.append(of(cls, *a, **k)) or made[-1])
    )
    path = tmp_path / "run.zarr"
    with Session(network) as session:
        session.run(0.04, record=["rate"], to=path, checkpoint_every=0.02)
    assert len(made) == 1, "a run has one id"
    stores = path, beside(path) / "0.zarr", beside(path) / "1.zarr"
    for store in stores:
        root = schema.read_root(store)
        assert {name: root[name] for name in IDENTITY} == identity(network)
        assert root.get("run", root.get("protocol", {}).get("run")) == made[0].run


@pytest.mark.parametrize("name", IDENTITY)
def test_each_of_its_entries_tells_networks_apart(name):
    other = {
        "n_neurons": lambda n: make_network(neurons=900),
        "n_synapses": lambda n: make_network(degree=21),
        "weight_scale": lambda n: make_network(wide=True),
        "recipe_sha256": lambda n: make_network(v_l=-69.0),
        "lesions": lambda n: n.lesioned(source="E", scale=0.5),
    }[name](network := make_network())
    assert identity(network)[name] != identity(other)[name]
    assert identity(network) == identity(dataclasses.replace(make_network(), path="elsewhere"))
