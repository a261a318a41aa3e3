"""Forms derived from options: the same fields, bounds and descriptions, with this server's defaults, plus files.

A strict model beside a separate upload would call the file an unknown field, so the files are fields of the form.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from typing import Annotated, Any, TypeVar, cast

from fastapi import Form, UploadFile
from pydantic import Field, create_model

from facecraft.options import Options
from facecraft.pipelines.presets import Companion

OptionsT = TypeVar("OptionsT", bound=Options)
EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])


class FileForm(Options):
    """A form with one picture."""

    file: UploadFile = Field(description="The picture: JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.")


class PictureForm(FileForm):
    """A form with one picture of which another is made."""

    return_base64: bool = Field(default=False, description="Put the files into the JSON reply, too.")


class FilesForm(Options):
    """A form with many pictures."""

    files: list[UploadFile] = Field(min_length=1, description="The pictures.")


def with_defaults(options: type[OptionsT], defaults: Options) -> type[OptionsT]:
    """Return ``options`` with the values of ``defaults`` as the defaults of fields of that name; the rest stays."""
    fields: dict[str, Any] = {}
    for name in type(defaults).model_fields.keys() & options.model_fields.keys():
        changed = copy(options.model_fields[name])
        changed.default = getattr(defaults, name)
        fields[name] = (changed.annotation, changed)
    return cast("type[OptionsT]", create_model(options.__name__, __base__=options, **fields))


def form_of(
    options: type[Options], files: type[OptionsT], *, name: str, companions: Sequence[Companion] = ()
) -> type[OptionsT]:
    """Return a form called ``name`` with the fields of ``options`` and of ``files``, and the further pictures ``companions``.

    Values of the form that belong to ``options`` are taken out with :meth:`Options.pick`, the further pictures with
    :func:`companions_of`.
    """
    more: dict[str, Any] = {}
    for companion in companions:
        more[companion.field] = (
            (UploadFile, Field(description=companion.description))
            if companion.required
            else (UploadFile | None, Field(default=None, description=companion.description))
        )
    return cast("type[OptionsT]", create_model(name, __base__=(options, files), __doc__=options.__doc__, **more))


def companions_of(form: Options, companions: Sequence[Companion]) -> dict[str, UploadFile | None]:
    """Return the further pictures of ``form`` by role; None for one that was not sent."""
    return {companion.role: getattr(form, companion.field) for companion in companions}


def takes(form: type[Options]) -> Callable[[EndpointT], EndpointT]:
    """Decorate an endpoint so that its parameter ``form`` is read from a multipart form of type ``form``."""
    annotation = Annotated[form, Form(media_type="multipart/form-data")]  # type: ignore[valid-type]  # made at run time

    def decorate(endpoint: EndpointT) -> EndpointT:
        signature = inspect.signature(endpoint, eval_str=True)
        changed = [
            parameter.replace(annotation=annotation) if parameter.name == "form" else parameter
            for parameter in signature.parameters.values()
        ]
        endpoint.__signature__ = signature.replace(parameters=changed)  # type: ignore[attr-defined]
        return endpoint

    return decorate
