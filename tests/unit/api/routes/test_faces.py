"""The face endpoints and commands are derived from the same options, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecraft.api.app import create_app
from facecraft.api.routes.faces import FACE_PRESETS
from facecraft.cli.app import load
from facecraft.cli.flags import flag
from facecraft.options import Options
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.recognition import FACES, AttributesOptions, CompareOptions, EmbedOptions
from facecraft.settings import Settings

OF_THE_FORM = {"file", "first", "second", "background_image", "source", "reference", "return_base64"}
ENDPOINTS = {**FACES, **{name: PRESETS[name] for name in FACE_PRESETS}}
COMMANDS = {"embed": EmbedOptions, "compare": CompareOptions, "attributes": AttributesOptions}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder: Path = tmp_path_factory.mktemp("settings")
    return create_app(Settings(models_dir=folder, upload_dir=folder / "up", output_dir=folder / "out")).openapi()


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_form_has_the_fields_of_the_options(document: dict[str, dict], name: str) -> None:
    body = document["paths"][f"/api/v1/faces/{name}"]["post"]["requestBody"]["content"]["multipart/form-data"]
    form = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]["properties"]
    declared = ENDPOINTS[name].model_json_schema()["properties"]
    assert set(form) - OF_THE_FORM == set(declared)
    for field, schema in declared.items():
        assert form[field]["description"] == schema["description"]
        assert {k: form[field].get(k) for k in ("minimum", "maximum", "default")} == {
            k: schema.get(k) for k in ("minimum", "maximum", "default")
        }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_has_the_fields_of_the_options(command: str) -> None:
    options: type[Options] = COMMANDS[command]
    flags = {parameter.name: parameter for parameter in load(command).params if parameter.param_type_name == "option"}
    for name, field in options.model_fields.items():
        assert flag(name) in flags[name].opts
        assert flags[name].help == " ".join((field.description or "").split())
        assert flags[name].default == field.default
    terminal = {"recursive", "jobs", "as_json", "report", "device", "models_dir", "help"}
    assert set(flags) - set(options.model_fields) <= terminal
