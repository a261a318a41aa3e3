"""Who is calling: credentials, rights, accounts, and how often somebody may call."""

from __future__ import annotations

from facecraft.errors.error import FacecraftError, Kind


class AuthError(FacecraftError, code="auth_error", kind=Kind.UNAUTHENTICATED):
    """The caller could not be recognised."""


class UnauthenticatedError(
    AuthError,
    code="unauthenticated",
    hint="Send an API key in the X-API-Key header, or an access token as Authorization: Bearer.",
):
    """An API key or an access token is required."""


class InvalidCredentialsError(AuthError, code="invalid_credentials", hint="Check both, or ask for a new password."):
    """The email or the password is wrong."""


class TokenInvalidError(
    AuthError, code="invalid_token", hint="Refresh an access token, or sign in again; make a new key."
):
    """The key or token is not valid, has expired or was revoked."""


class ResetTokenError(AuthError, code="invalid_reset_token", kind=Kind.INVALID, hint="Ask for a new mail."):
    """The token for a new password was used before, has expired or is not one of ours."""


class ForbiddenError(AuthError, code="forbidden", kind=Kind.FORBIDDEN):
    """The caller may not do this."""


class ScopeMissingError(ForbiddenError, code="insufficient_scope", hint="Use a key that was made with this scope."):
    """The API key was not made for this."""


class HostNotAllowedError(ForbiddenError, code="host_not_allowed", hint="Set FACECRAFT_ALLOWED_HOSTS, or use a key."):
    """This server asks nobody who they are, and does not know that it is called so."""


class OriginNotAllowedError(
    ForbiddenError, code="origin_not_allowed", hint="Set FACECRAFT_CORS_ORIGINS, or use a key."
):
    """This server asks nobody who they are, and the web page that asks is not one of its own."""


class AccountDisabledError(ForbiddenError, code="account_disabled", hint="Ask the operator of this server."):
    """The account is disabled."""


class SignupDisabledError(ForbiddenError, code="signup_disabled", hint="Ask the operator for an account."):
    """Accounts are made by the operator here."""


class EmailTakenError(AuthError, code="email_exists", kind=Kind.CONFLICT, hint="Sign in, or ask for a new password."):
    """There is an account with this email."""


class LastAdminError(
    AuthError,
    code="last_admin",
    kind=Kind.CONFLICT,
    hint="Make another user an admin first (`facecraft users set-role EMAIL admin`).",
):
    """Nobody else could manage the other users."""


class UserNotFoundError(AuthError, code="user_not_found", kind=Kind.NOT_FOUND):
    """There is no such user."""


class ApiKeyNotFoundError(AuthError, code="key_not_found", kind=Kind.NOT_FOUND):
    """There is no such API key."""


class SessionNotFoundError(AuthError, code="session_not_found", kind=Kind.NOT_FOUND):
    """There is no such session."""


class RateLimitedError(AuthError, code="rate_limited", kind=Kind.BUSY, hint="Wait as long as Retry-After says."):
    """Too many requests came from this caller."""


class MailError(AuthError, code="mail_failed", kind=Kind.UNAVAILABLE, hint="Check the FACECRAFT_SMTP_* settings."):
    """The mail could not be sent."""
