"""What an operator decides about who may call; part of :class:`facecraft.settings.Settings`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr


class AuthMode(StrEnum):
    """Whether callers must say who they are."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


class AccountConfig(BaseModel):
    """Who may call, how often, and how much is kept for them."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    # --- accounts
    auth: AuthMode = AuthMode.AUTO
    """Whether callers must say who they are: ``auto`` (as soon as ``FACECRAFT_API_KEY`` is set or there is a user or a key),
    ``required`` or ``off``."""
    signup_enabled: bool = False
    """Let anybody make an account over HTTP. Unset, users are made with ``facecraft users create`` or by an admin."""
    jwt_secret_key: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("FACECRAFT_JWT_SECRET_KEY", "JWT_SECRET_KEY"))
    ] = None
    """Secret that signs access tokens, at least 32 characters (also read from ``JWT_SECRET_KEY``). Unset: one is made and
    kept in the data folder, readable for this user only. Servers that share users must share it."""
