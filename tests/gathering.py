"""Processes that are each an end of an exchange, and have met."""

import multiprocessing
from contextlib import contextmanager


@contextmanager
def gathered(target, size, *given):
    """Processes that have met, and a pipe to each.

    Each calls `target(rank, size, pipe, *given)`: it sends its address, receives those of all, and
    sends "met".
    """
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(size)]
    processes = [
        spawn.Process(target=target, args=(rank, size, far, *given), daemon=True)
        for rank, (_, far) in enumerate(pipes)
    ]
    near = [pipe for pipe, _ in pipes]
    try:
        for process in processes:
            process.start()
        for _, far in pipes:
            far.close()  # so that a process that ends is heard
        addresses = [pipe.recv() for pipe in near]
        for pipe in near:
            pipe.send(addresses)
        assert [pipe.recv() for pipe in near] == ["met"] * size
        yield processes, near
    finally:
        for process in processes:
            process.kill()
            process.join()
