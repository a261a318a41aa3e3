"""`Settings`: everything that is decided outside the program, read once by an entry point and passed on.

Values come from the constructor, then ``FACECRAFT_*`` environment variables, then a ``.env`` file in the working
folder, then a secrets folder (``FACECRAFT_SECRETS_DIR``, one file for each setting). Nobody else reads the
environment.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import platformdirs
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from facecraft.accounts.config import AccountConfig
from facecraft.catalog.licenses import LicensePolicy
from facecraft.errors import ConfigurationError
from facecraft.imaging.image import Limits
from facecraft.imaging.shapes import Shape
from facecraft.jobs.config import JobConfig
from facecraft.options import Fraction, Side, rgb
from facecraft.pipelines.presets import PortraitOptions
from facecraft.storage.config import StorageConfig


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _as_text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def _data_dir(name: str) -> Path:
    return Path(platformdirs.user_data_dir("facecraft")) / name


def _secret_files() -> list[str]:
    """Return the names in the secrets folder; whether that can be read is seen when the settings are."""
    folder = os.environ.get(_SECRETS_DIR)
    try:
        return sorted(path.name for path in Path(folder).expanduser().iterdir()) if folder else []
    except OSError:
        return []


Byte = Annotated[int, Field(ge=0, le=255)]

_PREFIX = "FACECRAFT_"
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_SECRETS_DIR = "FACECRAFT_SECRETS_DIR"
_LOOK = PortraitOptions()
"""What a portrait looks like when nobody says otherwise: declared with the options of the stages."""


class Settings(StorageConfig, JobConfig, AccountConfig, BaseSettings):
    """What the operator of a Facecraft decides."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    # --- the server
    host: str = "127.0.0.1"
    """Address the server listens on. Use 0.0.0.0 to be reached from other machines, and set an API key then."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port the server listens on; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Server processes. Each loads its own models."""
    debug: bool = False
    """Log at level DEBUG with tracebacks of expected errors too. Replies never carry tracebacks."""
    log_level: LogLevel = LogLevel.INFO
    """How much is logged to stderr."""
    log_json: bool = False
    """Write the log as JSON lines."""
    api_key: SecretStr | None = None
    """When set, every call except the health endpoints must send it as ``X-API-Key`` or as a bearer token. At least 16
    characters: ``openssl rand -hex 32`` makes one."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Web origins that may call the API from a browser (comma list). Empty: same origin only. ``*`` allows any
    origin, then without credentials."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Names that a server which asks nobody who they are may be reached by (comma list, such as ``studio.example.org`` or
    ``*.example.org``; ``*`` is any). Addresses, names without a dot and those of local networks (``.local``, ``.lan``,
    ``.internal``, ``.home.arpa``) always may. With a key, callers may use any name."""

    # --- folders
    models_dir: Path = Field(default_factory=lambda: _data_dir("models"))
    """Folder of installed models."""
    predictor_path: Path | None = None
    """File of the 68-point landmark predictor, when it lies outside the models folder (checked like any other)."""
    codeformer_path: Path | None = None
    """File of the CodeFormer network (ONNX), when it lies outside the models folder (checked like any other)."""
    upload_dir: Path = Field(default_factory=lambda: _data_dir("uploads"))
    """Folder where large uploads rest while they are received; what an earlier run left there is removed at start."""
    output_dir: Path = Field(default_factory=lambda: _data_dir("results"))
    """Folder where results rest until they are deleted."""
    crops_dir: Path = Field(default_factory=lambda: _data_dir("crops"))
    """Folder of the crops of faces enrolled in galleries. Not inside the folder of results, which is swept by age."""

    # --- the database
    database_url: SecretStr | None = None
    """Where jobs, users, keys, webhooks and galleries are kept: sqlite:////folder/facecraft.db or
    postgresql://user:password@host:5432/name. Unset: an SQLite file ``facecraft.db`` in the user's data folder, made when
    a server starts, or when a command first needs it."""
    auto_migrate: bool | None = None
    """Bring the tables to this version when the database is opened. Unset: on SQLite yes, on Postgres no (run
    ``facecraft migrate``)."""

    # --- models and devices
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$")] = "auto"
    """Where networks run: auto, cpu, cuda or cuda:N. A GPU asked for by name that is not there is an error."""
    offline: bool = False
    """Forbid every download."""
    license_policy: LicensePolicy = LicensePolicy.ANY_ACCEPTED
    """Which models may be used: ``any-accepted`` (non-commercial ones after their licence was accepted) or
    ``commercial`` (non-commercial ones never)."""
    model_memory_mb: Annotated[int, Field(ge=64)] = 4096
    """Memory that loaded models may take together; the least recently used are closed beyond it."""
    model_idle_seconds: Annotated[float, Field(ge=0)] = 900.0
    """A model that was not used for so long is closed; 0 keeps models loaded."""

    auto_install: bool = False
    """Install a missing model when a request first needs it: one at a time, in the background, within the licence policy.
    Requests are answered 503 with Retry-After meanwhile."""
    swap_enabled: bool = True
    """Allow swapping faces; false refuses it everywhere."""

    # --- limits
    max_upload_size_mb: Annotated[int, Field(ge=1, le=2048)] = 20
    """Largest upload in MiB; larger ones are refused while they are read."""
    max_file_size_mb: Annotated[int, Field(ge=1, le=65_536)] = 1024
    """Largest file in MiB that the command line and the library read."""
    max_megapixels: Annotated[float, Field(gt=0, le=1000)] = 50.0
    """Largest picture in megapixels; checked before it is decoded."""
    max_concurrent_jobs: Annotated[int, Field(ge=1, le=256)] = 4
    """Most pictures that are worked on at the same time in one process; on the CPU never more than it has cores."""
    max_queued_jobs: Annotated[int, Field(ge=0, le=10_000)] = 64
    """Requests that may wait for a free place before the server answers 429."""
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Longest time one request may wait and work before the server answers 504."""
    batch_max_files: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Most files in one batch."""
    cleanup_age_hours: Annotated[float, Field(ge=0)] = 24.0
    """Results older than this are deleted by a periodic sweep; 0 keeps them."""

    # --- what a portrait looks like unless the caller says otherwise
    default_width: Side = _LOOK.width
    """Width of a portrait in pixels."""
    default_height: Side = _LOOK.height
    """Height of a portrait in pixels."""
    default_background_r: Byte = rgb(_LOOK.fill)[0]
    """Red part of the colour behind a portrait where the format has no transparency."""
    default_background_g: Byte = rgb(_LOOK.fill)[1]
    """Green part of that colour."""
    default_background_b: Byte = rgb(_LOOK.fill)[2]
    """Blue part of that colour."""
    default_face_margin: Fraction = _LOOK.face_margin
    """Room around the head as a fraction of its height."""
    default_oval_mask: bool = _LOOK.shape is Shape.OVAL
    """Cut portraits to an oval."""
    default_enhance_fidelity: Fraction = _LOOK.fidelity
    """How close face restoration stays to the original, 0..1."""

    @field_validator("api_key")
    @classmethod
    def _no_placeholder_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("give at least 16 characters; make one with `openssl rand -hex 32`")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HOST.fullmatch(name) for name in value):
            raise ValueError("write names only, without https:// and port, such as studio.example.org or *.example.org")
        return tuple(name.lower() for name in value)

    @model_validator(mode="after")
    def _nothing_kept_is_swept(self) -> Self:
        kept = {"crops_dir": self.crops_dir, "database_url": self.database_file}
        for name, path in kept.items():
            if path is not None and path.absolute().is_relative_to(self.output_dir.absolute()):
                raise ValueError(f"{name} lies in output_dir, where everything old is deleted; choose another folder")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature of the library
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: constructor, environment, ``.env``, secrets folder."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @classmethod
    def load(cls) -> Settings:
        """Read the settings from the environment. Raises ConfigurationError naming every bad value."""
        secrets = os.environ.get(_SECRETS_DIR)
        try:
            return cls(_secrets_dir=secrets) if secrets else cls()
        except ValidationError as error:
            lines = [
                "_".join(["FACECRAFT", *map(str, item["loc"])] if item["loc"] else [])
                .upper()
                .replace("FACECRAFT_FACECRAFT_", "FACECRAFT_")
                + (": " if item["loc"] else "")
                + item["msg"].removeprefix("Value error, ")
                for item in error.errors()
            ]
            raise ConfigurationError(
                "The configuration has bad values: " + "; ".join(lines),
                hint="See docs/reference/settings.md for every setting.",
            ) from error

    @classmethod
    def misspelled(cls) -> tuple[str, ...]:
        """Return a line for each name that begins like a setting and is none.

        Looked at are the variables of the environment, those of the ``.env`` file, and the files of the secrets folder.
        """
        aliases = [field.validation_alias for field in cls.model_fields.values()]
        known = {_SECRETS_DIR, *(f"{_PREFIX}{name.upper()}" for name in cls.model_fields)}
        known |= {str(name) for each in aliases if isinstance(each, AliasChoices) for name in each.choices}
        tails = sorted(name.removeprefix(_PREFIX) for name in known if name.startswith(_PREFIX))
        written = sorted(name.upper() for name in DotEnvSettingsSource(cls).env_vars)  # where case means nothing
        places = (("", sorted(os.environ)), (" (in .env)", written), (" (in the secrets folder)", _secret_files()))
        lines = []
        for place, names in places:
            for name in (name for name in names if name.upper().startswith(_PREFIX)):
                if name.upper() not in known:
                    near = get_close_matches(name.upper().removeprefix(_PREFIX), tails, 1)
                    meant = f"; did you mean {_PREFIX}{near[0]}?" if near else "."
                    lines.append(f"There is no setting {name}{place}{meant}")
                elif place and name.upper() == _SECRETS_DIR:
                    lines.append(f"{_SECRETS_DIR}{place} is ignored: set it in the environment.")
        return tuple(lines)

    def environment(self) -> dict[str, str]:
        """Return the settings that were chosen as the environment variables that say the same, secrets included."""
        chosen = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        return {f"FACECRAFT_{name.upper()}": _as_text(value) for name, value in chosen.items() if value is not None}

    def hand_down(self) -> None:
        """Put the chosen settings into the environment, where processes started from this one find them."""
        os.environ.update(self.environment())

    @property
    def database(self) -> str:
        """The URL of the database, with its password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{_data_dir('facecraft.db').as_posix()}"

    @property
    def database_file(self) -> Path | None:
        """The file of an SQLite database; None for a database server."""
        scheme, _, rest = self.database.partition("://")
        if scheme.partition("+")[0] != "sqlite":
            return None
        return Path(rest.partition("?")[0].removeprefix("/"))

    @property
    def jwt_secret_file(self) -> Path:
        """Where the secret that signs tokens is kept when none is given: beside the database, if that is a file."""
        file = self.database_file
        return _data_dir("jwt-secret") if file is None else file.absolute().with_name("jwt-secret")

    @property
    def migrates(self) -> bool:
        """Whether the tables are brought to this version when the database is opened."""
        return self.database_file is not None if self.auto_migrate is None else self.auto_migrate

    @property
    def limits(self) -> Limits:
        """The limits under which uploads are read."""
        return Limits(
            max_bytes=self.max_upload_size_mb * 1024 * 1024,
            max_pixels=int(self.max_megapixels * 1_000_000),
        )

    @property
    def file_limits(self) -> Limits:
        """The limits under which the command line and the library read the operator's own files."""
        return replace(self.limits, max_bytes=self.max_file_size_mb * 1024 * 1024)

    @property
    def portrait(self) -> PortraitOptions:
        """The portrait options with this operator's defaults."""
        color = (self.default_background_r, self.default_background_g, self.default_background_b)
        return PortraitOptions(
            width=self.default_width,
            height=self.default_height,
            fill="#{:02x}{:02x}{:02x}".format(*color),
            face_margin=self.default_face_margin,
            shape="oval" if self.default_oval_mask else "none",
            fidelity=self.default_enhance_fidelity,
        )
