"""``facecraft gallery``: people enrolled with their faces, and the search for a face among them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from facecraft.cli.console import result, say, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.inputs import select
from facecraft.cli.pictures import ENGINE_SETTINGS, configure_log
from facecraft.errors import InvalidOptionError
from facecraft.galleries.choices import EnrollOptions, SearchOptions
from facecraft.galleries.reports import GalleriesPage, GalleryRecord, PeoplePage, PersonRecord, SearchReport
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.wording import counted

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Gallery = Annotated[str, typer.Argument(metavar="GALLERY", help="The id of a gallery; see the command list.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="From the page before; absent for the first.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="Most items of the page.")]


def build(name: str) -> typer.Typer:
    """Build the group of commands. Raises ConfigurationError when the settings have bad values."""
    settings = Flags(Settings.load(), ENGINE_SETTINGS)
    application = typer.Typer(
        name=name,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        help="People enrolled with their faces, and the search for a face among them.",
    )
    for word, body in (
        ("create", _create), ("list", _list), ("rename", _rename), ("delete", _delete), ("people", _people),
        ("remove", _remove),
    ):  # fmt: skip
        application.command(word)(with_flags(body, settings=settings))
    application.command("enroll")(with_flags(_enroll, options=Flags(EnrollOptions()), settings=settings))
    application.command("search")(with_flags(_search, options=Flags(SearchOptions()), settings=settings))
    return application


def _create(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    model: Annotated[
        str,
        typer.Option("--model", help="The model of its vectors: a catalogue id, or auto for the best installed one."),
    ] = "auto",
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Make an empty gallery and print its id."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        made = GalleryRecord.of(studio.galleries.create_for(name, model))
    result(made.model_dump_json(indent=2) if as_json else made.id)
    say(f"made the gallery {made.name} for {made.model}")


def _list(
    ctx: typer.Context,
    *,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """List the galleries, the oldest first."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        found = studio.galleries.browse(cursor=cursor, limit=limit)
    page = GalleriesPage(items=tuple(map(GalleryRecord.of, found.items)), cursor=found.cursor)
    if as_json:
        result(page.model_dump_json(indent=2))
        return
    rows = [(item.id, item.name, item.model, str(item.people), str(item.faces)) for item in page.items]
    table(("id", "name", "model", "#people", "#faces"), rows)
    _tell_more(page.cursor)


def _rename(
    ctx: typer.Context,
    *,
    gallery: Gallery,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    settings: Settings,
) -> None:
    """Give a gallery another name."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        changed = studio.galleries.rename(gallery, name)
    say(f"{changed.id} is now called {changed.name}")


def _delete(ctx: typer.Context, *, gallery: Gallery, settings: Settings) -> None:
    """Delete a gallery with all its people, vectors and crops, for good."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        known = studio.galleries.get(gallery)
        studio.galleries.delete(gallery)
    say(f"deleted {known.name} with {counted(known.faces, 'face')}")


def _people(
    ctx: typer.Context,
    *,
    gallery: Gallery,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """List the people of a gallery in the order of their enrollment."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        model = studio.galleries.get(gallery).model_id
        found = studio.galleries.people(gallery, cursor=cursor, limit=limit)
    items = tuple(PersonRecord.of(person, model) for person in found.items)
    if as_json:
        result(PeoplePage(model=model, items=items, cursor=found.cursor).model_dump_json(indent=2))
        return
    rows = [(item.id, item.name, str(item.faces), json.dumps(item.details, ensure_ascii=False)) for item in items]
    table(("id", "name", "#faces", "details"), rows)
    _tell_more(found.cursor)


def _remove(
    ctx: typer.Context,
    *,
    gallery: Gallery,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The id of a person; see the command people.")],
    settings: Settings,
) -> None:
    """Delete a person with all vectors and crops, for good."""
    configure_log(settings, debug=ctx.obj.debug)
    with Studio.open(settings) as studio:
        known = studio.galleries.person(gallery, person)
        studio.galleries.delete_person(gallery, person)
    say(f"deleted {known.name} with {counted(known.faces, 'face')}")


def _enroll(
    ctx: typer.Context,
    *,
    gallery: Gallery,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the person.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Pictures of this one person.")],
    details: Annotated[str, typer.Option("--details", help="What to remember of the person: a JSON object.")] = "{}",
    options: EnrollOptions,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Enroll one person with a face of each picture and print the person's id; all pictures or none."""
    configure_log(settings, debug=ctx.obj.debug)
    try:
        known = json.loads(details)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter("this is not JSON", param_hint="--details") from error
    if not isinstance(known, dict):
        raise InvalidOptionError("The details are not a JSON object.")
    sources = select(files, settings.file_limits, recursive=False).sources
    with Studio.open(settings) as studio:
        made = studio.galleries.enroll_pictures(
            gallery,
            name,
            [source.picture for source in sources],
            options,
            names=[source.name for source in sources],
            details=known,
        )
        record = PersonRecord.of(made, studio.galleries.get(gallery).model_id)
    result(record.model_dump_json(indent=2) if as_json else record.id)
    say(f"enrolled {record.name} with {counted(record.faces, 'face')} ({record.model})")


def _search(
    ctx: typer.Context,
    *,
    gallery: Gallery,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture, or - for stdin.")],
    options: SearchOptions,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Find the people whom the faces of a picture resemble: exit with 0 when there is one and with 1 when not."""
    configure_log(settings, debug=ctx.obj.debug)
    selection = select([file], settings.file_limits, recursive=False)
    if selection.many:
        raise typer.BadParameter(f"{file} is not one picture", param_hint="FILE")
    source = selection.sources[0]
    with Studio.open(settings) as studio:
        report = studio.galleries.search_picture(gallery, source.picture, options, name=source.name)
    if as_json:
        result(report.model_dump_json(indent=2))
    else:
        _show(report)
    if not any(probe.matches for probe in report.probes):
        raise typer.Exit(1)


def _show(report: SearchReport) -> None:
    rows = [
        (str(probe.index), match.person.name, f"{match.similarity:.3f}", match.person.id)
        for probe in report.probes
        for match in probe.matches
    ]
    if rows:
        table(("#face", "name", "#similarity", "person"), rows)
    nobody = sum(not probe.matches for probe in report.probes)
    limit = "no threshold" if report.threshold is None else f"threshold {report.threshold:.3f}"
    say(f"{counted(len(report.probes), 'face')}, {nobody} without a match · {limit} ({report.model})")


def _tell_more(cursor: str | None) -> None:
    if cursor is not None:
        say(f"There are more: --cursor {cursor}")
