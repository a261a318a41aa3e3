"""The pages of the stored form of a pipeline and of the report."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import BaseModel

from facecraft.pipelines import report
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.stages import BUILTIN
from generator.library import attribute_docs
from generator.markdown import page, plain, summary, table
from generator.schemas import reply_type

EXAMPLE = {
    "version": 1,
    "steps": [
        {"stage": "detect", "options": {"faces": "largest"}},
        {"stage": "crop", "options": {"width": 413, "height": 531, "face_margin": 0.2}},
        {"stage": "cutout", "options": {"refine": "fine"}},
        {"stage": "background", "options": {"background": "white"}},
    ],
    "output": {"formats": ["jpeg"], "jpeg_max_kb": 200, "dpi": 300},
}


def pipeline_page() -> str:
    """Return the page of the stored form of a pipeline."""

    Pipeline.model_validate(EXAMPLE)
    rows = [
        (
            f"[`{stage.name}`](options.md#{stage.name})",
            ", ".join(f"`{it}`" for it in stage.needs),
            plain(stage.run.__doc__),
        )
        for stage in BUILTIN.values()
    ]
    full = PRESETS["portrait"]().pipeline().model_dump_json(indent=2)
    return page(
        "Pipelines as JSON",
        "A pipeline is data: a version, steps in the order in which they run, and how the result is written. It can be "
        "stored, sent as the form field `pipeline` to `POST /api/v1/pipelines/run`, or to `POST /api/v1/jobs` for a job, and run from Python with "
        "`Studio.run(Pipeline.model_validate_json(text), picture)`.",
        table(
            ("Key", "Type", "Meaning"),
            [
                (
                    "`version`",
                    "`1`",
                    plain(Pipeline.model_fields["version"].description)
                    or "Version of the stored form. A reader refuses versions it does not know.",
                ),
                (
                    "`steps`",
                    "list of at most 32",
                    "Objects with `stage` and, where they differ from the defaults, `options`. A stage stands at most once.",
                ),
                ("`output`", "object", "[Output options](options.md#output): formats, sizes, qualities."),
            ],
        ),
        "Unknown keys, unknown stages and values out of bounds are refused (`invalid_pipeline`); nothing is ignored.",
        "## An example",
        "A photo of 35×45 mm at 300 dpi on white, as one JPEG of at most 200 KB:",
        f"```json\n{json.dumps(EXAMPLE, indent=2)}\n```",
        "## Stages",
        table(("Stage", "Needs", "Remarks"), rows),
        "## The preset portrait, written out",
        f"```json\n{full}\n```",
    )


def _inlined(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema of the property ``name``; choices stand in it instead of behind a reference."""
    part: dict[str, Any] = schema["properties"][name]
    target = schema.get("$defs", {}).get(part.get("$ref", "").rsplit("/", 1)[-1], {})
    return target if "enum" in target else part


def report_page() -> str:
    """Return the page of the report."""
    records = [
        it
        for it in vars(report).values()
        if inspect.isclass(it) and issubclass(it, BaseModel) and it.__module__ == report.__name__ and it.model_fields
    ]
    parts = [
        (
            "What was done to a picture: `report.json` of the demo, `--json` and `--report` of the commands, `report` in "
            "replies over HTTP, `Result.report` in Python."
        ),
    ]
    for kind in reversed(records):
        docs = attribute_docs(kind)
        schema = kind.model_json_schema(ref_template="#/schemas/{model}")
        rows = [(f"`{name}`", reply_type(_inlined(schema, name)), docs.get(name, "")) for name in kind.model_fields]
        parts += [f"## {kind.__name__}", summary(kind), table(("Field", "Type", "Meaning"), rows)]
    return page("The report", *parts)
