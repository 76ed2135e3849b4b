"""What all tests share: nobody looks, so nothing is told of progress."""

import dask
import pytest


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    with dask.config.set({"dtbdask.progress": "off"}):
        yield
