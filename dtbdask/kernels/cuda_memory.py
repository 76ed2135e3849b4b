"""Memory of the device in use: whose pool arrays come from, and what is free."""

from __future__ import annotations

import sys
from typing import Any

from dtbdask.errors import CapacityError
from dtbdask.kernels import cuda


def share_pool() -> None:
    """Take memory from RMM where this process has given RMM a pool, as workers of dask-cuda do.

    Two pools on one device would each hold what the other lacks. RMM is asked to count what is in
    use, which nothing else tells.
    """
    rmm: Any = sys.modules.get("rmm")  # who has made a pool has imported it
    if rmm is None or _is_plain(rmm):
        return
    from rmm import statistics
    from rmm.allocators.cupy import rmm_cupy_allocator

    statistics.enable_statistics()
    cuda.load_cupy().cuda.set_allocator(rmm_cupy_allocator)


def check_free(wanted: int, what: str) -> None:
    """Refuse what the free memory of the device cannot hold, before it is allocated.

    Parameters
    ----------
    wanted : int
        Bytes.
    what : str
        For the message.

    Raises
    ------
    CapacityError
        It names both numbers.
    """
    cp: Any = cuda.load_cupy()
    free, total = cp.cuda.runtime.memGetInfo()
    free += cp.get_default_memory_pool().free_bytes() + _free_in_rmm()
    if wanted > free:
        raise CapacityError(
            f"{what} need {wanted / 1e9:,.1f} GB on {cuda.device_name()}, which has "
            f"{free / 1e9:,.1f} GB free of {total / 1e9:,.1f} GB; use more blocks, one a device"
        )


def _is_plain(rmm: Any) -> bool:
    return isinstance(rmm.mr.get_current_device_resource(), rmm.mr.CudaMemoryResource)


def _free_in_rmm() -> int:
    """Bytes that RMM's pool holds and nobody uses, of those who came after `share_pool`."""
    rmm: Any = sys.modules.get("rmm")
    if rmm is None or _is_plain(rmm):
        return 0
    used = rmm.statistics.get_statistics()
    pool = rmm.mr.get_current_device_resource()
    while isinstance(pool, rmm.mr.UpstreamResourceAdaptor):
        if isinstance(pool, rmm.mr.PoolMemoryResource):
            return int(pool.pool_size()) - (used.current_bytes if used else 0)
        pool = pool.get_upstream()
    return 0
