"""Where the blocks of a session live: on the CPU, or on CUDA devices."""

from __future__ import annotations

import logging
from typing import Any

from dtbdask.errors import InputError
from dtbdask.kernels import cuda

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")


def chosen(device: str, client: Any, where: list[str] | None = None) -> str:
    """The device that a session takes.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        With "auto" a CUDA device where this process, or every worker, has one of its own.
    client : distributed.Client or None
    where : list of str, optional
        Addresses of the workers that answer; by default all are asked.

    Returns
    -------
    {"cpu", "cuda"}

    Raises
    ------
    MissingDependencyError
        It is "cuda", and there is no CuPy or no device.
    """
    if device not in DEVICES:
        raise InputError(f"device is {device!r}; use one of {', '.join(map(repr, DEVICES))}")
    if device == "auto":
        places = (
            [cuda.place()]
            if client is None
            else list(client.run(cuda.place, workers=where).values())
        )
        own = None not in places and len(set(places)) == len(places) > 0
        device = "cuda" if own else "cpu"
    elif device == "cuda":
        if client is None:
            cuda.load_cupy()
        else:
            client.run(cuda.device_name, workers=where)
    if device == "cuda":
        logger.info("blocks live on CUDA devices")
    return device
