"""What was measured, how it is shown, and how it is kept."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path("build/bench.json")


@dataclass(frozen=True)
class Figure:
    """One line of the table and of build/bench.json: medians of `runs` runs each, in `unit`.

    `ratio` says how many times better ours is than the peer's, whichever way better lies.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    runs: int


@dataclass
class Bench:
    """Collects figures, and notes that explain them; says what it is doing on standard error."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    promises: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def lower(
        self, name: str, unit: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, promise: float
    ) -> None:
        """A figure of which less is better. `promise`: the least ratio that was promised."""
        mine, theirs = statistics.median(ours), statistics.median(peer)
        self._add(Figure(name, mine, theirs, peer_name, unit, theirs / mine if mine else 999.0, len(ours)), promise)

    def higher(
        self, name: str, unit: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, promise: float
    ) -> None:
        """A figure of which more is better."""
        mine, theirs = statistics.median(ours), statistics.median(peer)
        self._add(Figure(name, mine, theirs, peer_name, unit, mine / theirs, len(ours)), promise)

    def _add(self, figure: Figure, promise: float) -> None:
        rounded = {name: round(value, 4) for name, value in asdict(figure).items() if isinstance(value, float)}
        self.figures.append(Figure(**{**asdict(figure), **rounded}))
        self.promises[figure.name] = promise
        self.say(f"{figure.name}: {figure.ours:.4g} {figure.unit}")

    def note(self, text: str) -> None:
        self.notes.append(text)

    def say(self, text: str) -> None:
        print(f"bench: {time.monotonic() - self.started:3.0f} s  {text}", file=sys.stderr, flush=True)

    def write(self, path: Path = RESULTS) -> None:
        """All figures at once; those of subjects that did not run this time stay from the last time."""
        kept = [asdict(figure) for figure in self.figures]
        names = {each["name"] for each in kept}
        try:
            kept = [each for each in json.loads(path.read_text()) if each["name"] not in names] + kept
        except (OSError, ValueError):
            pass
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(kept, indent=1) + "\n")

    def show(self) -> None:
        """The table and the notes on standard output."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 118)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("medians")
        for title in ("ours", "beside"):
            table.add_column(title, justify="right")
        table.add_column("unit")
        table.add_column("what stands beside it")
        for title in ("ratio", "promised", "runs"):
            table.add_column(title, justify="right")
        for figure in self.figures:
            promise = self.promises[figure.name]
            colour = "green" if figure.ratio >= promise else "red"
            table.add_row(
                figure.name,
                _short(figure.ours),
                _short(figure.peer),
                figure.unit,
                figure.peer_name,
                f"[{colour}]{_short(figure.ratio)}[/]",
                f"≥ {promise:g}",
                str(figure.runs),
            )
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", markup=False, soft_wrap=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def spread(values: Sequence[float], unit: str, digits: int = 0) -> str:
    """`median unit (least to most)`."""
    middle, least, most = (f"{each:,.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle}{unit and ' ' + unit} ({least} to {most})"
