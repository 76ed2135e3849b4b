"""What can go wrong, by name.

Every error of the project derives from `DTBDaskError` and from the builtin a caller would expect,
and its message carries the field, the value found and what would be right.
"""

from __future__ import annotations

import numbers
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class DTBDaskError(Exception):
    """Base of all errors raised on purpose by dtbdask."""


class InputError(DTBDaskError, ValueError):
    """A value given by the user is wrong: the message names it and says what would be right."""


class InputFileError(DTBDaskError, OSError):
    """A file given by the user cannot be read, is damaged, or is not what it claims to be."""


class StoreError(DTBDaskError, OSError):
    """A Zarr store is missing, foreign, incomplete or damaged."""


class StoreExistsError(StoreError, FileExistsError):
    """Something is already where a new store was to be written; it was left untouched."""


class CapacityError(MemoryError, DTBDaskError):
    """A network or run does not fit; the message carries the need, what is there and what fits."""


class MissingDependencyError(DTBDaskError, ImportError):
    """An optional library is absent; the message carries the command that mends it."""


class ExchangeError(DTBDaskError, ConnectionError):
    """Spikes could not be exchanged: names the phase, the block, the peer and the step."""


class SessionError(DTBDaskError, RuntimeError):
    """A session was used in a way its state does not allow, or its gang was lost."""


class LostError(SessionError):
    """A worker, or what it held of a session, is gone: names the worker."""


def whole_number(name: str, value: object, low: int, high: int = 2**63 - 1) -> int:
    """The value as an int, or an `InputError` that says what it must be.

    Parameters
    ----------
    name : str
        Of the value, for the message.
    value : object
        A whole number of any kind.
    low, high : int
        Smallest and largest that is right.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(f"{name} is {value!r}; expected a whole number")
    if not float(value).is_integer():  # infinities and NaN too
        raise InputError(f"{name} is {value!r}; expected a whole number")
    number = int(value) if isinstance(value, numbers.Integral) else int(float(value))
    if not low <= number <= high:
        raise InputError(f"{name} is {value}; expected {low:,} to {high:,}")
    return number


@contextmanager
def writable(path: object) -> Iterator[None]:
    """Tell what a disk refuses by the path of what was to be written.

    Parameters
    ----------
    path : path

    Raises
    ------
    StoreError
        The disk is full, or may not be written.
    """
    try:
        yield
    except DTBDaskError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
