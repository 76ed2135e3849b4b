"""What all tests share: nobody looks, so nothing is told of progress, and nothing is timed."""

import dask
import hypothesis
import pytest

hypothesis.settings.register_profile("dtbdask", deadline=None)
hypothesis.settings.load_profile("dtbdask")


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    with dask.config.set({"dtbdask.progress": "off", "dtbdask.session.window-seconds": 0}):
        yield


@pytest.fixture(autouse=True, scope="module")
def _no_client_stays():
    """A client is its file's own: one that stays would run the tests of others."""
    yield
    from distributed import default_client

    with pytest.raises(ValueError, match="No client"):
        default_client()
