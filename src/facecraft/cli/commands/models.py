"""``facecraft models``: what exists, what is on this disk, and how to get, check or drop it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import typer

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.files import in_megabytes
from facecraft.catalog.results import InstallStatus, ModelState
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.catalog.store import ModelStore
from facecraft.cli.console import describe, following, result, say, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.errors import FacecraftError
from facecraft.models.hub import ARCHITECTURES, Probe
from facecraft.models.hub.networks import Networks
from facecraft.settings import Settings
from facecraft.studio import Studio, open_store
from facecraft.wording import counted

_FOLDER = ("models_dir",)
_ENGINE = ("models_dir", "device")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Ids of models, or packs such as starter.")]


def build(name: str) -> typer.Typer:
    """Build the group of commands. Raises ConfigurationError when the settings have bad values."""
    settings = Settings.load()
    flags, engine = Flags(settings, _FOLDER), Flags(settings, _ENGINE)
    application = typer.Typer(
        name=name, no_args_is_help=True, add_completion=False, rich_markup_mode="rich", help="Models and their files."
    )
    for word, body in (
        ("list", _list),
        ("show", _show),
        ("install", _install),
        ("verify", _verify),
        ("test", _test),
        ("remove", _remove),
        ("path", _path),
    ):
        application.command(word)(with_flags(body, settings=engine if body is _test else flags))
    return application


def _list(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK|PACK|ID]...", help="Only these; everything if absent.")
    ] = None,
    task: Annotated[Task | None, typer.Option("--task", help="Only models for this task.")] = None,
    pack: Annotated[str | None, typer.Option("--pack", help="Only models of this pack.")] = None,
    installed: Annotated[bool, typer.Option("--installed", help="Only models on this disk.")] = False,
    commercial: Annotated[bool, typer.Option("--commercial", help="Only models licensed for commercial use.")] = False,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """List the models: task, size, licence, whether it is installed, packs."""
    store = open_store(settings)
    chosen = [
        spec
        for spec in _named(store.catalog, names or ())
        if (task is None or spec.task is task)
        and (not commercial or spec.commercial)
        and (pack is None or spec in store.catalog.pack(pack))
    ]
    states = {spec.id: store.state(spec.id) for spec in chosen}
    if installed:
        chosen = [spec for spec in chosen if states[spec.id] is not ModelState.ABSENT]
    if as_json:
        result(json.dumps([_record(spec, store) for spec in chosen], indent=2, ensure_ascii=False))
        return
    rows = [
        (
            spec.id,
            spec.task.value,
            _size(spec),
            "yes" if spec.commercial else "no",
            _state(spec, states[spec.id]),
            " ".join(spec.packs),
            spec.license,
        )
        for spec in chosen
    ]
    table(("id", "task", "#size", "commercial", "state", "packs", "licence"), rows)
    here = sum(state is ModelState.INSTALLED for state in states.values())
    say(f"{len(chosen)} models, {here} installed in {store.root} · packs: {', '.join(store.catalog.packs)}")


def _show(
    *,
    name: Annotated[str, typer.Argument(metavar="ID", help="The id of a model.")],
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Show all that is known of one model."""
    store = open_store(settings)
    record = _record(store.catalog.get(name), store)
    if as_json:
        result(json.dumps(record, indent=2, ensure_ascii=False))
        return
    table(("", ""), [(key, _plain(value)) for key, value in record.items() if value not in (None, [], {}, "")])


def _install(
    *,
    names: Names,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the licences that forbid commercial use; kept on disk.")
    ] = False,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Install models and what they need: download, check, put in place."""
    store = open_store(settings)
    with following("models") as progress:
        results = store.install(names, accept_license=accept_license, progress=progress)
    if as_json:
        rows = [
            {"id": it.model_id, "status": it.status.value, "path": it.path and str(it.path), "source": it.source}
            for it in results
        ]
        result(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    fresh = [it for it in results if it.status is InstallStatus.INSTALLED]
    for item in fresh:
        source = f" from {item.source}" if item.source else ""
        say(f"installed {item.model_id} ({_size(store.catalog.get(item.model_id))}{source})")
    already = len(results) - len(fresh)
    say(f"{len(fresh)} installed, {already} already there · {store.root}", style="green")


def _verify(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Ids or packs; all that is here if absent.")
    ] = None,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Hash the files again and compare; exit with 1 when one is not what it should be."""
    checked = open_store(settings).verify(names or ())
    if as_json:
        rows = [
            {"id": it.model_id, "state": it.state.value, "path": it.path and str(it.path), "sha256": it.sha256}
            for it in checked
        ]
        result(json.dumps(rows, indent=2))
    else:
        table(("id", "state", "path"), [(it.model_id, it.state.value, str(it.path or "")) for it in checked])
    if not all(it.ok for it in checked):
        raise typer.Exit(1)


