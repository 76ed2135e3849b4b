"""One writer at a time: a lock on a folder, which is gone with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtbdask.errors import StoreError

WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EBADF)
"""What file systems say that have none, or none on folders: there nobody is refused."""


@contextmanager
def alone(folder: Path, refusal: str) -> Iterator[None]:
    """Hold a folder as long as the block lasts.

    Parameters
    ----------
    folder : path
        It is there; nothing is written into it.
    refusal : str
        What to say if somebody holds it already, in this process or another of this machine.

    Raises
    ------
    StoreError
        Somebody holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(refusal) from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        yield
    finally:
        os.close(handle)
