"""The catalogue: every model Facecraft knows, read from the TOML files beside this module."""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Self

from pydantic import ValidationError

from facecraft.catalog.sources import PypiSource, UrlSource
from facecraft.catalog.spec import ArchivePin, ModelSpec, Task
from facecraft.errors import ConfigurationError, UnknownModelError


class Catalog:
    """All known models. Immutable; iterate it for the entries in the order of their files.

    Raises :class:`ConfigurationError` when the entries contradict each other.
    """

    def __init__(
        self,
        models: Iterable[ModelSpec],
        archives: Iterable[ArchivePin] = (),
        auto: Mapping[Task, tuple[str, ...]] | None = None,
    ) -> None:
        self._models = tuple(models)
        self._by_id = {spec.id: spec for spec in self._models}
        self._archives = {pin.origin: pin for pin in archives}
        self._auto = dict(auto or {})
        problems = list(self._problems())
        if problems:
            raise ConfigurationError("The model catalogue contradicts itself: " + "; ".join(problems))

    @classmethod
    def load(cls) -> Self:
        """Read the catalogue that ships with the package."""
        folder = resources.files(__package__) / "data"
        texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".toml")}
        return cls.from_toml(texts[name] for name in sorted(texts))

    @classmethod
    def from_toml(cls, texts: Iterable[str]) -> Self:
        """Read a catalogue from TOML documents: ``[[model]]``, ``[[archive]]`` and lists named after tasks.

        Raises:
            ConfigurationError: a document is not TOML, an entry is not valid, or entries contradict each other.
        """
        models: list[ModelSpec] = []
        archives: list[ArchivePin] = []
        auto: dict[Task, tuple[str, ...]] = {}
        for text in texts:
            try:
                for key, value in tomllib.loads(text).items():
                    if key == "model":
                        models += [ModelSpec.model_validate(entry) for entry in value]
                    elif key == "archive":
                        archives += [ArchivePin.model_validate(entry) for entry in value]
                    else:
                        auto[Task(key)] = tuple(value)
            except (tomllib.TOMLDecodeError, ValidationError, ValueError, TypeError) as error:
                raise ConfigurationError("The model catalogue cannot be read.", detail=str(error)) from error
        return cls(models, archives, auto)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._by_id

    def get(self, model_id: str) -> ModelSpec:
        """Return the model of this id.

        Raises:
            UnknownModelError: there is none; the hint names the closest ids.
        """
        try:
            return self._by_id[model_id]
        except KeyError:
            near = difflib.get_close_matches(model_id.lower().replace("-", "_"), self._by_id, n=3, cutoff=0.6)
            hint = f"Did you mean {' or '.join(near)}?" if near else None
            raise UnknownModelError(f"The catalogue has no model named {model_id[:80]!r}.", hint=hint) from None

    @property
    def packs(self) -> tuple[str, ...]:
        """The names of all packs, sorted; ``X-extra`` holds what is on demand inside pack X."""
        return tuple(sorted({pack for spec in self._models for pack in spec.packs}))

    def pack(self, name: str) -> tuple[ModelSpec, ...]:
        """Return the models of a pack.

        Raises:
            UnknownModelError: there is no such pack.
        """
        found = tuple(spec for spec in self._models if name in spec.packs)
        if not found:
            raise UnknownModelError(
                f"There is no model pack named {name[:80]!r}.", hint=f"The packs are {', '.join(self.packs)}."
            )
        return found

    def resolve(self, names: Iterable[str]) -> tuple[ModelSpec, ...]:
        """Return the models that ids and names of packs stand for, each once, in the order given.

        Raises:
            UnknownModelError: a name is neither an id nor a pack.
        """
        packs = set(self.packs)
        found: dict[str, ModelSpec] = {}
        for name in names:
            for spec in self.pack(name) if name in packs else (self.get(name),):
                found.setdefault(spec.id, spec)
        return tuple(found.values())

    def with_requirements(self, specs: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
        """Return ``specs`` and everything they need, needs first, each once."""
        found: dict[str, ModelSpec] = {}

        def add(spec: ModelSpec) -> None:
            for need in spec.requires:
                if need not in found:
                    add(self._by_id[need])
            found.setdefault(spec.id, spec)

        for spec in specs:
            add(spec)
        return tuple(found.values())

    def by_task(self, task: Task) -> tuple[ModelSpec, ...]:
        """Return the models of a task in catalogue order."""
        return tuple(spec for spec in self._models if spec.task is task)

    def auto(self, task: Task) -> tuple[ModelSpec, ...]:
        """Return the models of a task that "auto" may take, best first; empty when the task has none."""
        return tuple(self._by_id[name] for name in self._auto.get(task, ()))

    def archive(self, source: UrlSource | PypiSource) -> ArchivePin | None:
        """Return what is known of the archive behind ``source``: a pinned package, or a zip listed as a bundle."""
        if isinstance(source, PypiSource):
            return self._archives.get(source.origin)
        for spec in self.by_task(Task.BUNDLE):
            if source.url in spec.sources and spec.file and spec.sha256:
                return ArchivePin(
                    name=spec.id, file=spec.file, bytes=spec.bytes, sha256=spec.sha256, license=spec.license
                )
        return None

    def _problems(self) -> Iterator[str]:
        yield from (f"{name} is listed twice" for name in _repeated(spec.id for spec in self._models))
        # Folders on macOS and Windows do not tell capitals apart.
        files = (spec.file.lower() for spec in self._models if spec.file)
        yield from (f"several models share the file {name}" for name in _repeated(files))
        for spec in self._models:
            yield from (f"{spec.id} requires the unknown {need}" for need in spec.requires if need not in self._by_id)
            for source in spec.parsed_sources:
                if isinstance(source, PypiSource) and source.origin not in self._archives:
                    yield f"{spec.id} comes from {source.origin}, which has no pinned checksum"
        yield from self._cycles()
        for task, names in self._auto.items():
            yield from (f"auto of {task} lists {name} twice" for name in _repeated(names))
            for name in names:
                if name not in self._by_id:
                    yield f"auto of {task} lists the unknown {name}"
                elif self._by_id[name].task is not task or not self._by_id[name].installable:
                    yield f"auto of {task} lists {name}, which cannot serve it"

    def _cycles(self) -> Iterator[str]:
        for spec in self._models:
            seen: set[str] = set()
            front = list(spec.requires)
            while front:
                name = front.pop()
                if name == spec.id:
                    yield f"{spec.id} requires itself by way of others"
                    break
                if name not in seen and name in self._by_id:
                    seen.add(name)
                    front += self._by_id[name].requires


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
