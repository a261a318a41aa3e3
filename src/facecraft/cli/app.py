"""The command ``facecraft``: which commands there are, how errors are shown, and with what code a run ends.

The commands are listed here with one line of help each and loaded when they are called, so that ``facecraft --help``
loads neither Pydantic nor NumPy nor a network runtime.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from facecraft.errors import FacecraftError, Kind

EXIT_CODES = {
    Kind.INVALID: 3,
    Kind.MALFORMED: 3,
    Kind.TOO_LARGE: 4,
    Kind.UNSUPPORTED: 5,
    Kind.NOT_FOUND: 6,
    Kind.CONFLICT: 12,
    Kind.UNAVAILABLE: 7,
    Kind.UNAUTHENTICATED: 8,
    Kind.FORBIDDEN: 8,
    Kind.BUSY: 9,
    Kind.DEADLINE: 9,
    Kind.STORAGE_FULL: 10,
    Kind.CONFIGURATION: 11,
    Kind.INTERNAL: 70,
    Kind.CANCELLED: 130,
}
"""The code a run ends with, by the kind of its error. 0: all is well, 1: something of several failed, 2: usage."""

_EPILOG = (
    "Exit codes: 0 done · 1 some of several failed, a check found something, or two pictures do not match · 2 wrong usage · 3 the picture or an "
    "option cannot be used (no face, damaged) · 4 too large · 5 not a picture format · 6 not found · 7 a model, "
    "runtime or folder is not available · 8 not permitted (licence) · 9 busy or too slow · 10 disk full · "
    "11 configuration · 12 not in this state · 70 internal error · 130 interrupted."
)

COMMANDS = {
    "portrait": ("presets", "Turn a photo into a finished portrait."),
    "cutout": ("presets", "Cut the people out of a photo, at its own size."),
    "restore": ("presets", "Restore the faces of a photo and, if you like, enlarge it."),
    "upscale": ("presets", "Enlarge a photo, 1 to 4 times."),
    "swap": ("presets", "Put the face of a second photo onto faces of the first."),
    "detect": ("detect", "Find every face of a picture."),
    "embed": ("faces", "Turn the faces of pictures into vectors."),
    "compare": ("compare", "Tell whether two pictures show one person."),
    "attributes": ("faces", "Guess apparent age and sex of faces."),
    "gallery": ("gallery", "Enroll people and find a face among them."),
    "demo": ("demo", "Make a portrait of a sample photo and show every step."),
    "serve": ("serve", "Serve the HTTP API."),
    "jobs": ("jobs", "See, cancel, retry and delete the jobs of the server."),
    "users": ("users", "Make, list, lock out and delete users of the server."),
    "keys": ("keys", "Make, list and revoke API keys."),
    "worker": ("worker", "Run jobs of the broker beside the servers."),
    "migrate": ("migrate", "Bring the database to this version."),
    "models": ("models", "List, install, verify and remove models."),
    "doctor": ("doctor", "Say what is installed, what is missing and the command for it."),
    "bench": ("bench", "Measure speed against the floor of this machine."),
}
"""Every command: the module of :mod:`facecraft.cli.commands` that builds it, and its line of help."""


@dataclass
class Invocation:
    """What the flags before the command said."""

    debug: bool = False


class LazyGroup(TyperGroup):
    """The commands by name: for help and completion a name and a line, in full only when one is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature of the library
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature of the library
        """Return a stand-in with the line of help, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command to call, now loaded in full."""
        # The library suggests a near name from this table.
        self.commands.update({name: self.get_command(ctx, name) for name in COMMANDS})
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest


def load(name: str) -> Any:
    """Import and build the command ``name``. Raises ConfigurationError when the settings have bad values."""
    module, help_line = COMMANDS[name]
    application: typer.Typer = import_module(f"facecraft.cli.commands.{module}").build(name)
    command = get_command(application)
    command.name, command.help = name, command.help or help_line
    return command


app = typer.Typer(
    name="facecraft",
    cls=LazyGroup,
    help="Facecraft: find, cut out, straighten, restore and frame faces, on your own machine.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        # Slow to load, and needed by nothing else.
        from importlib.metadata import version  # noqa: PLC0415

        sys.stdout.write(f"facecraft {version('facecraft')}\n")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="FACECRAFT_DEBUG", help="Log everything and show tracebacks of errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if isinstance(ctx.obj, Invocation):
        ctx.obj.debug = debug


def _show(error: BaseException, *, debug: bool) -> None:
    if debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    if isinstance(error, FacecraftError):
        lines = [f"Error: {error.message}", *([f"Hint: {error.hint}"] if error.hint else [])]
        if debug and error.detail:
            lines.append(f"Detail: {error.detail}")
    else:
        lines = [f"Internal error: {type(error).__name__}: {error}", "Hint: Set FACECRAFT_DEBUG=1 for the traceback."]
    sys.stderr.write("\n".join(lines) + "\n")


def run(args: Sequence[str]) -> int:
    """Run the command line ``args`` (without the program's name) and return the exit code."""
    invocation = Invocation()
    try:
        get_command(app).main(args=list(args), prog_name="facecraft", obj=invocation)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return EXIT_CODES[Kind.CANCELLED]
    except FacecraftError as error:
        _show(error, debug=invocation.debug)
        return EXIT_CODES[error.kind]
    except Exception as error:  # noqa: BLE001 - the outermost door: nobody above can say it better
        _show(error, debug=invocation.debug)
        return EXIT_CODES[Kind.INTERNAL]
    return 0


def main() -> None:
    """Run ``facecraft`` and end the process."""
    # Process 1 of a container hears no signal that it does not handle: being told to stop is like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))
