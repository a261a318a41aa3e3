"""The page of every model in the catalogue."""

from __future__ import annotations

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.files import in_megabytes
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.models.hub.architectures import ARCHITECTURES
from generator.markdown import page, table


def model_row(spec: ModelSpec, order: tuple[ModelSpec, ...]) -> tuple[str, ...]:
    """Return the row of one model."""
    place = str(order.index(spec) + 1) if spec in order else ""
    return (
        f"[`{spec.id}`]({spec.url})" if spec.url else f"`{spec.id}`",
        in_megabytes(spec.bytes) if spec.bytes else "built in" if spec.builtin else "?",
        spec.license,
        "yes" if spec.commercial else "**no**",
        spec.risk.value,
        ", ".join(spec.packs),
        spec.runtime.value,
        "yes" if spec.architecture in ARCHITECTURES.get(spec.task, ()) else "no",
        place,
        "yes" if spec.installable else "no checksum",
    )


def models_page() -> str:
    """Return the page of every model in the catalogue."""
    catalog = Catalog.load()
    packs = []
    for name in catalog.packs:
        specs = catalog.pack(name)
        free = sum(spec.commercial for spec in specs)
        size = in_megabytes(sum(spec.bytes or 0 for spec in specs))
        packs.append((f"`{name}`", str(len(specs)), size, str(free), ", ".join(f"`{spec.id}`" for spec in specs)))
    parts = [
        (
            f"The catalog lists {len(catalog)} models, {sum(spec.commercial for spec in catalog)} of them under a license "
            "that allows commercial use. *Adapter* says whether this version can run the model. *Auto* is its place in the "
            "order in which `auto` looks for an installed, permitted model. *Risk* is what to read before selling pictures "
            "made with it; *commercial* concerns the stated license of code and weights only, not the training data. "
            "See [how to choose models](../how-to/choose-models-and-licences.md)."
        ),
        "## Packs",
        (
            "Installed with `facecraft models install NAME`. A pack called `…-extra` is not part of the pack it is named "
            "after; its models are installed one by one or with its own name."
        ),
        table(("Pack", "Models", "Size", "Commercial", "Ids"), packs),
    ]
    head = ("Model", "Size", "License", "Commercial", "Risk", "Packs", "Runtime", "Adapter", "Auto", "Installable")
    for task in Task:
        specs = catalog.by_task(task)
        if specs:
            parts += [f"## {task.value}", table(head, [model_row(spec, catalog.auto(task)) for spec in specs])]
    return page("Models", *parts)
