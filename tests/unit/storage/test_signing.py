"""Signed links: against the example that Amazon publishes, and what may stand in a file name."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from facecraft.storage.signing import LinkSigner, attachment

NOW = datetime(2013, 5, 24, tzinfo=UTC)


def test_amazons_own_example() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    signer = LinkSigner(
        "https://examplebucket.s3.amazonaws.com",
        "us-east-1",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    assert signer.sign("/test.txt", 86_400, {}, NOW) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.fixture
def signer() -> LinkSigner:
    return LinkSigner("http://127.0.0.1:9000/bucket", "us-east-1", "key", "secret")


def test_a_link_asks_for_a_name_and_a_media_type(signer: LinkSigner) -> None:
    parts = urlsplit(signer.link("blobs/ab/1", 60, filename="a b.png", media_type="image/png", now=NOW))
    assert (parts.netloc, parts.path) == ("127.0.0.1:9000", "/bucket/blobs/ab/1")
    query = parse_qs(parts.query)
    assert query["response-content-disposition"] == ['attachment; filename="a b.png"']
    assert query["response-content-type"] == ["image/png"]
    assert "secret" not in parts.query


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
def test_no_link_works_for_no_time_or_for_more_than_a_week(signer: LinkSigner, seconds: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 604800"):
        signer.link("blobs/ab/1", seconds, filename="a", media_type="image/png", now=NOW)


@pytest.mark.parametrize("key", ["../other", "/etc/passwd", "a?versionId=1", "a#b"])
def test_no_link_leaves_the_bucket(signer: LinkSigner, key: str) -> None:
    with pytest.raises(ValueError, match="not a storage key"):
        signer.link(key, 60, filename="a", media_type="image/png", now=NOW)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("portrait.png", 'attachment; filename="portrait.png"'),
        ("Zoë.png", "attachment; filename=\"Zo_.png\"; filename*=UTF-8''Zo%C3%AB.png"),
        ('a".png', "attachment; filename=\"a_.png\"; filename*=UTF-8''a%22.png"),
        ("100%.png", "attachment; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("a\r\nSet-Cookie: b", 'attachment; filename="a__Set-Cookie: b"'),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ("C:\\a\x00.png", 'attachment; filename="C:_a_.png"'),
        ("\ud800", 'attachment; filename="_"'),
        (" .. ", 'attachment; filename="file"'),
        ("", 'attachment; filename="file"'),
    ],
)
def test_no_name_ends_the_header_or_names_a_folder(name: str, header: str) -> None:
    assert attachment(name) == header
    attachment(name).encode("ascii")
