"""Uploads and artifacts: whose they are, how long they stay, and that bytes and rows never part for long."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.tables import BLOBS, JOBS
from facecraft.errors import (
    ArtifactNotFoundError,
    FacecraftError,
    InputBlobNotFoundError,
    Kind,
    QuotaExceededError,
    StorageError,
    StorageFullError,
)
from facecraft.jobs import blob_rows
from facecraft.jobs.blob_rows import Blob, clean_name
from facecraft.jobs.blobs import Blobs
from facecraft.jobs.performing import Product
from facecraft.storage import ObjectBlobStore
from facecraft.storage.config import StorageConfig

OWNERS = [None, "user:1"]
NEVER_MADE = "3f0c9a52-7f4e-4d0b-9c39-5f3f4be0a6d1"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('blobs') / 'facecraft.db'}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres").database())
        opened = stack.enter_context(Database.open(url))
        opened.migrate()
        yield opened


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    yield migrated
    with migrated.write() as connection:
        connection.execute(BLOBS.delete())
        connection.execute(JOBS.delete())


@pytest.fixture
def store() -> ObjectBlobStore:
    return ObjectBlobStore.memory()


@pytest.fixture
def blobs(database: Database, store: ObjectBlobStore) -> Blobs:
    return Blobs(database, store)


def now() -> datetime:
    return datetime.now(UTC)


def upload(blobs: Blobs, owner: str | None = None, data: bytes = b"photo", expires_at: datetime | None = None) -> Blob:
    return blobs.receive(owner, data, name="me.jpg", media_type="image/jpeg", expires_at=expires_at)


def new_job(database: Database, owner: str | None = None) -> str:
    """Write the row of a job and return its id: artifacts hang on it."""
    job, moment = new_id(), now()
    with database.write() as connection:
        connection.execute(
            JOBS.insert().values(
                id=job, owner=owner, name="portrait", queue="gpu", state="succeeded", request={}, fraction=1, attempt=1,
                total=1, succeeded=1, failed=0, event_count=0, created_at=moment, updated_at=moment, due_at=moment,
            )
        )  # fmt: skip
    return job


def make(database: Database, blobs: Blobs, job: str, name: str, *, position: int = 0, data: bytes = b"result") -> Blob:
    (blob,) = blobs.save(None, job, [Product(name, "image/png", data)], position=position, total=1)
    with database.write() as connection:
        blob_rows.place(connection, [blob])
    return blob


def keys(store: ObjectBlobStore) -> set[str]:
    return {info.key for info in store.find("")}


def row_ids(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(BLOBS.c.id)).scalars())


# --- uploads


@pytest.mark.parametrize("owner", OWNERS)
def test_an_upload_comes_back_to_its_owner(blobs: Blobs, owner: str | None) -> None:
    end = now() + timedelta(hours=1)
    kept = blobs.receive(owner, b"photo", name="Zoë.jpg", media_type="image/jpeg", expires_at=end)
    found = blobs.get(owner, kept.id)
    assert found == kept
    assert (found.owner, found.name, found.media_type, found.bytes) == (owner, "Zoë.jpg", "image/jpeg", 5)
    assert (found.job_id, found.position) == (None, None)
    assert blobs.read(found) == b"photo"
    assert b"".join(blobs.stream(found)) == b"photo"
    assert blobs.get(owner, kept.id.upper()) == kept


def test_an_upload_may_be_a_large_file(blobs: Blobs, store: ObjectBlobStore) -> None:
    kept = blobs.receive(None, io.BytesIO(bytes(9_000_000)), name=None, media_type="image/tiff", expires_at=None)
    assert kept.bytes == blobs.get(None, kept.id).bytes == 9_000_000
    assert [info.size for info in store.find("blobs")] == [9_000_000]


@pytest.mark.parametrize(("owner", "stranger"), [(None, "user:1"), ("user:1", None), ("user:1", "user:2")])
def test_a_stranger_finds_nothing_and_deletes_nothing(blobs: Blobs, owner: str | None, stranger: str | None) -> None:
    kept = upload(blobs, owner)
    for use in (blobs.get, blobs.delete):
        with pytest.raises(InputBlobNotFoundError) as caught:
            use(stranger, kept.id)
        assert (caught.value.code, caught.value.kind) == ("blob_not_found", Kind.NOT_FOUND)
    assert blobs.read(blobs.get(owner, kept.id)) == b"photo"


@pytest.mark.parametrize("text", ["", "..", "1", "blobs/ab/1", NEVER_MADE, "' OR 1=1", "a\x00"])
def test_what_is_no_blob_is_not_found(blobs: Blobs, text: str) -> None:
    upload(blobs)
    for use in (blobs.get, blobs.delete):
        with pytest.raises(InputBlobNotFoundError):
            use(None, text)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\x00b.jpg", "\ud800.jpg", "n" * 10_000, "a\r\nb: c", ""])
def test_the_name_of_a_client_is_kept_as_words_only(blobs: Blobs, store: ObjectBlobStore, name: str) -> None:
    kept = blobs.receive(None, b"photo", name=name, media_type="image/jpeg", expires_at=None)
    found = blobs.get(None, kept.id)
    assert found.name is None or len(found.name) <= 255
    assert not any(character in (found.name or "") for character in "\x00\r\n")
    assert keys(store) == {f"blobs/{kept.id[-2:]}/{kept.id}"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\me.jpg", "me.jpg"),
        ("cv\u202egnp.exe", "cvgnp.exe"),
        ("a\r\nb\x00.jpg", "ab.jpg"),
        ("  me and you.jpg ", "me and you.jpg"),
        ("family \U0001f468\u200d\U0001f469.jpg", "family \U0001f468\u200d\U0001f469.jpg"),
        *((nothing, None) for nothing in ("", "  ", ".", "..", "a/..", "\u200e", "/")),
    ],
)
def test_of_what_a_sender_calls_a_file_its_last_part_is_kept(sent: str, kept: str | None) -> None:
    assert clean_name(sent) == kept


def test_deleting_takes_the_bytes_and_the_row(blobs: Blobs, store: ObjectBlobStore, database: Database) -> None:
    kept, other = upload(blobs), upload(blobs)
    blobs.delete(None, kept.id)
    assert keys(store) == {other.key}
    assert row_ids(database) == {other.id}
    with pytest.raises(InputBlobNotFoundError):
        blobs.delete(None, kept.id)


def test_what_has_expired_is_as_good_as_deleted(blobs: Blobs) -> None:
    kept = upload(blobs, expires_at=now() - timedelta(seconds=1))
    with pytest.raises(InputBlobNotFoundError):
        blobs.get(None, kept.id)
    assert blobs.used_bytes(None) == 0


# --- quotas


@pytest.mark.parametrize("owner", OWNERS)
def test_a_quota_is_for_each_owner(blobs: Blobs, store: ObjectBlobStore, owner: str | None) -> None:
    for other in (None, "user:1", "user:2"):
        upload(blobs, other, b"123456")
    before = keys(store)
    keep = {"name": None, "media_type": "image/png", "expires_at": None}
    for source in (b"12345", io.BytesIO(b"12345")):
        with pytest.raises(QuotaExceededError) as caught:
            blobs.receive(owner, source, **keep, quota_bytes=10)
        assert caught.value.hint
    assert keys(store) == before
    blobs.receive(owner, b"1234", **keep, quota_bytes=10)
    assert blobs.used_bytes(owner) == 10
    assert blobs.used_bytes("user:2") == 6


class Pipe(io.BytesIO):
    """A file whose size nobody knows before its end."""

    def seekable(self) -> bool:
        return False


def test_a_file_of_unknown_size_is_refused_after_it_was_stored(blobs: Blobs, store: ObjectBlobStore) -> None:
    with pytest.raises(QuotaExceededError):
        blobs.receive(None, Pipe(b"12345"), name=None, media_type="image/png", expires_at=None, quota_bytes=4)
    assert keys(store) == set()


@pytest.mark.parametrize("owner", OWNERS)
def test_two_uploads_at_once_do_not_pass_a_quota_together(blobs: Blobs, store: ObjectBlobStore, owner: str) -> None:
    def receive(_: int) -> bool:
        try:
            blobs.receive(owner, bytes(100), name=None, media_type="image/png", expires_at=None, quota_bytes=350)
        except QuotaExceededError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(receive, range(16))) == 3
    assert blobs.used_bytes(owner) == 300
    assert len(keys(store)) == 3


# --- artifacts


def test_artifacts_are_those_of_a_job_in_order(database: Database, blobs: Blobs) -> None:
    job, other = new_job(database), new_job(database)
    second = make(database, blobs, job, "portrait.png", position=1, data=b"second")
    first = make(database, blobs, job, "portrait.png", data=b"first")
    report = make(database, blobs, job, "report.json", position=1)
    make(database, blobs, other, "portrait.png")
    assert blobs.artifacts(job) == (first, second, report)
    assert blobs.read(blobs.artifact(job, "portrait.png")) == b"first"
    assert blobs.read(blobs.artifact(job, "portrait.png", 1)) == b"second"
    for name, position in (("other.png", None), ("report.json", 0), ("../portrait.png", None), ("", None)):
        with pytest.raises(ArtifactNotFoundError):
            blobs.artifact(job, name, position)


def test_a_row_is_written_with_the_transaction_it_belongs_to(
    database: Database, blobs: Blobs, store: ObjectBlobStore
) -> None:
    job = new_job(database)
    (blob,) = blobs.save(None, job, [Product("a.png", "image/png", b"r")], position=0, total=1)

    def break_off() -> None:
        with database.write() as connection:
            blob_rows.place(connection, [blob])
            raise StorageFullError

    with pytest.raises(StorageFullError):
        break_off()
    assert blobs.artifacts(job) == ()
    blobs.discard([blob])
    assert keys(store) == set()


def test_a_row_is_not_written_when_its_bytes_may_have_been_swept(database: Database, blobs: Blobs) -> None:
    job = new_job(database)
    (blob,) = blobs.save(None, job, [Product("a.png", "image/png", b"r")], position=0, total=1)
    late = replace(blob, created_at=blob.created_at - timedelta(minutes=31))
    with pytest.raises(StorageError, match="too long"), database.write() as connection:
        blob_rows.place(connection, [late])
    assert blobs.artifacts(job) == ()


# --- retention


def test_a_sweep_takes_what_has_expired_and_nothing_else(
    database: Database, blobs: Blobs, store: ObjectBlobStore
) -> None:
    job = new_job(database)
    kept = [
        upload(blobs),
        upload(blobs, "user:1", expires_at=now() + timedelta(hours=1)),
        make(database, blobs, job, "a"),
    ]
    upload(blobs, expires_at=now() - timedelta(hours=1))
    upload(blobs, "user:1", expires_at=now() - timedelta(hours=1))
    assert blobs.sweep() == 2
    assert blobs.sweep() == 0
    assert row_ids(database) == {blob.id for blob in kept}
    assert keys(store) == {blob.key for blob in kept}
    assert blobs.sweep(now() + timedelta(hours=2)) == 1


def test_a_sweep_takes_more_than_one_batch(blobs: Blobs, database: Database, store: ObjectBlobStore) -> None:
    old = now() - timedelta(hours=1)
    template = upload(blobs, expires_at=old)
    many = [replace(template, id=(made := new_id()), key=f"blobs/{made[-2:]}/{made}") for _ in range(1_100)]
    with database.write() as connection:
        blob_rows.place(connection, [replace(blob, created_at=now()) for blob in many])
    for blob in many[:20]:  # of the others the bytes are gone already: somebody died while deleting them
        store.put(blob.key, b"1")
    assert blobs.sweep() == 1_101
    assert row_ids(database) == set()
    assert keys(store) == set()


def test_a_sweep_takes_what_a_deleted_job_has_made(database: Database, blobs: Blobs, store: ObjectBlobStore) -> None:
    job, other = new_job(database), new_job(database)
    make(database, blobs, job, "a.png")
    kept = make(database, blobs, other, "a.png")
    given = upload(blobs)
    with database.write() as connection:
        connection.execute(JOBS.delete().where(JOBS.c.id == job))
    assert blobs.sweep() == 1
    assert keys(store) == {kept.key, given.key}


def test_a_job_holds_what_it_needs_until_it_lets_go(database: Database, blobs: Blobs) -> None:
    given = upload(blobs, "user:1", expires_at=now() + timedelta(seconds=30))
    with database.write() as connection:
        blob_rows.hold(connection, "user:1", [given.id, given.id])
    assert blobs.sweep(now() + timedelta(days=365)) == 0
    assert blobs.read(blobs.get("user:1", given.id)) == b"photo"
    with database.write() as connection:
        blob_rows.expire(connection, [given.id], now() + timedelta(hours=1))
    assert blobs.sweep() == 0
    with database.write() as connection:
        blob_rows.expire(connection, [given.id])
    assert blobs.sweep() == 1


@pytest.mark.parametrize("owner", [None, "user:2"])
def test_nobody_holds_what_is_not_theirs_or_has_expired(database: Database, blobs: Blobs, owner: str | None) -> None:
    foreign = upload(blobs, "user:1", expires_at=now() + timedelta(hours=1))
    own = upload(blobs, owner, expires_at=now() + timedelta(hours=1))
    gone = upload(blobs, owner, expires_at=now() - timedelta(seconds=1))
    for wanted in ([own.id, foreign.id], [own.id, gone.id], [own.id, new_id()]):
        with pytest.raises(InputBlobNotFoundError), database.write() as connection:
            blob_rows.hold(connection, owner, wanted)
    assert blobs.get(owner, own.id).expires_at is not None  # undone with the transaction
    assert blobs.get("user:1", foreign.id).expires_at is not None


# --- when one of the two breaks


class Breaking(ObjectBlobStore):
    """A store that is full, away, or forgets."""

    full = away = forgetful = False

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        if self.full:
            raise StorageFullError
        if not self.forgetful:
            super().put(key, data, media_type=media_type)

    def delete(self, key: str) -> None:
        if self.away:
            raise StorageError
        super().delete(key)


@pytest.fixture
def breaking() -> Breaking:
    return Breaking(ObjectBlobStore.memory()._store)


def test_a_full_store_leaves_no_row(database: Database, breaking: Breaking) -> None:
    breaking.full = True
    with pytest.raises(StorageFullError):
        upload(Blobs(database, breaking))
    assert row_ids(database) == set()


def test_a_lost_write_is_said_when_it_is_read(database: Database, breaking: Breaking) -> None:
    blobs, job = Blobs(database, breaking), new_job(database)
    breaking.forgetful = True
    lost, made = upload(blobs), make(database, blobs, job, "a.png")
    kinds: list[tuple[Blob, type[FacecraftError]]] = [(lost, InputBlobNotFoundError), (made, ArtifactNotFoundError)]
    for blob, kind in kinds:
        for use in (blobs.read, blobs.stream):
            with pytest.raises(kind) as caught:
                use(blob)
            assert not isinstance(caught.value, StorageError)  # trying again does not help
    blobs.delete(None, lost.id)


def test_a_store_that_is_away_while_deleting_is_asked_again(database: Database, breaking: Breaking) -> None:
    blobs = Blobs(database, breaking)
    given = upload(blobs)
    breaking.away = True
    with pytest.raises(StorageError):
        blobs.delete(None, given.id)
    with pytest.raises(InputBlobNotFoundError):  # gone for everybody at once
        blobs.get(None, given.id)
    with pytest.raises(StorageError):
        blobs.sweep()
    assert row_ids(database) == {given.id}
    breaking.away = False
    assert blobs.sweep() == 1
    assert keys(breaking) == set()
    assert row_ids(database) == set()


def test_bytes_without_a_row_are_found_after_an_hour(database: Database, store: ObjectBlobStore) -> None:
    blobs, job = Blobs(database, store), new_job(database)
    kept = [upload(blobs), upload(blobs), make(database, blobs, job, "a.png")]
    (lost,) = blobs.save(None, job, [Product("b.png", "image/png", b"r")], position=0, total=1)
    others = ["galleries/g/1", "blobs/notes.txt", f"{job}/portrait.png", f"blobs/ab/{uuid.UUID(int=2**128 - 1)}"]
    for key in others:
        store.put(key, b"of somebody else")
    assert blobs.sweep_orphans() == 0
    assert blobs.sweep_orphans(now() + timedelta(minutes=59)) == 0
    assert blobs.sweep_orphans(now() + timedelta(minutes=61)) == 1
    assert keys(store) == {blob.key for blob in kept} | set(others)
    assert lost.key not in keys(store)


def test_what_an_interrupted_upload_left_in_a_folder_is_tidied(database: Database, tmp_path: Path) -> None:
    blobs = Blobs(database, ObjectBlobStore.folder(tmp_path))
    given = upload(blobs)
    (tmp_path / "blobs" / "half#1").write_bytes(b"half")
    blobs.sweep_orphans(now() + timedelta(minutes=61))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [given.id]


# --- links


def test_a_link_never_outlives_its_blob(database: Database, blobs: Blobs) -> None:
    config = StorageConfig(
        s3_bucket="faces", s3_endpoint="http://127.0.0.1:9", s3_access_key="key", s3_secret_key="secret"
    )
    bucket = Blobs(database, ObjectBlobStore.s3(config))  # signing asks the store nothing
    given = upload(blobs, expires_at=now() + timedelta(seconds=100))
    link = bucket.presign(given, 3600)
    assert link is not None
    seconds = int(link.partition("X-Amz-Expires=")[2].partition("&")[0])
    assert 0 < seconds <= 100
    assert "filename%3D%22me.jpg%22" in link
    assert bucket.presign(given, 0) is None
    assert bucket.presign(replace(given, expires_at=now()), 3600) is None
    assert blobs.presign(given, 3600) is None  # memory has none
