"""What an operator decides about where bytes are kept; part of :class:`facecraft.settings.Settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr


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
    always sends the bytes itself. Clients must then be able to reach the store."""
