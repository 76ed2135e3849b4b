"""The hot operations in CUDA C, compiled for a device when they are first used.

The texts are the `.cu` files beside this one; the contract of the operations stands in
`dtbdask.kernels`. CuPy compiles them with NVRTC, which needs no CUDA toolkit beyond its own wheels,
and keeps the result on disk. What a network has (`Build`) becomes constants before the text, so
what is off costs nothing. Contraction of multiplications and additions is off: every float is that
of the CPU.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any

import numpy as np

from dtbdask import rng
from dtbdask.errors import MissingDependencyError
from dtbdask.kernels import N_COEFFICIENTS, RECEPTORS, Coefficient, Features, cpu_bold

STEP = (
    "deliver", "deliver_long", "integrate", "tick", "mark", "soonest", "totals", "strike",
)  # fmt: skip
"""Kernels of a step, and of what is seen of it."""
LONG = 4096
"""Edges of a row that one warp delivers; the grid shares what is beyond."""
WARP = rng.LANE
LARGEST_TILE = 1 << 24
"""Neurons of a tile, whose number shares a word with a weight of 8 bits."""
CACHE = 50 << 20
"""Bytes of the second-level cache of an H100, for plans."""
OPTIONS = ("-std=c++17", "--fmad=false")
"""Of the compiler: without contraction every float is that of the CPU."""


@cache
def load_cupy() -> ModuleType:
    """CuPy with a device it can use.

    Raises
    ------
    MissingDependencyError
        CuPy is not installed, or sees no device; it says what to do.
    """
    try:
        import cupy
    except ImportError as error:
        raise MissingDependencyError(
            "device is 'cuda', which needs CuPy: pip install 'dtbdask[cuda]'"
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise MissingDependencyError(
            f"device is 'cuda', but CuPy {cupy.__version__} finds no CUDA device ({error}); "
            "look at `dtbdask doctor`, or use device='cpu'"
        ) from error
    module: ModuleType = cupy
    return module


def present() -> bool:
    """Whether a CUDA device can be used here."""
    try:
        load_cupy()
    except MissingDependencyError:
        return False
    return True


def place() -> str | None:
    """Host and bus of the device in use, which no other device has; None without a device."""
    if not present():
        return None
    return f"{platform.node()} {load_cupy().cuda.Device().pci_bus_id}"


def tiles(n: int, degree: int, cache: int) -> int:
    """Number of tiles into which the targets of a block are cut.

    The kicks of a tile take half of the device's cache; but a warp delivers a row of a tile, so the
    rows are not cut shorter than a warp is wide.

    Parameters
    ----------
    n : int
        Neurons of the block.
    degree : int
        Largest in-degree.
    cache : int
        Bytes of the second-level cache.
    """
    fit, wide = -(-n * 8 // cache), max(1, degree // WARP)
    return max(1, min(fit, wide), -(-n // LARGEST_TILE), -(-n * max(degree, 1) // (2**32 - 1)))


def device_name() -> str:
    """Name of the device in use."""
    runtime = load_cupy().cuda.runtime
    name: bytes = runtime.getDeviceProperties(runtime.getDevice())["name"]
    return name.decode()


@dataclass(frozen=True)
class Packing:
    """Where the sums of the receptors lie in the kick words of a neuron.

    Attributes
    ----------
    word, shift, bits : (receptor,) int
    n_words : int
        One where all sums fit an integer of 64 bits, else one for each kind of source.
    dtype : {"uint32", "uint64"}
        The narrowest word.
    """

    word: tuple[int, ...]
    shift: tuple[int, ...]
    bits: tuple[int, ...]
    n_words: int
    dtype: str

    @classmethod
    def of(cls, most: Iterable[int], receptors: tuple[bool, bool, bool, bool]) -> Packing:
        """Packing of sums that are never above `most`: of (receptor,) int."""
        told = zip(most, receptors, strict=True)
        bits = [max(int(top).bit_length(), 1) if on else 0 for top, on in told]
        shift = [sum(bits[:u]) for u in range(len(bits))]
        word, n_words = [0, 0, 0, 0], 1
        if sum(bits) > 64:
            shift, word, n_words = [0, bits[0], 0, bits[2]], [0, 0, 1, 1], 2
        wide = n_words == 2 or sum(bits) > 32
        dtype = "uint64" if wide else "uint32"
        return cls(tuple(word), tuple(shift), tuple(bits), n_words, dtype)


@dataclass(frozen=True)
class Build:
    """What the texts of a step are compiled for.

    Attributes
    ----------
    features : Features
    dtype : {"float32", "float64"}
    packing : Packing
    packed : bool
        Weights have 8 bits, and the first shares a word with its target.
    delayed : bool
        Some delay is above one step.
    logged : bool
        The spikes of the first member are kept for a whole window.
    """

    features: Features
    dtype: str
    packing: Packing
    packed: bool
    delayed: bool = False
    logged: bool = False

    def kernel(self, name: str) -> Any:
        """A kernel of `cuda_deliver`, `cuda_integrate` or `cuda_observe`."""
        texts = ("cuda_random", "cuda_deliver", "cuda_integrate", "cuda_observe")
        return _module(texts, self.constants()).get_function(name)

    def constants(self) -> str:
        """The lines that come before the texts."""
        f, p = self.features, self.packing
        names = ", ".join(f"{which.name} = {int(which)}" for which in Coefficient)
        lines = [
            f"typedef {'double' if self.dtype == 'float64' else 'float'} REAL;",
            f"typedef {'u64' if p.dtype == 'uint64' else 'u32'} KICK;",
            f"constexpr int N_WORDS = {p.n_words};",
            f"constexpr u32 LONG = {LONG}, N_COEFFICIENTS = {N_COEFFICIENTS};",
            f"namespace coefficient {{ enum {{ {names} }}; }}",
            *_flags(
                BACKGROUND=f.background, NOISE=f.noise, SCRIPTED=f.scripted, CALCIUM=f.calcium,
                DOPAMINE=f.dopamine, ADAPTATION=f.adaptation, PAIRED=f.paired, PACKED=self.packed,
                DELAYED=self.delayed, LOGGED=self.logged,
            ),
            _table("bool RECEPTOR", f.receptors),
            _table("int SLOT", f.slots),
            _table("int WORD", p.word),
            _table("u32 SHIFT", p.shift),
            _table("u32 BITS", p.bits),
        ]  # fmt: skip
        return "\n".join(lines)


def wiring(name: str, *, packed: bool, paired: bool) -> Any:
    """A kernel of `cuda_wire`.

    Parameters
    ----------
    name : str
    packed : bool
        As of `Build`.
    paired : bool
        An edge has two weights.
    """
    constants = "\n".join(_flags(PACKED=packed, PAIRED=paired))
    return _module(("cuda_random", "cuda_wire"), constants).get_function(name)


def haemodynamics() -> Any:
    """The kernel of `cuda_bold`."""
    series = ", ".join(repr(c) for c in cpu_bold.EXP)
    constants = "\n".join(
        [
            f"constexpr double LOWEST = {cpu_bold.LOWEST!r}, SCALE = {0.5**cpu_bold.HALVINGS!r};",
            f"constexpr int HALVINGS = {cpu_bold.HALVINGS}, N_EXP = {len(cpu_bold.EXP)};",
            f"__device__ constexpr double EXP[N_EXP] = {{{series}}};",
        ]
    )
    return _module(("cuda_random", "cuda_bold"), constants).get_function("balloon")


def random_constants() -> str:
    """Numbers of `dtbdask.rng`, which come before all texts."""
    whole = {
        "LANE": rng.LANE, "TILE": rng.TILE, "N_ROUNDS": rng.ROUNDS,
        "MULTIPLIER_0": rng.MULTIPLIER_0, "MULTIPLIER_1": rng.MULTIPLIER_1,
        "WEYL_0": rng.WEYL_0, "WEYL_1": rng.WEYL_1,
        **{f"PURPOSE_{purpose.name}": int(purpose) for purpose in rng.Purpose},
    }  # fmt: skip
    return "\n".join(
        [
            *(f"constexpr unsigned int {name} = {value}u;" for name, value in whole.items()),
            f"constexpr int SQRT_HALF_BITS = {rng.SQRT_HALF_BITS};",
            f"constexpr float LN2 = {rng.LN2}f, HALF_TURN = {rng.HALF_TURN}f;",
            *(
                f"__device__ constexpr float {name}[] = {{{', '.join(f'{c}f' for c in values)}}};"
                for name, values in (("LOG", rng.LOG), ("SIN", rng.SIN), ("COS", rng.COS))
            ),
        ]
    )


def _flags(**flags: bool) -> list[str]:
    return [f"constexpr bool {name} = {int(on)};" for name, on in flags.items()]


def _table(name: str, values: Sequence[int]) -> str:
    numbers = ", ".join(str(int(value)) for value in values)
    return f"__device__ constexpr {name}[{len(values)}] = {{{numbers}}};"


@cache
def _module(texts: tuple[str, ...], constants: str) -> Any:
    """Compiled texts; the constants stand after the first, those of the random numbers before."""
    folder = resources.files(__package__)
    first, *rest = (folder.joinpath(f"{name}.cu").read_text("utf-8") for name in texts)
    code = "\n".join([random_constants(), first, constants, *rest])
    return load_cupy().RawModule(code=code, options=OPTIONS)


def struct(**fields: str) -> np.dtype[Any]:
    """Layout of a struct of the texts: types by name, `*` for a pointer."""
    types = {"*": np.uint64, "u32": np.uint32}
    return np.dtype([(name, types.get(kind, kind)) for name, kind in fields.items()], align=True)


FIRED = struct(
    log="*", others="*", count="*", base="*", half="*", n="u32", members="u32", piece="u32"
)  # fmt: skip
EDGES = struct(
    indptr="*", first="*", target="*", weight="*", inhibitory="*",
    n_rows="u32", n_tiles="u32", tile_size="u32", longest="u32",
)  # fmt: skip
DELAYS = struct(of="*", first="*", stop="*", delay="*")
LONG_ROWS = struct(row="*", tile="*", member="*", count="*")
STATE = struct(
    v="*", ou="*", j0="*", j1="*", j2="*", j3="*", h_t="*", ca="*", refractory="*", kick="*"
)
COEFFICIENTS = struct(
    value="*", factor="*", stop="*", population="*", first="*", only="*", n_populations="u32"
)
CENSUS = struct(spikes="*", stop="*", population="*", first="*", only="*")
RECIPE = struct(
    first="*", size="*", degree="*", excitatory="*", terms="*", source="*", table="*",
    threshold="*", other="*", far="*", far_population="*", far_threshold="*", far_other="*",
    n_populations="u32", widest="u32", capacity="u32", low="u32", high="u32", k0="u32", k1="u32",
)  # fmt: skip
OUT = struct(
    cursor="*", target="*", weight="*", most="*", source="*", pair="*", shift="int64", column="*"
)
IN_EDGES = struct(indptr="*", source="*", weight="*", inhibitory="*")
BALLOON = np.dtype(
    [(name, np.float64) for name in ("eps", "per_s", "per_f", "per_0", "drain", "per_e")]
    + [("floor", np.float64), ("dt", np.float64)]
)
SUMS = np.dtype([("row", np.int32, (2 + len(RECEPTORS),))])


def filled(layout: np.dtype[Any], **values: Any) -> Any:
    """A struct as a kernel takes it: device arrays become their addresses, what is absent zero."""
    made = np.zeros((), layout)
    for name, value in values.items():
        on_device = hasattr(value, "__cuda_array_interface__")
        made[name] = value.data.ptr if on_device else value
    return made
