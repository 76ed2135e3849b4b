"""Matrices of any size: of regions, of populations, of 45,000 voxels; never loaded whole.

From afar a cell of the picture is the mean over a block of the matrix, summed once and chunk by
chunk; zoomed in it is the matrix itself. So cells times their sizes always sum to the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import scipy.sparse as sp
from holoviews.streams import RangeXY
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.connectivity import SOURCE, TARGET
from dtbdask.viz.regions import ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dtbdask.graph.network import Network

Floats = NDArray[np.float64]
Range = tuple[int, int]
Span = tuple[float, float]

EXACT = 1 << 19
"""Cells of a view that are read as they are."""
HELD = 1 << 23
"""Most blocks of the overview, which is kept in memory."""
BINS = 512
"""Most cells of a view along a side."""


@dataclass(frozen=True)
class Blocks:
    """Sums over blocks of a matrix.

    Attributes
    ----------
    total : (row_bin, column_bin) float64
        Unit of the matrix.
    rows, columns : tuple of int
        What they cover; the last ones may reach beyond the end.
    width : int
        Rows and columns of a block.
    """

    total: Floats
    rows: Range
    columns: Range
    width: int


class MatrixSource:
    """Views of a matrix.

    Parameters
    ----------
    matrix : array of two dimensions
        NumPy, SciPy sparse, Dask or Zarr; row the target, column the source.

    Raises
    ------
    InputError
        It has not two dimensions, or no cell.
    """

    def __init__(self, matrix: Any) -> None:
        if len(matrix.shape) != 2 or not all(matrix.shape):
            raise InputError(f"matrix has shape {tuple(matrix.shape)}; expected (target, source)")
        self._matrix: Any = matrix.tocsr() if _is_sparse(matrix) else matrix
        self.shape: tuple[int, int] = tuple(int(n) for n in matrix.shape)  # type: ignore[assignment]

    def view(self, rows: Span, columns: Span) -> Blocks:
        """Sums of the blocks that cover a range of rows and of columns, `BINS` a side at most.

        Parameters
        ----------
        rows, columns : tuple of float
            From and to, in any order; what lies outside of the matrix is left out.
        """
        low, high = zip(
            *(_clipped(span, n) for span, n in zip((rows, columns), self.shape, strict=True)),
            strict=True,
        )
        extent = [b - a for a, b in zip(low, high, strict=True)]
        width = max(1, -(-max(extent) // BINS))
        if extent[0] * extent[1] <= EXACT or _is_sparse(self._matrix):
            whole = [a + -(-(b - a) // width) * width for a, b in zip(low, high, strict=True)]
            high = tuple(min(b, n) for b, n in zip(whole, self.shape, strict=True))
            part = self._read(slice(low[0], high[0]), slice(low[1], high[1]))
            return Blocks(_summed(part, low, low, width), *_covered(low, high, width, low), width)
        held = self._step
        width = -(-width // held) * held
        origin = tuple(a // width * width for a in low)
        stop = tuple(-(-(-(-b // width) * width) // held) for b in high)
        part = self.overview[origin[0] // held : stop[0], origin[1] // held : stop[1]]
        zero = (0, 0)
        return Blocks(
            _summed(part, zero, zero, width // held), *_covered(origin, high, width, origin), width
        )

    @property
    def _step(self) -> int:
        """Width of the blocks of the overview."""
        return max(1, int(np.ceil(np.sqrt(self.shape[0] * self.shape[1] / HELD))))

    @cached_property
    def overview(self) -> Floats:
        """Sums over all blocks of the width that fits in memory, from one pass over the chunks."""
        step = self._step
        total = np.zeros([-(-n // step) for n in self.shape])
        for rows, columns in self._chunks():
            low = (rows.start, columns.start)
            part = _summed(self._read(rows, columns), low, (0, 0), step)
            at = [a // step for a in low]
            total[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] += part
        return total

    def _chunks(self) -> Iterator[tuple[slice, slice]]:
        chunks = getattr(self._matrix, "chunks", None) or self.shape
        edges = []
        for size, n in zip(chunks, self.shape, strict=True):
            stops = np.cumsum(size) if isinstance(size, tuple) else [*range(size, n, size), n]
            edges.append([slice(int(a), int(b)) for a, b in zip([0, *stops], stops, strict=False)])
        yield from product(*edges)

    def _read(self, rows: slice, columns: slice) -> Any:
        part = self._matrix[rows, columns]
        return part.tocoo() if _is_sparse(part) else np.asarray(part)


def _is_sparse(matrix: Any) -> bool:
    return bool(sp.issparse(matrix))


def _clipped(span: Span, n: int) -> Range:
    low, high = min(span), max(span)
    start = int(np.clip(np.floor(low), 0, n - 1))
    return start, int(np.clip(np.ceil(high), start + 1, n))


def _covered(
    low: Sequence[int], high: Sequence[int], width: int, origin: Sequence[int]
) -> tuple[Range, Range]:
    rows, columns = (
        (o, o + -(-(b - o) // width) * width) for o, b in zip(origin, high, strict=True)
    )
    return rows, columns


def _summed(part: Any, low: Sequence[int], origin: Sequence[int], width: int) -> Floats:
    """Sums over blocks that begin at `origin`, of a part of which cell (0, 0) is at `low`."""
    if _is_sparse(part):
        row = (part.row + low[0] - origin[0]) // width
        column = (part.col + low[1] - origin[1]) // width
        shape = [-(-n // width) for n in part.shape]
        flat = np.bincount(row * shape[1] + column, part.data, minlength=shape[0] * shape[1])
        return flat.reshape(shape)
    for axis in (0, 1):
        at = low[axis] - origin[axis]
        first = np.arange(-(at % width), part.shape[axis], width).clip(min=0)
        part = np.add.reduceat(part, first, axis=axis, dtype=np.float64)
    whole: Floats = part
    return whole


def zoom_matrix(
    matrix: Any, value: hv.Dimension, *, names: Sequence[str] = (), title: str = "Connectivity",
    log: bool = True,
) -> hv.DynamicMap:  # fmt: skip
    """Matrix that follows the visible range; for Bokeh and a live Python.

    Parameters
    ----------
    matrix : array of two dimensions or MatrixSource
        NumPy, SciPy sparse, Dask or Zarr; row the target, column the source.
    value : holoviews.Dimension
        What a cell is, with unit.
    names : sequence of str
        Of rows and columns; without them their numbers.
    title : str
    log : bool
        Colours go with the logarithm; cells without connection are grey.

    Returns
    -------
    picture : holoviews.DynamicMap
        Images over source and target, of means over blocks.

    Raises
    ------
    InputError
        As of `MatrixSource`.
    """
    source = matrix if isinstance(matrix, MatrixSource) else MatrixSource(matrix)
    whole = [(-0.5, n - 0.5) for n in source.shape]

    def follow(x_range: Span | None, y_range: Span | None) -> hv.Image:
        return draw_matrix(
            source, value, rows=y_range or whole[0], columns=x_range or whole[1], names=names,
            title=title, log=log,
        )  # fmt: skip

    return hv.DynamicMap(follow, streams=[RangeXY(x_range=whole[1], y_range=whole[0])])


def draw_matrix(
    matrix: MatrixSource, value: hv.Dimension, *, rows: Span, columns: Span,
    names: Sequence[str] = (), title: str = "Connectivity", log: bool = True,
) -> hv.Image:  # fmt: skip
    """One view of a matrix.

    Parameters
    ----------
    matrix : MatrixSource
    value, names, title, log
        As of `zoom_matrix`.
    rows, columns : tuple of float
        What is visible.

    Returns
    -------
    picture : holoviews.Image
        Dimensions source, target and the mean of the value over each block.
    """
    seen = matrix.view(tuple(x + 0.5 for x in rows), tuple(x + 0.5 for x in columns))  # type: ignore[arg-type]
    cells = [
        np.minimum(np.arange(a, b, seen.width) + seen.width, n) - np.arange(a, b, seen.width)
        for (a, b), n in zip((seen.rows, seen.columns), matrix.shape, strict=True)
    ]
    mean = seen.total / np.outer(*cells)
    bounds = (
        seen.columns[0] - 0.5, seen.rows[0] - 0.5, seen.columns[1] - 0.5, seen.rows[1] - 0.5
    )  # fmt: skip
    picture = hv.Image(mean[::-1], [SOURCE, TARGET], value, bounds=bounds)
    positive = mean[mean > 0] if log else mean
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.5, 1.0)
    clim = (low, high) if low < high else (low / 2, low * 2) if log else (low - 1, low + 1)
    style.image(picture, cmap=style.SEQUENTIAL, clim=clim, logz=log)
    told = title if seen.width == 1 else f"{title}, means over {seen.width} x {seen.width}"
    labels = ticks(names) if names else 6
    return style.panel(
        picture, told, width=480, height=480, invert_yaxis=True, xlim=tuple(sorted(columns)),
        ylim=tuple(sorted(rows)), xticks=labels, yticks=labels, xrotation=90,
    )  # fmt: skip


def population_matrix(network: Network) -> sp.csr_array:
    """Expected number of synapses on each population from each: (population, population) float64.

    Parameters
    ----------
    network : Network
    """
    populations = network.populations
    per = populations.size.astype(np.float64) * populations.degree
    return sp.csr_array(sp.diags_array(per) @ populations.matrix())


def voxel_matrix(network: Network) -> sp.csr_array:
    """Expected number of synapses on each voxel from each: (voxel, voxel) float64.

    Parameters
    ----------
    network : Network
    """
    voxel = network.populations.voxel
    shape = (len(network.labels), voxel.size)
    member = sp.csr_array((np.ones(voxel.size), (voxel, np.arange(voxel.size))), shape=shape)
    return sp.csr_array(member @ population_matrix(network) @ member.T)
