"""What is written where: results go to stdout, everything for people to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from facecraft.errors import FacecraftError
from facecraft.progress import ProgressEvent

_PIPE_WIDTH = 200
"""Width of tables where there is no terminal to fit them into."""


def people(*, live: bool = False) -> Console:
    """Return a console on stderr; a ``live`` one redraws only where stderr is a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=not live)


def say(text: str, *, style: str | None = None) -> None:
    """Tell the person at the terminal ``text``, as it is."""
    people().print(text, style=style, markup=False)


def result(text: str) -> None:
    """Write one line of the result."""
    sys.stdout.write(text + "\n")


def result_bytes(data: bytes) -> None:
    """Write the result as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def describe(error: BaseException) -> str:
    """Return an error as one line with its code."""
    if isinstance(error, FacecraftError):
        return f"[{error.code}] {error.message}" + (f" {error.hint}" if error.hint else "")
    return f"[internal_error] {type(error).__name__}: {error}"


def table(columns: Iterable[str], rows: Iterable[Sequence[str]], *, stderr: bool = False) -> None:
    """Print a table: a result on stdout, or for people on stderr. Columns that begin with ``#`` are numbers."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = column.startswith("#")
        grid.add_column(column.removeprefix("#"), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    console.print(grid)


class Counter(Protocol):
    """Hears that one more thing is done."""

    def __call__(self, name: str, /) -> None: ...


@contextmanager
def counting(label: str, total: int) -> Iterator[Counter]:
    """Show a bar that counts to ``total`` on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _bar(*columns) as bar:
        task = bar.add_task(escape(label), total=total)
        yield lambda _name: bar.advance(task)


@contextmanager
def following(label: str) -> Iterator[_Follower]:
    """Show the progress of one piece of work: a bar on a terminal, one line for each step elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with _bar(*columns) as bar:
        yield _Follower(bar, label, live=not bar.disable)


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(
        *columns,
        console=people(live=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        # The bar writes above itself what goes to the same terminal. Results that go elsewhere must not pass through.
        redirect_stdout=sys.stdout.isatty(),
    )


class _Follower:
    """Takes progress events: a :class:`facecraft.progress.Progress`."""

    def __init__(self, bar: Progress, label: str, *, live: bool) -> None:
        self._bar = bar
        self._live = live
        self._said: set[str] = set()
        self._task = bar.add_task(escape(label), total=1.0, note="")

    def __call__(self, event: ProgressEvent, /) -> None:
        if self._live:
            note = escape(event.message)
            self._bar.update(self._task, completed=event.fraction, description=escape(event.stage), note=note)
        elif event.stage not in self._said:
            self._said.add(event.stage)
            say(f"{event.stage}: {event.message}" if event.message else event.stage)
