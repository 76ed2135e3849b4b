"""Looking at the state of a block on a device: sums and samples stay there until the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtbdask import rng
from dtbdask.kernels import RECEPTORS, cpu_observe, cuda
from dtbdask.kernels.cpu_observe import SPOILT
from dtbdask.sim.cuda_block import CudaBlock
from dtbdask.sim.observe import Observer
from dtbdask.sim.quantities import Watch

THREADS = 256


class CudaObserver(Observer):
    """Looks at member 0 of a block on a device.

    Parameters
    ----------
    block : CudaBlock
    watch : Watch
    n_steps : int
        That will be looked at: whole bins and looks.
    """

    def __init__(self, block: CudaBlock, watch: Watch, n_steps: int) -> None:
        super().__init__(block, watch, n_steps)
        cp: Any = cuda.load_cupy()
        self._device, self._cp = block, cp
        shape = (n_steps // watch.bin_steps, watch.n_rows, self._stop.size)
        self._totals, self._spoilt = cp.zeros(shape, np.int64), cp.zeros(shape, np.uint32)
        first = np.searchsorted(self._stop, np.arange(block.tiles.size) * rng.TILE, side="right")
        self._runs = (
            cp.asarray(self._stop, np.uint32), cp.asarray(self._population, np.int32),
            cp.asarray(first, np.uint32),
        )  # fmt: skip
        self._sums = cuda.filled(cuda.SUMS, row=watch.row)
        once, self._of_once = np.unique(self._neuron, return_inverse=True)  # one may be twice there
        place = np.zeros(block.n_neurons if once.size else 0, np.uint32)
        place[once] = np.arange(1, once.size + 1)
        self._placed, self._chosen = cp.asarray(place), cp.asarray(self._neuron)
        self._struck = cp.zeros((self.seen.struck.shape[0], once.size), np.uint16)
        self._looks: list[tuple[bool, dict[str, Any]]] = []

    def look(self, k: int) -> None:
        """Look at the `k`-th step, which has just been enqueued."""
        block, watch = self._device, self._watch
        if watch.n_rows:
            at = k // watch.bin_steps
            arguments = (
                self._totals[at], self._spoilt[at], self._sums, np.float64(2.0**watch.bits),
                *block.seen_by_kernels(), *self._runs, np.uint32(self._stop.size),
                np.uint32(block.n_neurons),
            )  # fmt: skip
            blocks = -(-block.n_neurons // THREADS)
            block.kernel("totals")((blocks,), (THREADS,), arguments)
        if self._place.size:
            block.strike(self._struck[k // watch.every], self._placed)
            if (k + 1) % watch.every == 0:
                self._looks.append((block.coefficients.features.background, self._sampled()))

    def finish(self) -> None:
        """Fetch what was seen."""
        spoilt = self._spoilt.get() > 0
        for at, total in enumerate(np.where(spoilt, SPOILT, self._totals.get())):
            self._total = total
            self.seen.total[at] = self._fold()
        self.seen.struck[:] = self._struck.get()[:, self._of_once]
        c, n = self._device.coefficients, self._place.size
        factor = c.factor[:, self._neuron]
        for look, (background, state) in enumerate(self._looks):
            v, ou, *j = (values.get()[None] for values in state.values())
            features = c.features._replace(background=background)
            cpu_observe.single(features)(
                self.seen.value[look], np.arange(n), self._of_sample, v, ou, tuple(j), c.value,
                factor,
            )  # fmt: skip

    def _sampled(self) -> dict[str, Any]:
        """State of the chosen neurons."""
        state, receptors = self._device.state, self._device.receptors
        traces = {
            name: trace[0, self._chosen] if on else trace[0]
            for name, trace, on in zip(RECEPTORS, state.j, receptors, strict=True)
        }
        return {"v": state.v[0, self._chosen], "ou": state.ou[0, self._chosen], **traces}
