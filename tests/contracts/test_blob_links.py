"""Links that carry their own permission and keys that are checked: shown on a server that checks both."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import pytest

from facecraft.errors import StorageAccessError, StorageFullError
from facecraft.storage import ObjectBlobStore
from facecraft.storage.config import StorageConfig
from services.radosgw import RadosGateway


@dataclass(frozen=True)
class Place:
    bucket: str
    config: StorageConfig
    store: ObjectBlobStore

    def link(self, key: str, seconds: int = 60, filename: str = "a.png", media_type: str = "image/png") -> str:
        link = self.store.presign(key, seconds, filename=filename, media_type=media_type)
        assert link is not None
        return link


@pytest.fixture
def place(ceph: RadosGateway) -> Place:
    bucket = ceph.account.bucket()
    config = ceph.account.config(bucket)
    return Place(bucket, config, ObjectBlobStore.s3(config))


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20)


def changed(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **parameters})))


def test_a_link_downloads_with_its_name_and_media_type(place: Place) -> None:
    place.store.put("blobs/ab/1", b"picture", media_type="application/octet-stream")
    reply = fetch(place.link("blobs/ab/1", filename="Zoë & «me».png"))
    assert (reply.status_code, reply.content) == (200, b"picture")
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-disposition"] == (
        "attachment; filename=\"Zo_ & _me_.png\"; filename*=UTF-8''Zo%C3%AB%20%26%20%C2%ABme%C2%BB.png"
    )


def test_a_large_upload_has_its_media_type_too(place: Place) -> None:
    assert place.store.put_file("blobs/ab/2", io.BytesIO(bytes(17_000_000)), media_type="application/zip") == 17_000_000
    # Without the parameters that set it, the reply has what was stored.
    signer = place.store._signer
    assert signer is not None
    reply = fetch(signer.sign("/blobs/ab/2", 60, {}, datetime.now(UTC)))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/zip")


def test_without_its_signature_the_object_is_not_public(place: Place) -> None:
    place.store.put("blobs/ab/3", b"picture")
    assert fetch(place.link("blobs/ab/3").partition("?")[0]).status_code == 403


def test_an_expired_link_is_refused_and_worked_before(place: Place) -> None:
    place.store.put("blobs/ab/4", b"picture")
    link = place.link("blobs/ab/4", seconds=3)
    assert fetch(link).status_code == 200
    deadline = time.monotonic() + 20
    while (status := fetch(link).status_code) == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"X-Amz-Expires": "600000"},
        {"response-content-type": "text/html"},
        {"response-content-disposition": "inline"},
        {"X-Amz-Signature": "0" * 64},
    ],
    ids=["longer", "as a page", "inline", "no signature"],
)
def test_a_link_that_was_changed_is_refused(place: Place, change: dict[str, str]) -> None:
    place.store.put("blobs/ab/5", b"picture")
    link = place.link("blobs/ab/5")
    assert fetch(changed(link)).status_code == 200
    assert fetch(changed(link, **change)).status_code == 403


def test_a_link_is_for_one_object(place: Place) -> None:
    for key in ("blobs/ab/6", "blobs/ab/7"):
        place.store.put(key, b"picture")
    assert fetch(place.link("blobs/ab/6").replace("/ab/6?", "/ab/7?")).status_code == 403


def test_a_wrong_secret_is_refused_and_said_so(ceph: RadosGateway, place: Place) -> None:
    place.store.put("blobs/ab/8", b"picture")
    thief = ObjectBlobStore.s3(ceph.account.with_secret("not-the-secret-of-it").config(place.bucket))
    for use in (
        lambda: thief.get("blobs/ab/8"),
        lambda: thief.stream("blobs/ab/8"),
        lambda: thief.put("blobs/ab/8", b"changed"),
        lambda: thief.put_file("blobs/ab/8", io.BytesIO(bytes(9_000_000))),
        lambda: thief.delete("blobs/ab/8"),
        lambda: thief.delete_all(["blobs/ab/8"]),
        lambda: list(thief.find("")),
        thief.check,
    ):
        with pytest.raises(StorageAccessError) as caught:
            use()
        assert "FACECRAFT_S3_SECRET_KEY" in (caught.value.hint or "")
        assert "not-the-secret-of-it" not in f"{caught.value.message} {caught.value.detail}"
    link = thief.presign("blobs/ab/8", 60, filename="a", media_type="image/png")
    assert link is not None
    assert fetch(link).status_code == 403
    assert place.store.get("blobs/ab/8") == b"picture"


def test_a_bucket_that_is_not_there_is_not_a_missing_blob(ceph: RadosGateway) -> None:
    store = ObjectBlobStore.s3(ceph.account.config("no-such-bucket"))
    for use in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: list(store.find("")), store.check):
        with pytest.raises(StorageAccessError, match="bucket does not exist") as caught:
            use()
        assert "FACECRAFT_S3_BUCKET" in (caught.value.hint or "")


def test_credentials_of_the_environment_are_not_mixed_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_SESSION_TOKEN": "stale",
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_REGION": "eu-west-9",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():
        monkeypatch.setenv(name, value)
    ObjectBlobStore.s3(place.config).check()


def test_a_bucket_at_its_limit_is_full(ceph: RadosGateway, place: Place) -> None:
    ceph.limit(place.bucket, 50_000)
    with pytest.raises(StorageFullError):
        place.store.put("blobs/ab/9", bytes(60_000))
    with pytest.raises(StorageFullError):
        place.store.put_file("blobs/ab/9", io.BytesIO(bytes(9_000_000)))
    assert list(place.store.find("")) == []
