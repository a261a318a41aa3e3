"""What somebody sends who wants a job: a task or the name of a preset, and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Annotated, Any, cast, get_args

from fastapi import UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model, field_validator
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as SentFile

from facecraft.api.jobs.submitting import Given, Order
from facecraft.errors import InvalidOptionError, TooManyFilesError
from facecraft.jobs.tasks import DETECT, FACES_PREFIX, FacesTask, PipelineTask, Task
from facecraft.options import Options
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import COMPANIONS, PRESETS, Preset
from facecraft.pipelines.recognition import FACES, CompareOptions
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.settings import Settings
from facecraft.studio.performing import SECOND

_SECOND_FIELD = "second"
SETTLED = {companion.field: companion.role for companion in COMPANIONS} | {_SECOND_FIELD: SECOND}
"""The role of each further picture by the name of its field."""
_JSON_FIELDS = ("task", "pipeline", "options", "companions")
_KINDS: tuple[str, ...] = tuple(each.model_fields["kind"].default for each in get_args(get_args(Task)[0]))
_WAYS = ("task", "preset", "pipeline")


class JobRequest(BaseModel):
    """A job: what is done, as a preset with options, as a pipeline or as a task, and on which earlier pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task | None = Field(
        default=None, description="What is done, in full. Send exactly one of this, `preset` and `pipeline`."
    )
    preset: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="A name of `/api/v1/options`: portrait, cutout, restore, detect, faces-embeddings …"
    )
    options: dict[str, JsonValue] = Field(default={}, description="Options of the preset.")
    pipeline: Pipeline | None = Field(
        default=None, description="A pipeline of your own, as `/api/v1/pipelines/run` takes it."
    )
    blobs: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        default=(), description="Earlier pictures: ids of uploads, or `job:<id>/<name>` for the result of a job."
    )
    companions: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        default={},
        description=f"Earlier pictures that go with every one, by the name of their field: {', '.join(SETTLED)}.",
    )
    timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Longest time of one attempt; never more than the server's.",
    )

    @field_validator("task", mode="before")
    @classmethod
    def _of_a_known_kind(cls, task: Any) -> Any:
        if isinstance(task, Mapping) and task.get("kind") not in _KINDS:
            raise ValueError(
                f"A task needs a `kind`: {' or '.join(_KINDS)}. A pipeline alone is sent as `pipeline`, without a task."
            )
        return task


def _form() -> type[BaseModel]:
    """Return the form: the fields of a request, those with structure as JSON, and files."""
    fields: dict[str, Any] = {}
    for name, known in JobRequest.model_fields.items():
        if name in _JSON_FIELDS:
            fields[name] = (
                str | None,
                Field(default=None, max_length=60_000, description=f"JSON. {known.description}"),
            )
        elif name == "blobs":
            fields[name] = (list[str], Field(default=[], description=known.description))
        else:
            fields[name] = (known.annotation, Field(default=None, description=known.description))
    fields["files"] = (list[UploadFile], Field(default=[], description="Pictures; worked on before `blobs`."))
    for companion in COMPANIONS:
        fields[companion.field] = (UploadFile | None, Field(default=None, description=companion.description))
    fields[_SECOND_FIELD] = (UploadFile | None, Field(default=None, description="The picture to compare with."))
    return cast("type[BaseModel]", create_model("JobForm", __doc__="A job and its pictures.", **fields))


