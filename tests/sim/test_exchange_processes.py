"""Real processes get what was sent, find one that was killed, and leave nothing behind."""

import secrets
import time

import pytest
from swapping import NEEDS_UCX, remains, ring

KINDS = ["shm", "tcp", "tls", pytest.param("ucx", marks=NEEDS_UCX)]


@pytest.fixture
def token():
    return secrets.token_bytes(32)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_steps_arrive_as_they_were_sent(kind, size, token):
    with ring(kind, size, token, 2000) as (_, pipes):
        assert [pipe.recv() for pipe in pipes] == ["all as sent"] * size
    assert not remains(token)


@pytest.mark.parametrize("victim", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_killed_is_found_by_all_and_leaves_nothing(kind, victim, token):
    with ring(kind, 3, token, 10**9) as (processes, pipes):
        time.sleep(0.3)
        processes[victim].kill()  # it is not waited for: who is dead and not buried is dead too
        start = time.monotonic()
        others = [pipe for rank, pipe in enumerate(pipes) if rank != victim]
        told = []
        for pipe in others:
            assert pipe.poll(max(2 - (time.monotonic() - start), 0)), "not found within 2 s"
            told.append(pipe.recv())
        assert all(text.startswith("ExchangeError") for text in told)
        assert any(f"lost block {victim} at step" in text for text in told)
    assert not remains(token)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tls"])
def test_when_all_are_killed_nothing_remains(kind, token):
    with ring(kind, 2, token, 10**9) as (processes, _):
        for process in processes:
            process.kill()
            process.join()
    assert not remains(token)
