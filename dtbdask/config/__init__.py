"""Configuration: the defaults of `dtbdask.yaml`, known to Dask under `dtbdask`.

A value set with `dask.config.set`, in the environment (`DASK_DTBDASK__PROGRESS=log`) or in a
configuration file of Dask goes before its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import yaml

_DEFAULTS = yaml.safe_load((Path(__file__).parent / "dtbdask.yaml").read_text())
dask.config.update_defaults(_DEFAULTS)


def get(key: str) -> Any:
    """Value of `dtbdask.<key>`."""
    return dask.config.get(f"dtbdask.{key}")
