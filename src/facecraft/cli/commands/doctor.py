"""``facecraft doctor``: what is installed, which device, what is missing and the command for it."""

from __future__ import annotations

from typing import Annotated

import typer

from facecraft.cli.console import result, say, table
from facecraft.cli.diagnosis import Diagnosis, TaskRecord, examine
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.pictures import ENGINE_SETTINGS, configure_log
from facecraft.settings import Settings


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name)(with_flags(_doctor, settings=Flags(Settings.load(), ENGINE_SETTINGS)))
    return application


def _doctor(
    ctx: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    settings: Settings,
) -> None:
    """Say what is installed, what is missing and the command for it. Exits with 1 when portraits cannot be made."""
    configure_log(settings, debug=ctx.obj.debug)
    diagnosis = examine(settings)
    if as_json:
        result(diagnosis.model_dump_json(indent=2))
    else:
        _show(diagnosis)
    if diagnosis.problems:
        raise typer.Exit(1)


def _show(diagnosis: Diagnosis) -> None:
    packages = ", ".join(f"{name} {number}" for name, number in diagnosis.packages.items())
    runtimes = [
        f"{it.title} {'is there' if it.installed else f'is missing: {it.install}'}" for it in diagnosis.runtimes
    ]
    device = diagnosis.device
    table(
        ("", ""),
        [
            ("python", f"{diagnosis.python} on {diagnosis.system}, {diagnosis.cores} cores"),
            ("packages", packages),
            *(("runtime", line) for line in runtimes),
            ("device", f"{device.device or 'none'} (asked for {device.requested}: {device.reason})"),
            ("licences", diagnosis.license_policy),
            ("offline", "yes: nothing is fetched" if diagnosis.offline else "no"),
        ],
    )
    table(("task", "models", "#ms", "missing"), [_row(task) for task in diagnosis.tasks])
    table(
        ("folder", "path", "writable", "#free MB"),
        [(it.purpose, it.path, "yes" if it.writable else "NO", str(it.free_mb)) for it in diagnosis.folders],
    )
    for problem in diagnosis.problems:
        say(f"Problem: {problem}", style="red")
    if not diagnosis.problems:
        say("All that a portrait needs is here.", style="green")


def _row(task: TaskRecord) -> tuple[str, str, str, str]:
    missing = " ".join(part for part in (task.problem, task.fix) if part)
    if missing and not task.needed:
        missing = f"optional: {missing}"
    return task.task, ", ".join(task.models), f"{task.milliseconds:.0f}", missing