def _test(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Ids, packs or tasks; all that is here if absent.")
    ] = None,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Load models and run each once; exit with 1 when one of them does not run, or when none is here."""
    with Studio.open(settings) as studio:
        chosen = [
            spec
            for spec in _named(studio.store.catalog, names or ())
            if names or (not spec.builtin and studio.store.state(spec.id) is not ModelState.ABSENT)
        ]
        probes = [_probe(studio, spec) for spec in chosen]
    if as_json:
        rows = [
            {"id": it.model_id, "milliseconds": round(it.milliseconds, 1), "error": it.error and it.error.code}
            for it in probes
        ]
        result(json.dumps(rows, indent=2))
    else:
        table(
            ("id", "#ms", "result"),
            [(it.model_id, f"{it.milliseconds:.0f}", describe(it.error) if it.error else "runs") for it in probes],
        )
    failed = sum(it.error is not None for it in probes)
    say(f"{counted(len(probes), 'model')}, {failed} failed", style="red" if failed or not probes else "green")
    if failed or not probes:
        raise typer.Exit(1)


def _probe(studio: Studio, spec: ModelSpec) -> Probe:
    """Load ``spec`` and run it once."""
    start = time.perf_counter()
    try:
        if spec.architecture in ARCHITECTURES.get(spec.task, ()):
            studio.hub.warm([spec.id])
        else:
            _run_bare(studio, spec)
    except FacecraftError as error:
        return Probe(spec.id, (time.perf_counter() - start) * 1000, error)
    return Probe(spec.id, (time.perf_counter() - start) * 1000)


def _run_bare(studio: Studio, spec: ModelSpec) -> None:
    """Run a network that no adapter of this version uses on zeros: a pack is whole when all of it runs."""
    session = Networks(studio.store, studio.pool, studio.device.device).session(spec)
    session.run({it.name: np.zeros([side or 1 for side in it.shape], it.dtype) for it in session.inputs})


def _remove(*, names: Names, settings: Settings) -> None:
    """Delete the files of models. Accepted licences stay accepted."""
    removed = open_store(settings).remove(names)
    for item in removed:
        say(f"removed {item.model_id}" if item.removed else f"{item.model_id} was not there")
    say(f"{in_megabytes(sum(item.freed for item in removed))} freed")


def _path(
    *,
    name: Annotated[str | None, typer.Argument(metavar="[ID]", help="A model; the folder if absent.")] = None,
    settings: Settings,
) -> None:
    """Print where a model's file is, or the folder of all."""
    store = open_store(settings)
    result(str(store.root if name is None else store.path(name)))


def _named(catalog: Catalog, names: Iterable[str]) -> tuple[ModelSpec, ...]:
    """Return the models that ids, packs and tasks stand for; all of them for no name."""
    tasks = {task.value: task for task in Task}
    found: dict[str, ModelSpec] = {}
    for name in names:
        specs = catalog.by_task(tasks[name]) if name in tasks else catalog.resolve([name])
        found |= {spec.id: spec for spec in specs}
    return tuple(found.values()) if names else tuple(catalog)


def _record(spec: ModelSpec, store: ModelStore) -> dict[str, Any]:
    state = store.state(spec.id)
    return {
        **spec.model_dump(mode="json"),
        "state": state.value,
        "installed": state is ModelState.INSTALLED,
        "permitted": store.permitted(spec.id),
        "installable": spec.installable,
        "path": str(store.root / spec.file) if spec.file and state is not ModelState.ABSENT else None,
    }


def _state(spec: ModelSpec, state: ModelState) -> str:
    if state is ModelState.ABSENT:
        return "-" if spec.installable else "no checksum"
    return "built in" if spec.builtin else state.value


def _size(spec: ModelSpec) -> str:
    return in_megabytes(spec.bytes) if spec.bytes else "-" if spec.builtin else "?"


def _plain(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{key}={part}" for key, part in value.items())
        case list() | tuple():
            return "\n".join(map(str, value))
    return str(value)
