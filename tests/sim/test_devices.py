"""What a session takes when it is left the choice, and what it says when it has none."""

import pytest
from networks import make_network

from dtbdask.errors import InputError, MissingDependencyError
from dtbdask.kernels import cuda
from dtbdask.sim import devices
from dtbdask.sim.session import Session


class Cluster:
    """A client whose workers have these devices."""

    def __init__(self, *places):
        self._places = places

    def run(self, function, workers):
        assert (function, workers) == (cuda.place, None)
        return dict(enumerate(self._places))


@pytest.mark.parametrize(
    ("places", "device"),
    [
        (["a 0", "a 1"], "cuda"), (["a 0", "b 0"], "cuda"), (["a 0", "a 0"], "cpu"),
        (["a 0", None], "cpu"), ([None], "cpu"), ([], "cpu"),
    ],
)  # fmt: skip
def test_a_cluster_takes_devices_where_each_worker_has_its_own(places, device):
    assert devices.chosen("auto", Cluster(*places)) == device


def test_a_session_tells_what_it_took(caplog):
    with caplog.at_level("INFO"), Session(make_network()) as session:
        assert session.device == ("cuda" if cuda.present() else "cpu")
    assert ("CUDA devices" in caplog.text) == cuda.present()


def test_a_device_that_is_asked_for_and_missing_is_an_error(monkeypatch):
    with pytest.raises(InputError, match="device is 'tpu'"):
        Session(make_network(), device="tpu")
    if not cuda.present():
        with pytest.raises(MissingDependencyError, match="device is 'cuda'"):
            Session(make_network(), device="cuda")
