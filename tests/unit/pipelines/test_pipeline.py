"""Pipelines as data, presets as flat options, and the loop that runs them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from facecraft.errors import CancelledError, NoFaceFoundError, PipelineError
from facecraft.imaging.image import Image
from facecraft.pipelines.encode import EncodeOptions
from facecraft.pipelines.pipeline import Pipeline, run
from facecraft.pipelines.presets import PRESETS, PortraitOptions
from facecraft.pipelines.stage import Context, Watch
from facecraft.pipelines.stages import BUILTIN
from facecraft.pipelines.stages.background import BackgroundOptions
from facecraft.pipelines.stages.shape import ShapeOptions
from facecraft.pipelines.stages.tone import ToneOptions
from facecraft.progress import CancelToken, ProgressEvent

IMAGE = Image(np.full((80, 60, 3), 128, np.uint8))


def test_a_preset_is_cut_into_steps_and_loses_nothing() -> None:
    options = PortraitOptions(width=300, background="blur", exposure=0.25, jpeg_max_kb=50)
    pipeline = options.pipeline()
    assert [step.stage for step in pipeline.steps] == [
        "detect", "restore", "crop", "cutout", "background", "tone", "shape",
    ]  # fmt: skip
    together = {name: value for step in pipeline.steps for name, value in step.options}
    together |= dict(pipeline.output)
    assert together == dict(options)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_no_two_stages_of_a_preset_share_a_field(preset: type[PortraitOptions]) -> None:
    steps = [step.options for step in preset().pipeline().steps]
    counts = Counter(name for options in [*steps, EncodeOptions()] for name in type(options).model_fields)
    assert [name for name, count in counts.items() if count > 1 and name in preset.model_fields] == []


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_option_is_described_in_words(preset: type[PortraitOptions]) -> None:
    assert [name for name, field in preset.model_fields.items() if not field.description] == []


def test_a_pipeline_survives_being_written_down() -> None:
    pipeline = PortraitOptions(background="#336699", shape="rounded").pipeline()
    stored = pipeline.model_dump_json()
    assert Pipeline.model_validate_json(stored) == pipeline
    assert json.loads(stored)["version"] == 1


@pytest.mark.parametrize(
    "stored",
    [
        {"version": 2, "steps": []},
        {"version": 1, "steps": [{"stage": "paint"}]},
        {"version": 1, "steps": [{"stage": "crop", "options": {"width": 1}}]},
        {"version": 1, "steps": [{"stage": "crop", "options": {"size": 300}}]},
        {"version": 1, "steps": [{"stage": "crop"}, {"stage": "crop"}]},
        {"version": 1, "steps": [{"stage": "crop"}], "shell": "rm"},
    ],
)
def test_a_stored_pipeline_that_is_not_well_formed_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Pipeline.model_validate(stored)


def test_options_of_another_stage_are_refused() -> None:
    with pytest.raises(PipelineError):
        Pipeline.of(crop=ToneOptions())
    with pytest.raises(PipelineError):
        Pipeline.of(paint=ToneOptions())


def test_progress_rises_and_names_the_stage() -> None:
    events: list[ProgressEvent] = []
    pipeline = Pipeline.of(background=BackgroundOptions(background="white"), shape=ShapeOptions())
    run(pipeline, IMAGE, None, watch=Watch(events.append))  # type: ignore[arg-type] - these stages use no model
    assert [event.stage for event in events] == ["background", "shape", "encode"]
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_wish_to_stop_is_honoured_between_stages() -> None:
    cancel = CancelToken()
    stages: list[str] = []

    def hear(event: ProgressEvent) -> None:
        stages.append(event.stage)
        cancel.cancel()

    pipeline = Pipeline.of(background=BackgroundOptions(), shape=ShapeOptions())
    with pytest.raises(CancelledError):
        run(pipeline, IMAGE, None, watch=Watch(hear, cancel))  # type: ignore[arg-type]
    assert stages == ["background"]


def test_a_context_without_a_chosen_face_says_so() -> None:
    with pytest.raises(NoFaceFoundError):
        _ = Context(original=IMAGE).face


def test_contexts_are_changed_by_copy() -> None:
    first = Context(original=IMAGE)
    second = first.used("matting", "mp_selfie").skip("restore", "off").warn("careful")
    assert dict(first.models) == {}
    assert dict(second.models) == {"matting": "mp_selfie"}
    assert second.skipped["restore"] == "off"
    assert second.warnings == ("careful",)
    assert replace(second, chosen=(0,)).chosen == (0,)


def test_every_stage_is_listed_under_its_own_name() -> None:
    assert all(name == stage.name for name, stage in BUILTIN.items())
