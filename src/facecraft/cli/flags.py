"""Flags derived from declared fields: name, type, default, bounds, choices and help, none of them written twice."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

ModelT = TypeVar("ModelT", bound=BaseModel)


class FlagSet(Protocol):
    """Flags that together make one value."""

    @property
    def names_of_flags(self) -> tuple[str, ...]:
        """The names of their parameters."""
        ...

    def parameters(self) -> list[inspect.Parameter]:
        """Return one keyword-only parameter for each, as Typer reads them."""
        ...

    def build(self, values: dict[str, Any]) -> Any:
        """Return the value that ``values`` (by name of the parameter) make. Raises BadParameter naming the flag."""
        ...


@dataclass(frozen=True, slots=True)
class Flags(Generic[ModelT]):
    """Flags for the fields of ``defaults`` (for ``names`` only, where given), whose values they show as defaults."""

    defaults: ModelT
    names: tuple[str, ...] | None = None

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """The declared fields that get a flag."""
        declared = type(self.defaults).model_fields
        # In the order of the bases, so that what is declared together stands together in the help.
        order = type(self.defaults).__mro__.index
        names = self.names or sorted(declared, key=lambda name: order(_home(type(self.defaults), name)))
        return {name: declared[name] for name in names}

    @property
    def names_of_flags(self) -> tuple[str, ...]:
        """The names of those fields."""
        return tuple(self.fields)

    def parameters(self) -> list[inspect.Parameter]:
        """Return one keyword-only parameter for each field, as Typer reads them."""
        return [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_as_typed(getattr(self.defaults, name)),
                annotation=Annotated[_kind(field.annotation), _option(type(self.defaults), name, field)],
            )
            for name, field in self.fields.items()
        ]

    def build(self, values: dict[str, Any]) -> ModelT:
        """Return ``defaults`` with ``values`` (by field name), validated. Raises BadParameter naming the flag."""
        same = {name: getattr(self.defaults, name) for name in type(self.defaults).model_fields}
        changed = {name: value for name, value in values.items() if value != _as_typed(same[name])}
        if not changed:
            return self.defaults
        try:
            return type(self.defaults).model_validate(same | changed)
        except ValidationError as error:
            first = error.errors()[0]
            hint = flag(str(first["loc"][0])) if first["loc"] else None
            raise typer.BadParameter(first["msg"].removeprefix("Value error, "), param_hint=hint) from error


def flag(name: str) -> str:
    """Return the flag of the field ``name``."""
    return "--" + name.replace("_", "-")


def with_flags(body: Callable[..., None], **sets: FlagSet) -> Callable[..., None]:
    """Return ``body`` for Typer, with each parameter named in ``sets`` replaced by the flags of that set."""
    signature = inspect.signature(body, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name not in sets]

    def command(**values: Any) -> None:
        for parameter, flags in sets.items():
            values[parameter] = flags.build({name: values.pop(name) for name in flags.names_of_flags})
        body(**values)

    command.__doc__ = body.__doc__
    command.__name__ = body.__name__
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *(parameter for flags in sets.values() for parameter in flags.parameters()),
        ]
    )
    return command


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the least and the largest value that ``field`` takes, None where it is open."""
    low = [rule.ge for rule in field.metadata if isinstance(rule, annotated_types.Ge)]
    high = [rule.le for rule in field.metadata if isinstance(rule, annotated_types.Le)]
    return (low[0] if low else None), (high[0] if high else None)  # type: ignore[return-value]


def _option(owner: type[BaseModel], name: str, field: FieldInfo) -> Any:
    kind = _kind(field.annotation)
    low, high = bounds(field) if kind in (int, float) else (None, None)
    return typer.Option(
        f"{flag(name)}/--no-{name.replace('_', '-')}" if kind is bool else flag(name),
        help=" ".join((field.description or "").split()),
        min=low,
        max=high,
        rich_help_panel=(_home(owner, name).__doc__ or "").strip().split(".")[0] or None,
    )


def _kind(annotation: Any) -> Any:
    """Return the type Typer reads: plain types and choices as they are, everything else as text."""
    parts = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType) and types.NoneType in parts:
        inner = [part for part in parts if part is not types.NoneType]
        return _kind(inner[0]) | None if len(inner) == 1 else str | None
    if isinstance(annotation, type) and issubclass(annotation, bool | int | float | Path | Enum):
        return annotation
    return str


def _as_typed(value: Any) -> Any:
    """Return ``value`` as a person would type it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(part) for part in value)
    return value


def _home(owner: type[BaseModel], name: str) -> type:
    """Return the class that declares the field first."""
    return next(declaring for declaring in reversed(owner.__mro__) if name in inspect.get_annotations(declaring))
