"""Options, forms and schemas are one declaration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from facecraft.api.app import create_app
from facecraft.api.requests.forms import PictureForm, form_of, with_defaults
from facecraft.api.routes.presets import DETECT, server_options
from facecraft.faces.selection import FacePolicy
from facecraft.pipelines.presets import PRESETS, PortraitOptions
from facecraft.pipelines.recognition import FACES
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.settings import Settings

DECLARED: dict[str, type[BaseModel]] = {**PRESETS, DETECT: DetectOptions}
OF_THE_FORM = {"file", "background_image", "source", "reference", "return_base64"}


def _settings(tmp_path: Path, **changes: object) -> Settings:
    return Settings(models_dir=tmp_path, upload_dir=tmp_path / "up", output_dir=tmp_path / "out", **changes)


def _inlined(schema: object, definitions: dict[str, object]) -> object:
    if isinstance(schema, dict):
        if "$ref" in schema:
            target = definitions[str(schema["$ref"]).rsplit("/", 1)[1]]
            return _inlined({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    return [_inlined(part, definitions) for part in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("name", DECLARED)
def test_options_form_and_schema_have_the_same_fields_bounds_and_defaults(tmp_path: Path, name: str) -> None:
    """With a server that changes no default, all three are equal, field by field."""
    settings = _settings(tmp_path)
    document = create_app(settings).openapi()
    parts = document["components"]["schemas"]
    body = document["paths"][f"/api/v1/{name}"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    form = _inlined(body, parts)["properties"]
    declared = DECLARED[name].model_json_schema()
    options = _inlined(declared["properties"], declared.get("$defs", {}))
    served = server_options(settings)[name].model_json_schema()
    schema = _inlined(served["properties"], served.get("$defs", {}))
    assert list(schema) == list(options)
    assert set(form) - OF_THE_FORM == set(options) == set(DECLARED[name].model_fields)
    for field in options:
        assert form[field] == schema[field], field
        changed = {"default": "all"} if (name, field) == (DETECT, "faces") else {}
        assert form[field] == {**options[field], **changed}, field
        assert form[field]["description"], field


def test_every_preset_has_an_endpoint(tmp_path: Path) -> None:
    paths = create_app(_settings(tmp_path)).openapi()["paths"]
    assert {f"/api/v1/{name}" for name in DECLARED} <= set(paths)


def test_the_operators_choice_becomes_the_default_and_bounds_stay(tmp_path: Path) -> None:
    settings = _settings(tmp_path, default_width=512, default_enhance_fidelity=0.2)
    served = server_options(settings)["portrait"]
    assert served().width == 512  # type: ignore[union-attr]
    assert served().fidelity == 0.2  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="4096"):
        served(width=5000)
    assert PortraitOptions().width == 648


def test_a_form_gives_its_options_back() -> None:
    defaults = with_defaults(DetectOptions, DetectOptions(faces=FacePolicy.ALL))
    assert defaults() == defaults(faces="all")
    assert issubclass(form_of(PortraitOptions, PictureForm, name="AnyForm"), PortraitOptions)


def test_schemas_are_served_with_the_same_content(open_door: Callable[..., object]) -> None:
    door = open_door()
    everything = door.client.get("/api/v1/options").json()
    assert set(everything) == set(DECLARED) | {f"faces-{name}" for name in FACES}
    assert everything["faces-compare"]["properties"]["threshold"]["default"] is None
    assert door.client.get("/api/v1/options/portrait").json() == everything["portrait"]
    reply = door.client.get("/api/v1/options/..secret")
    assert reply.status_code == 404
    assert "secret" not in reply.text
