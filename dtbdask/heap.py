"""Memory that was freed goes back to the machine, as far as the C library can be asked for it.

glibc gives every thread an *arena* of its own and keeps in each what was freed there. A block is
loaded by some ten threads, most of them Zarr's, and at a million neurons x 100 they kept 200 MB of
scratch. With one arena for all, the scratch of one thread is used again by the next, and what is
free in it can be returned.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any

_ARENA_MAX = -8
"""`M_ARENA_MAX` of `mallopt`."""


def share() -> None:
    """Have the threads that come share an arena; MALLOC_ARENA_MAX in the environment goes before.

    Threads that are there keep theirs, so this is done before there are any. Only small things are
    allocated while threads run without the interpreter's lock, so they do not wait for each other.
    """
    if _glibc() is not None and "MALLOC_ARENA_MAX" not in os.environ:
        _glibc().mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return what is free to the machine: some ms."""
    if _glibc() is not None:
        _glibc().malloc_trim(0)


@cache
def _glibc() -> Any:
    """The C library, if it is glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