JobForm = _form()
"""What the OpenAPI document says of the multipart form."""


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of the two bodies, and of all that they refer to, by name."""
    found: dict[str, Any] = {}
    for model in (JobRequest, JobForm):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= {**schema.pop("$defs", {}), model.__name__: schema}
    return found


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}
            for kind, name in (("multipart/form-data", "JobForm"), ("application/json", "JobRequest"))
        },
    }
}
"""What the OpenAPI document says of the body."""


def order_of_form(form: FormData, settings: Settings, presets: Mapping[str, type[Options]]) -> Order:
    """Return the order that a multipart form stands for. Raises RequestValidationError, InvalidOptionError."""
    fields: dict[str, Any] = {}
    files: list[SentFile] = []
    companions: dict[str, Given] = {}
    blobs: list[str] = []
    for name, value in form.multi_items():
        if name == "files" and isinstance(value, SentFile):
            files.append(value)
        elif name in SETTLED and isinstance(value, SentFile):
            if name in companions:
                raise _invalid(name, "too_many_files", "Send this file once.")
            companions[name] = value
        elif isinstance(value, SentFile) or name in fields or name in SETTLED or name == "files":
            raise _invalid(name, "unexpected", "This field is not expected here, or not twice, or not as a file.")
        elif name == "blobs":
            blobs += [part.strip() for part in value.split(",") if part.strip()]
        elif value:
            fields[name] = _from_json(name, value) if name in _JSON_FIELDS else value
    try:
        wanted = JobRequest.model_validate({**fields, "blobs": blobs})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    return order_of(wanted, settings, presets, files=files, companions=companions)


def order_of(
    wanted: JobRequest,
    settings: Settings,
    presets: Mapping[str, type[Options]],
    *,
    files: list[SentFile] | None = None,
    companions: Mapping[str, Given] | None = None,
) -> Order:
    """Return the order that ``wanted`` stands for, with the ``files`` and ``companions`` that came along.

    ``presets`` are the options by name, with this server's defaults. Raises InvalidOptionError, TooManyFilesError.
    """
    if sum(getattr(wanted, way) is not None for way in _WAYS) != 1:
        hint = f"Exactly one of {', '.join(f'`{way}`' for way in _WAYS)}."
        raise InvalidOptionError("Send a preset, a pipeline or a task.", hint=hint)
    if wanted.options and wanted.preset is None:
        raise InvalidOptionError("Only a preset has `options`.", hint="Those of a pipeline stand in its steps.")
    given: dict[str, Given] = {**wanted.companions, **(companions or {})}
    unknown = sorted(given.keys() - SETTLED.keys())
    if unknown:
        raise InvalidOptionError(f"There is no further picture named {unknown[0][:60]!r}.")
    if wanted.preset is not None:
        task = _task_of(wanted.preset, wanted.options, presets, given)
    elif wanted.pipeline is not None:
        task = PipelineTask(pipeline=wanted.pipeline)
    else:
        task = _with_pictures(cast("Task", wanted.task), given)
    pictures: list[Given] = [*(files or ()), *wanted.blobs]
    if len(pictures) > settings.batch_max_files:
        raise TooManyFilesError(f"A job may have at most {settings.batch_max_files} pictures.")
    return Order(task, pictures, {SETTLED[name]: each for name, each in given.items()}, wanted.timeout_seconds)


def _task_of(
    preset: str, sent: Mapping[str, JsonValue], presets: Mapping[str, type[Options]], given: Mapping[str, Given]
) -> Task:
    faces = preset.removeprefix(FACES_PREFIX)
    if preset.startswith(FACES_PREFIX) and faces in FACES:
        return _with_pictures(FacesTask(name=faces, options=_options(FACES[faces], sent)), given)
    if preset not in presets:
        raise InvalidOptionError(
            "There is no preset of this name.",
            hint=f"The presets are {', '.join((*presets, *(f'{FACES_PREFIX}{name}' for name in FACES)))}.",
        )
    options = _options(presets[preset], sent)
    if preset not in PRESETS:
        _no_strangers(preset, given, set())
        return detect_task(options.pick(DetectOptions))
    kind = PRESETS[preset]
    for companion in kind.companions:
        if companion.required and companion.field not in given:
            raise InvalidOptionError(f"{preset} needs a further picture.", hint=f"Send it as `{companion.field}`.")
    _no_strangers(preset, given, {companion.field for companion in kind.companions})
    return preset_task(options.pick(kind))


def _with_pictures(task: Task, given: Mapping[str, Given]) -> Task:
    """Return ``task``. Raises InvalidOptionError for further pictures of a look at faces that has no use for them."""
    if isinstance(task, FacesTask):
        compares = isinstance(task.options, CompareOptions)
        _no_strangers(f"{FACES_PREFIX}{task.name}", given, {_SECOND_FIELD} if compares else set())
    return task


def _no_strangers(preset: str, given: Mapping[str, Given], known: Set[str]) -> None:
    """Refuse further pictures that ``preset`` has no use for. Raises InvalidOptionError."""
    strange = sorted(given.keys() - known)
    if strange:
        hint = f"It takes {', '.join(sorted(known))}." if known else "It takes no further picture."
        raise InvalidOptionError(f"{preset} takes no picture named {strange[0]}.", hint=hint)


def preset_task(options: Preset) -> PipelineTask:
    """Return the task of a preset."""
    return PipelineTask(name=options.name, pipeline=options.pipeline())


def detect_task(options: DetectOptions) -> PipelineTask:
    """Return the task that finds faces and makes no picture."""
    return PipelineTask(name=DETECT, pipeline=Pipeline.of(detect=options), write=False)


def _options(kind: type[Options], sent: Mapping[str, JsonValue]) -> Options:
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        problems = [{**item, "loc": ("options", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(problems) from error


def _from_json(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(name, "json_invalid", "This is not JSON.") from error


def _invalid(field: str, kind: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body", field), "msg": message}])
