"""What an operator decides about where bytes are kept; part of :class:`facecraft.settings.Settings`."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_AMAZON = "us-east-1"  # where S3 looks when nobody names a region


class StorageConfig(BaseModel):
    """Where uploads and results are kept: folders of this machine, or a bucket that speaks S3."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    # --- object storage
    s3_bucket: Annotated[str | None, Field(validation_alias=AliasChoices("FACECRAFT_S3_BUCKET", "S3_BUCKET_NAME"))] = (
        None
    )
    """Bucket of an S3-compatible store for uploads and results (also read from ``S3_BUCKET_NAME``). Unset: the folder
    ``FACECRAFT_OUTPUT_DIR``."""
    s3_endpoint: Annotated[
        str | None, Field(validation_alias=AliasChoices("FACECRAFT_S3_ENDPOINT", "AWS_ENDPOINT_URL"))
    ] = None
    """Address of that store, such as https://storage.example (also ``AWS_ENDPOINT_URL``). Unset: Amazon's own."""
    s3_region: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("FACECRAFT_S3_REGION", "AWS_REGION_NAME", "AWS_REGION")),
    ] = None
    """Region of the bucket (also ``AWS_REGION_NAME``, ``AWS_REGION``)."""
    s3_access_key: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("FACECRAFT_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"))
    ] = None
    """Name of the access key (also ``AWS_ACCESS_KEY_ID``)."""
    s3_secret_key: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("FACECRAFT_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"))
    ] = None
    """The access key itself (also ``AWS_SECRET_ACCESS_KEY``)."""
    presign_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """When the store can sign links, downloads are answered with a redirect to one that works for so long; 0: the server
    always sends the bytes itself. Clients must then be able to reach the store, and follow redirects. Results are never
    redirected with ``FACECRAFT_DELETE_ON_DOWNLOAD``."""

    @field_validator("s3_bucket", "s3_endpoint", "s3_region", "s3_access_key", "s3_secret_key", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value  # compose files pass on what is not set as nothing

    @field_validator("s3_bucket")
    @classmethod
    def _one_name(cls, value: str | None) -> str | None:
        if value is not None and not _BUCKET.fullmatch(value):
            raise ValueError("not the name of a bucket: letters, digits, '.', '-' and '_', three or more")
        return value

    @field_validator("s3_region")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        if value is not None and not _REGION.fullmatch(value):
            raise ValueError("not the name of a region, such as eu-central-1")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            port_is_fine = parts.port != 0
        except ValueError as error:
            raise ValueError("not an address such as https://storage.example:9000") from error
        whole = parts.scheme in ("http", "https") and parts.hostname and port_is_fine
        if not whole or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("not an address such as https://storage.example:9000 (without a key, ? or #)")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _a_bucket_has_keys(self) -> Self:
        if self.s3_bucket is not None:
            named = {"FACECRAFT_S3_ACCESS_KEY": self.s3_access_key, "FACECRAFT_S3_SECRET_KEY": self.s3_secret_key}
            missing = [name for name, value in named.items() if value is None]
            if missing:
                raise ValueError(f"FACECRAFT_S3_BUCKET needs {' and '.join(missing)} with it")
        return self

    @property
    def s3_place(self) -> str:
        """The region that requests are signed for; stores of one's own seldom mind."""
        return self.s3_region or _AMAZON

    @property
    def s3_bucket_in_host(self) -> bool:
        """Whether the bucket is a part of the host's name: at Amazon, unless a dot in it breaks the certificate."""
        return self.s3_endpoint is None and self.s3_bucket is not None and "." not in self.s3_bucket

    @property
    def s3_address(self) -> str:
        """The address that requests go to, with the bucket where it is a part of the host's name."""
        host = f"s3.{self.s3_place}.amazonaws.com"
        return self.s3_endpoint or f"https://{f'{self.s3_bucket}.{host}' if self.s3_bucket_in_host else host}"
