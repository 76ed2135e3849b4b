"""A network at a glance: a line, tables for the terminal, and the same for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes

from dtbdask.graph.description import Description, describe

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from dtbdask.graph.network import Network

BAR = 12
"""Characters, or times 8 pixels, of the longest bar."""
SLOTS = ("slot", "sign", "populations", "neurons", "min", "median", "max", "in-degree", "")
DEPARTURES = ("parameter", "default", "unit", "values")
HISTORY = ("when (UTC)", "parameter", "of", "how", "value")
RIGHT = ("populations", "neurons", "min", "median", "max", "in-degree", "default")


def line(network: Network) -> str:
    """One line: sizes, seed and place."""
    n_populations, path = network.populations.size.size, network.path or "in memory"
    return (
        f"<Network {network.n_neurons:,} neurons, {network.n_synapses:,} synapses "
        f"({type(network.wiring).__name__.lower()}), {n_populations} populations in "
        f"{len(network.labels)} voxels, seed {network.attributes.get('seed')}: {path}>"
    )


def _facts(described: Description) -> Iterator[tuple[str, str]]:
    """Names and texts of the figures."""
    for name, value in described.figures.items():
        yield name.replace("_", " "), _fact(name, value, described.figures)


def _fact(name: str, value: Any, told: Mapping[str, Any]) -> str:
    match name:
        case "population_size":
            return f"{value[0]:,} to {value[2]:,} neurons, median {value[1]:,}"
        case "in_degree":
            return _range(*value)
        case "long_range_share":
            return "unknown: it follows no recipe" if value is None else f"{value:.1%}"
        case "delay_steps":
            if value is None:
                return "one step for all"
            return f"{value[0]:.0f} to {value[2]:.0f} steps, mean {value[1]:.2f}, of long-range"
        case "bytes_on_disk":
            each = value / max(told["synapses"], 1)
            return f"{format_bytes(value)}, {each:.2f} bytes a synapse" if value else "none"
        case "versions" | "gamma":
            return ", ".join(f"{key} {text}" for key, text in value.items())
        case "modified":
            return f"{value} times, see below"
    spec = ",.6g" if isinstance(value, float) else "," if isinstance(value, int) else ""
    return format(value, spec)


def _range(low: float, high: float) -> str:
    return f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"


def _slot_rows(described: Description) -> Iterator[tuple[str, ...]]:
    for slot in described.slots:
        low, median, high = slot.size
        yield (
            slot.name, slot.sign, f"{slot.populations:,}", f"{slot.neurons:,}", f"{low:,}",
            f"{median:,}", f"{high:,}", _range(*slot.degree),
        )  # fmt: skip


def _departure_rows(described: Description) -> Iterator[tuple[str, ...]]:
    for departure in described.departures:
        lines = [f"{slots}: {_range(low, high)}" for slots, low, high in departure.slots]
        if departure.neuron is not None:
            low, median, high = departure.neuron
            lines.append(f"by neuron: {_range(low, high)}, median {median:,.6g}")
        yield departure.name, f"{departure.default:g}", departure.unit, "\n".join(lines)


def _history_rows(described: Description) -> Iterator[tuple[str, ...]]:
    for entry in described.history:
        when = str(entry.get("when"))[:16].replace("T", " ")
        chosen = [f"{key} {entry[key]}" for key in ("population", "neuron") if key in entry]
        told = (entry.get("parameter"), " ".join(chosen), entry.get("how"), entry.get("value"))
        yield when, *map(str, told)


def render(network: Network) -> Group:
    """A network for the terminal; `rich.print` shows it."""
    from rich.bar import Bar
    from rich.console import Group

    described = describe(network)
    slots = _table("Slots", SLOTS, ())
    most = max(slot.neurons for slot in described.slots)
    for slot, row in zip(described.slots, _slot_rows(described), strict=True):
        bar = Bar(most, 0, slot.neurons, width=BAR, color="cyan")
        slots.add_row(*map(_text, row), bar)
    parts = [_table("Network", (), _facts(described)), slots]
    rows = list(_departure_rows(described))
    if rows:
        parts.append(_table("Parameters that are not at their default", DEPARTURES, rows))
    if described.history:
        parts.append(_table("Modified", HISTORY, _history_rows(described)))
    return Group(*parts)


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=bool(columns), box=SIMPLE)
    for column in columns:
        table.add_column(column, justify="right" if column in RIGHT else "left")
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(told: str) -> Text:
    """Text that can neither be taken for markup nor steer the terminal."""
    from rich.text import Text

    return Text(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in told)
    )


def html(network: Network) -> str:
    """A network for a notebook."""
    described = describe(network)
    most = max(slot.neurons for slot in described.slots)
    widths = [8 * BAR * slot.neurons / most for slot in described.slots]
    bars = [
        f"<div style='background:#0aa;height:.8em;width:{width:.0f}px'></div>" for width in widths
    ]
    parts = [
        _html_table("Network", (), _facts(described)),
        _html_table("Slots", SLOTS, _slot_rows(described), bars),
        _html_table("Parameters that are not at their default", DEPARTURES,
                    _departure_rows(described)),
        _html_table("Modified", HISTORY, _history_rows(described)),
    ]  # fmt: skip
    return "".join(parts)


def _html_table(
    title: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]], last: Sequence[str] = ()
) -> str:
    """A table of texts; `last` is a last column that is HTML already."""
    body = []
    for i, row in enumerate(rows):
        first, *others = (escape(text).replace("\n", "<br>") for text in row)
        cells = "".join(f"<td>{text}</td>" for text in others)
        cells += f"<td>{last[i]}</td>" if last else ""
        body.append(f"<tr><th style='text-align:left'>{first}</th>{cells}</tr>")
    if not body:
        return ""
    head = "".join(f"<th>{column}</th>" for column in columns)
    head = f"<tr>{head}</tr>" if head else ""
    return f"<table><caption>{title}</caption>{head}{''.join(body)}</table>"
