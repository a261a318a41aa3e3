"""The page of every error."""

from __future__ import annotations

from collections.abc import Iterator

from facecraft import errors
from facecraft.api import problems
from facecraft.cli.app import EXIT_CODES
from facecraft.errors import FacecraftError, Kind
from generator.markdown import page, plain, summary, table


def error_tree(kind: type[FacecraftError], depth: int = 0) -> Iterator[tuple[type[FacecraftError], int]]:
    """Yield ``kind`` and what inherits from it, in the order of their declaration."""
    yield kind, depth
    for child in kind.__subclasses__():
        if child.__module__.startswith(f"{errors.__name__}."):
            yield from error_tree(child, depth + 1)


def errors_page() -> str:
    """Return the page of every error."""
    rows = [
        (
            "&nbsp;&nbsp;&nbsp;" * depth + f"`{kind.__name__}`",
            f"`{kind.code}`",
            kind.kind.value,
            str(problems.STATUS[kind.kind]),
            str(EXIT_CODES[kind.kind]),
            summary(kind),
            plain(kind.default_hint),
        )
        for kind, depth in error_tree(FacecraftError)
    ]
    kinds = [(kind.value, str(problems.STATUS[kind]), str(EXIT_CODES[kind])) for kind in Kind]
    return page(
        "Errors",
        "Every error has a stable `code`, a message and, where there is something to do, a hint. Programs should branch "
        "on the code. Over HTTP an error is a problem document (RFC 9457, `application/problem+json`) with the code, "
        "the hint and a request id; on the command line it is two lines on stderr and an exit code; in the library it is "
        "an exception from `facecraft.errors`.",
        "## The tree",
        table(("Exception", "Code", "Kind", "HTTP", "Exit", "Message", "Hint"), rows),
        "Two codes come from the HTTP layer alone: `invalid_request` (422, with `errors` naming each field) and the "
        "names of HTTP's own refusals such as `not_found` and `method_not_allowed`.",
        "## Kinds",
        table(("Kind", "HTTP status", "Exit code"), kinds),
        "A run over several pictures ends with 1 when some of them failed; 2 is wrong usage of a command.",
    )
