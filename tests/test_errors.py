"""Errors are caught by our base, by the builtin a caller expects, and survive the wire."""

import builtins
import inspect

import pytest
from distributed.core import clean_exception, error_message

from dtbdask import errors
from dtbdask.errors import DTBDaskError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
RAISED = [kind for kind in ALL if kind is not DTBDaskError]
EXPECTED = {
    "InputError": ValueError,
    "InputFileError": OSError,
    "StoreError": OSError,
    "StoreExistsError": FileExistsError,
    "CapacityError": MemoryError,
    "MissingDependencyError": ImportError,
    "ExchangeError": ConnectionError,
    "SessionError": RuntimeError,
}


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_is_ours_and_a_builtin(kind):
    assert issubclass(kind, DTBDaskError)
    assert any(
        vars(builtins).get(base.__name__) is base
        for base in kind.__mro__
        if base not in (Exception, BaseException, object)
    )


@pytest.mark.parametrize(("name", "builtin"), EXPECTED.items())
def test_the_builtin_is_the_one_a_caller_expects(name, builtin):
    with pytest.raises(builtin, match="sizes"):
        raise getattr(errors, name)("sizes")


@pytest.mark.parametrize("kind", ALL)
def test_kind_and_message_survive_the_way_from_a_worker_to_the_client(kind):
    message = "block 3 needs 92.4 GB, device 0 has 79.6 GB; use at least 10 blocks"
    sent = error_message(kind(message))["exception"].data
    _, back, _ = clean_exception(sent)
    assert type(back) is kind
    assert str(back) == message
