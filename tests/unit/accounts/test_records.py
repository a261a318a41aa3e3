"""Emails, passwords and profiles as they are taken."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from facecraft.accounts.records import Profile, check_name, check_password, normalize_email


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (" Ann@Example.ORG ", "ann@example.org"),
        ("a.b+c'd@localhost", "a.b+c'd@localhost"),
        ("x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
    ],
)
def test_emails_have_one_form(sent: str, kept: str) -> None:
    assert normalize_email(sent) == kept


@pytest.mark.parametrize(
    "email",
    [
        "", "ann", "@example.org", "ann@", "a b@example.org", "ann@example.org\nBcc: all@example.org",
        "ann@example.org\r\nX: y", '"a b"@example.org', "ann@exa\x00mple.org", "\u0430@example.org", "a..b@example.org",
        "a@b@example.org", "ann@-example.org", "x" * 65 + "@example.org", "ann@" + "x" * 260, "' OR 1=1 --",
        "<ann@example.org>", "ann@example.org,bob@example.org",
    ],
)  # fmt: skip
def test_what_is_no_email_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match="email"):
        normalize_email(email)


def test_passwords_have_a_length_and_one_form() -> None:
    assert check_password("pa\u0308ssword") == check_password("p\u00e4ssword")
    for bad in ("1234567", "x" * 1025):
        with pytest.raises(ValueError, match="8 to 1024"):
            check_password(bad)
    with pytest.raises(ValueError, match="halves"):
        check_password("\ud800" * 8)


def test_names_of_keys_are_one_line() -> None:
    assert check_name(" ci ") == "ci"
    for bad in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(ValueError, match="name"):
            check_name(bad)


def test_a_profile_speaks_camel_case_and_refuses_control_characters() -> None:
    profile = Profile.model_validate({"firstName": " Ann ", "deliveryPostalCode": "", "deliveryComment": "ring\ntwice"})
    assert (profile.first_name, profile.delivery_postal_code, profile.delivery_comment) == ("Ann", None, "ring\ntwice")
    for bad in (
        {"firstName": "a\x00"},
        {"phone": "1\x00"},
        {"lastName": "a\nb"},
        {"phone": "1" * 41},
        {"role": "admin"},
    ):
        with pytest.raises(ValidationError):
            Profile.model_validate(bad)
