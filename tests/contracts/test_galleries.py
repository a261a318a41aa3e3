"""What galleries promise, shown on SQLite and on a real Postgres."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine.interfaces import DBAPIConnection

from facecraft.db.database import Database
from facecraft.db.tables import ERASURES, FACES, GALLERIES, METADATA, PEOPLE
from facecraft.errors import (
    ConfigurationError,
    EmbeddingMismatchError,
    EnrolledFaceNotFoundError,
    GalleryNotFoundError,
    InvalidOptionError,
    Kind,
    PersonNotFoundError,
    StorageError,
)
from facecraft.galleries.crops import Crops
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.records import NewFace, NewPerson
from facecraft.storage import BlobStore, ObjectBlobStore

MODEL, OTHER_MODEL = "dlib_resnet", "sface"
DIMENSION = 32

Vectors = NDArray[np.float32]


def unit(count: int, dimension: int = DIMENSION, seed: int = 1) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def near(vector: Vectors, similarity: float, seed: int = 2) -> Vectors:
    """A unit vector whose cosine with ``vector`` is exactly ``similarity``."""
    other = unit(1, vector.size, seed)[0].astype(np.float64)
    other -= other @ vector * vector
    other /= np.linalg.norm(other)
    return (similarity * vector + np.sqrt(1 - similarity**2) * other).astype(np.float32)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return ObjectBlobStore.folder(tmp_path / "crops")


@pytest.fixture
def galleries(database: Database, blobs: BlobStore) -> Galleries:
    return Galleries(database, blobs)


def rows_left(database: Database) -> dict[str, int]:
    with database.read() as connection:
        counts = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
        }
    return {name: count for name, count in counts.items() if count}


def names(galleries: Galleries, gallery: str, vector: Vectors, **options: object) -> list[str]:
    found = galleries.search(gallery, vector, model_id=MODEL, **options)  # type: ignore[arg-type]
    return [match.person.name for match in found[0]]


# --- create, read, change, delete ----------------------------------------------------------------------------------


def test_a_gallery_is_made_read_renamed_and_deleted(galleries: Galleries) -> None:
    made = galleries.create("  Staff ", MODEL)
    assert (made.name, made.model_id, made.dimension, made.people, made.faces) == ("Staff", MODEL, None, 0, 0)
    assert galleries.get(made.id) == made
    renamed = galleries.rename(made.id, "Crew")
    assert (renamed.name, renamed.created_at) == ("Crew", made.created_at)
    assert renamed.updated_at > made.updated_at
    galleries.delete(made.id)
    with pytest.raises(GalleryNotFoundError) as caught:
        galleries.get(made.id)
    assert caught.value.kind is Kind.NOT_FOUND


def test_a_person_is_enrolled_read_changed_and_deleted(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    vectors = unit(3)
    details = {"badge": 17, "tags": ["a", "ü"], "none": None, "deep": {"x": [1.5, True]}}
    person = galleries.enroll(
        gallery, "Ada", [NewFace(vectors[0], b"crop", "passport")], model_id=MODEL, details=details
    )
    assert (person.name, person.details, person.faces, person.gallery_id) == ("Ada", details, 1, gallery)
    assert galleries.person(gallery, person.id) == person
    more = galleries.add_faces(gallery, person.id, [NewFace(v) for v in vectors[1:]], model_id=MODEL)
    assert [face.has_crop for face in more] == [False, False]
    listed = galleries.faces(gallery, person.id).items
    assert [face.source for face in listed] == ["passport", None, None]
    assert listed[1:] == more
    assert galleries.crop(gallery, person.id, listed[0].id) == b"crop"
    assert galleries.get(gallery).dimension == DIMENSION

    changed = galleries.update_person(gallery, person.id, name="Ada L.", details={})
    assert (changed.name, changed.details, changed.faces) == ("Ada L.", {}, 3)
    assert galleries.update_person(gallery, person.id).updated_at == changed.updated_at

    galleries.delete_face(gallery, person.id, listed[0].id)
    assert [face.id for face in galleries.faces(gallery, person.id).items] == [face.id for face in more]
    with pytest.raises(EnrolledFaceNotFoundError):
        galleries.crop(gallery, person.id, listed[0].id)
    galleries.delete_person(gallery, person.id)
    with pytest.raises(PersonNotFoundError):
        galleries.person(gallery, person.id)
    assert (galleries.get(gallery).people, galleries.get(gallery).faces) == (0, 0)


def test_a_person_may_have_no_face_yet(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "Nobody", model_id=MODEL)
    assert person.faces == 0
    assert galleries.add_faces(gallery, person.id, [], model_id=MODEL) == ()
    assert names(galleries, gallery, unit(1)[0]) == []
    galleries.delete_person(gallery, person.id)


def test_several_people_are_enrolled_all_or_none(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    vectors = unit(3)
    people = [NewPerson("a", [NewFace(vectors[0])]), NewPerson("b"), NewPerson("c", [NewFace(v) for v in vectors[1:]])]
    made = galleries.enroll_many(gallery, people, model_id=MODEL)
    assert [(one.name, one.faces) for one in made] == [("a", 1), ("b", 0), ("c", 2)]
    assert galleries.people(gallery).items == made
    with pytest.raises(InvalidOptionError):
        galleries.enroll_many(gallery, [NewPerson("d"), NewPerson("")], model_id=MODEL)
    assert galleries.get(gallery).people == 3


def test_what_is_not_there_is_not_found(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "a", [NewFace(unit(1)[0])], model_id=MODEL).id
    for nothing in (str(uuid.uuid4()), "", "x", "../..", "' OR 1=1 --", "a" * 10_000, "\x00"):
        for call in (
            lambda: galleries.get(nothing),  # noqa: B023
            lambda: galleries.delete(nothing),  # noqa: B023
            lambda: galleries.search(nothing, unit(1)[0], model_id=MODEL),  # noqa: B023
            lambda: galleries.enroll(nothing, "a", model_id=MODEL),  # noqa: B023
        ):
            with pytest.raises(GalleryNotFoundError):
                call()
        with pytest.raises(PersonNotFoundError):
            galleries.add_faces(gallery, nothing, [], model_id=MODEL)
        with pytest.raises(EnrolledFaceNotFoundError):
            galleries.delete_face(gallery, person, nothing)


def test_a_person_of_another_gallery_is_not_found(galleries: Galleries) -> None:
    one, other = galleries.create("1", MODEL).id, galleries.create("2", MODEL).id
    person = galleries.enroll(one, "a", [NewFace(unit(1)[0])], model_id=MODEL)
    face = galleries.faces(one, person.id).items[0]
    stranger = galleries.enroll(one, "b", model_id=MODEL)
    with pytest.raises(PersonNotFoundError):
        galleries.person(other, person.id)
    with pytest.raises(PersonNotFoundError):
        galleries.delete_person(other, person.id)
    with pytest.raises(EnrolledFaceNotFoundError):
        galleries.delete_face(one, stranger.id, face.id)
    assert galleries.person(one, person.id).faces == 1


HOSTILE_NAMES = (
    "Zoë 林 🧑🏽‍🚀 \u202eevil",
    "x" * 300,
    "<script>alert('hi')</script>",
    "Robert'); DROP TABLE galleries;--",
    "%s %(name)s :name {0} \\ \" '",
    "../../etc/passwd",
)


def test_a_hostile_name_is_only_a_name(galleries: Galleries) -> None:
    vector = unit(1)[0]
    for name in HOSTILE_NAMES:
        owner = name[:128]
        gallery = galleries.create(name, MODEL, owner=owner)
        person = galleries.enroll(
            gallery.id, name, [NewFace(vector, b"c", name)], model_id=MODEL, details={name: name}, owner=owner
        )
        assert galleries.get(gallery.id, owner=owner).name == name
        assert galleries.person(gallery.id, person.id, owner=owner).details == {name: name}
        match = galleries.search(gallery.id, vector, model_id=MODEL, owner=owner)[0][0]
        assert (match.person, match.similarity) == (person, pytest.approx(1.0))
        assert galleries.faces(gallery.id, person.id, owner=owner).items[0].source == name
        assert [one.name for one in galleries.browse(owner=owner).items] == [name]
    assert galleries.browse().items == ()


# --- lists ---------------------------------------------------------------------------------------------------------


def test_cursors_show_everything_once_while_rows_come_and_go(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    made = [galleries.enroll(gallery, f"{n}", model_id=MODEL) for n in range(25)]
    seen, cursor, turns = [], None, 0
    while True:
        page = galleries.people(gallery, cursor=cursor, limit=4)
        seen += [person.name for person in page.items]
        cursor = page.cursor
        if turns < 3:
            galleries.enroll(gallery, f"new {turns}", model_id=MODEL)
            galleries.delete_person(gallery, made[turns].id)  # already shown
            galleries.delete_person(gallery, made[20 + turns].id)  # not yet shown
        turns += 1
        if cursor is None or turns > 20:
            break
    assert seen == [*(str(n) for n in range(20)), "23", "24", "new 0", "new 1", "new 2"]


def test_the_row_that_a_cursor_names_may_go(galleries: Galleries) -> None:
    made = [galleries.create(f"{n}", MODEL) for n in range(5)]
    page = galleries.browse(limit=2)
    galleries.delete(made[1].id)
    assert [one.name for one in galleries.browse(cursor=page.cursor, limit=5).items] == ["2", "3", "4"]


def test_a_full_last_page_has_no_cursor(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "a", [NewFace(v) for v in unit(4)], model_id=MODEL).id
    assert galleries.faces(gallery, person, limit=4).cursor is None
    page = galleries.faces(gallery, person, limit=3)
    assert len(galleries.faces(gallery, person, limit=3, cursor=page.cursor).items) == 1


def test_a_cursor_that_is_not_ours_is_refused(galleries: Galleries) -> None:
    for cursor in ("", "!", "AAAA", "x" * 5000, "ü", "MTIz"):
        with pytest.raises(InvalidOptionError):
            galleries.browse(cursor=cursor)


def test_a_page_has_a_bound(galleries: Galleries) -> None:
    for limit in (0, -1, 201):
        with pytest.raises(InvalidOptionError):
            galleries.browse(limit=limit)


# --- owners --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("owner", "stranger"), [("ada", "eve"), ("ada", None), (None, "eve"), ("ada", "ADA")])
def test_what_belongs_to_somebody_else_is_not_found(
    galleries: Galleries, owner: str | None, stranger: str | None
) -> None:
    vector = unit(1)[0]
    gallery = galleries.create("g", MODEL, owner=owner).id
    person = galleries.enroll(gallery, "a", [NewFace(vector, b"crop")], model_id=MODEL, owner=owner).id
    face = galleries.faces(gallery, person, owner=owner).items[0].id
    calls: list[Callable[[], object]] = [
        lambda: galleries.get(gallery, owner=stranger),
        lambda: galleries.rename(gallery, "mine", owner=stranger),
        lambda: galleries.delete(gallery, owner=stranger),
        lambda: galleries.enroll(gallery, "b", model_id=MODEL, owner=stranger),
        lambda: galleries.people(gallery, owner=stranger),
        lambda: galleries.person(gallery, person, owner=stranger),
        lambda: galleries.update_person(gallery, person, name="b", owner=stranger),
        lambda: galleries.delete_person(gallery, person, owner=stranger),
        lambda: galleries.add_faces(gallery, person, [NewFace(vector)], model_id=MODEL, owner=stranger),
        lambda: galleries.faces(gallery, person, owner=stranger),
        lambda: galleries.crop(gallery, person, face, owner=stranger),
        lambda: galleries.delete_face(gallery, person, face, owner=stranger),
        lambda: galleries.search(gallery, vector, model_id=MODEL, owner=stranger),
        lambda: galleries.search(gallery, vector, model_id=OTHER_MODEL, owner=stranger),
    ]
    for call in calls:
        with pytest.raises(GalleryNotFoundError):
            call()
    assert galleries.browse(owner=stranger).items == ()
    own = galleries.get(gallery, owner=owner)
    assert (own.name, own.people, own.faces) == ("g", 1, 1)
    assert galleries.crop(gallery, person, face, owner=owner) == b"crop"


# --- one model -----------------------------------------------------------------------------------------------------


def test_vectors_of_another_model_or_length_are_refused(galleries: Galleries, blobs: BlobStore) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "a", [NewFace(unit(1)[0])], model_id=MODEL).id
    longer = unit(1, DIMENSION + 1)[0]
    calls: list[Callable[[], object]] = [
        lambda: galleries.enroll(gallery, "b", [NewFace(unit(1)[0], b"crop")], model_id=OTHER_MODEL),
        lambda: galleries.enroll(gallery, "b", [NewFace(longer, b"crop")], model_id=MODEL),
        lambda: galleries.add_faces(gallery, person, [NewFace(unit(1)[0], b"crop")], model_id=OTHER_MODEL),
        lambda: galleries.add_faces(gallery, person, [NewFace(longer, b"crop")], model_id=MODEL),
        lambda: galleries.search(gallery, unit(1)[0], model_id=OTHER_MODEL),
        lambda: galleries.search(gallery, longer, model_id=MODEL),
    ]
    for call in calls:
        with pytest.raises(EmbeddingMismatchError):
            call()
    assert (galleries.get(gallery).people, galleries.get(gallery).faces) == (1, 1)
    assert list(blobs.find("")) == []


def test_an_empty_gallery_is_pinned_too(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL, dimension=DIMENSION).id
    with pytest.raises(EmbeddingMismatchError):
        galleries.search(gallery, unit(1)[0], model_id=OTHER_MODEL)
    with pytest.raises(EmbeddingMismatchError):
        galleries.enroll(gallery, "a", [NewFace(unit(1, 8)[0])], model_id=MODEL)


def test_two_first_faces_at_once_agree_on_one_length(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    outcomes: list[str] = []

    def enroll(dimension: int) -> None:
        try:
            galleries.enroll(gallery, "a", [NewFace(unit(1, dimension)[0])], model_id=MODEL)
            outcomes.append("enrolled")
        except EmbeddingMismatchError:
            outcomes.append("refused")

    threads = [threading.Thread(target=enroll, args=(dimension,)) for dimension in (8, 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["enrolled", "refused"]
    assert galleries.get(gallery).faces == 1


# --- search --------------------------------------------------------------------------------------------------------


def test_the_planted_one_is_found_among_ten_thousand(galleries: Galleries) -> None:
    vectors = unit(10_000, 128)
    gallery = galleries.create("crowd", MODEL).id
    planted = unit(1, 128, seed=99)[0]
    crowd = [NewPerson(f"{n}", [NewFace(vector)]) for n, vector in enumerate(vectors)]
    galleries.enroll_many(gallery, crowd[:5000], model_id=MODEL)
    wanted = galleries.enroll(gallery, "wanted", [NewFace(planted)], model_id=MODEL)
    galleries.enroll_many(gallery, crowd[5000:], model_id=MODEL)
    match = galleries.search(gallery, near(planted, 0.7), model_id=MODEL, top_k=3)[0]
    assert match[0].person == wanted
    assert match[0].similarity == pytest.approx(0.7, abs=1e-5)
    assert match[1].similarity < 0.5
    assert names(galleries, gallery, near(planted, 0.7), threshold=0.69) == ["wanted"]
    # Everybody is where the bare product says.
    probes = unit(5, 128, seed=3)
    truth = np.argsort(-(probes @ vectors.T), axis=1)[:, :4]
    found = galleries.search(gallery, probes, model_id=MODEL, top_k=4)
    assert [[match.person.name for match in one if match.person != wanted][:3] for one in found] == [
        [str(n) for n in row[:3]] for row in truth
    ]


def test_a_person_with_several_faces_counts_once(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    probe = unit(1)[0]
    faces = [NewFace(near(probe, similarity, seed)) for seed, similarity in enumerate((0.5, 0.9, 0.8), start=10)]
    ada = galleries.enroll(gallery, "Ada", faces, model_id=MODEL)
    galleries.enroll(gallery, "Bob", [NewFace(near(probe, 0.6, 20)), NewFace(near(probe, 0.1, 21))], model_id=MODEL)
    found = galleries.search(gallery, probe, model_id=MODEL, top_k=10)[0]
    assert [match.person.name for match in found] == ["Ada", "Bob"]
    assert [match.similarity for match in found] == pytest.approx([0.9, 0.6], abs=1e-5)
    assert found[0].face_id == galleries.faces(gallery, ada.id).items[1].id
    galleries.delete_face(gallery, ada.id, found[0].face_id)
    assert galleries.search(gallery, probe, model_id=MODEL)[0][0].similarity == pytest.approx(0.8, abs=1e-5)


def test_threshold_and_number_of_matches_at_their_edges(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    probe = unit(1)[0]
    assert galleries.search(gallery, probe, model_id=MODEL, top_k=1000) == ((),)
    for seed, similarity in enumerate((0.9, 0.5, 0.0, -0.9)):
        galleries.enroll(gallery, f"{similarity}", [NewFace(near(probe, similarity, 30 + seed))], model_id=MODEL)
    assert names(galleries, gallery, probe, top_k=1000) == ["0.9", "0.5", "0.0", "-0.9"]
    assert names(galleries, gallery, probe, top_k=1) == ["0.9"]
    assert names(galleries, gallery, probe, threshold=0.4) == ["0.9", "0.5"]
    assert names(galleries, gallery, probe, threshold=0.95) == []
    assert names(galleries, gallery, probe, threshold=-1.0) == ["0.9", "0.5", "0.0", "-0.9"]
    assert len(galleries.search(gallery, unit(40), model_id=MODEL, top_k=2)) == 40


def test_a_search_out_of_bounds_is_refused(galleries: Galleries) -> None:
    gallery, vector = galleries.create("g", MODEL).id, unit(1)[0]
    for top_k in (0, -1, 1001):
        with pytest.raises(InvalidOptionError):
            galleries.search(gallery, vector, model_id=MODEL, top_k=top_k)
    for threshold in (1.5, -1.1, float("nan")):
        with pytest.raises(InvalidOptionError):
            galleries.search(gallery, vector, model_id=MODEL, threshold=threshold)
    with pytest.raises(InvalidOptionError):
        galleries.search(gallery, unit(257), model_id=MODEL)


def test_the_length_of_a_vector_does_not_matter(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    vector = unit(1)[0]
    galleries.enroll(gallery, "a", [NewFace(37 * vector)], model_id=MODEL)
    match = galleries.search(gallery, vector * 1e-3, model_id=MODEL)[0][0]
    assert match.similarity == pytest.approx(1.0, abs=1e-6)
    assert match.similarity <= 1.0


def test_a_search_shows_names_as_they_are_now(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    vector = unit(1)[0]
    person = galleries.enroll(gallery, "before", [NewFace(vector)], model_id=MODEL)
    assert names(galleries, gallery, vector) == ["before"]
    galleries.update_person(gallery, person.id, name="after")
    assert names(galleries, gallery, vector) == ["after"]
    assert names(galleries, gallery.upper(), vector) == ["after"]


# --- several processes, several threads, restarts ------------------------------------------------------------------


def test_everything_survives_a_restart(database_url: str, blobs: BlobStore) -> None:
    vectors = unit(50)
    with Database.open(database_url) as database:
        database.migrate()
        galleries = Galleries(database, blobs)
        gallery = galleries.create("g", MODEL, owner="ada").id
        for number, vector in enumerate(vectors):
            galleries.enroll(gallery, f"{number}", [NewFace(vector, b"crop")], model_id=MODEL, owner="ada")
    with Database.open(database_url) as database:
        database.check()
        galleries = Galleries(database, blobs)
        found = galleries.search(gallery, vectors, model_id=MODEL, top_k=1, owner="ada")
        assert [one[0].person.name for one in found] == [str(n) for n in range(50)]
        person = found[7][0].person.id
        assert galleries.crop(gallery, person, found[7][0].face_id, owner="ada") == b"crop"


_OTHER_PROCESS = """
import sys
import numpy as np
from facecraft.db.database import Database
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.records import NewFace
url, gallery = sys.argv[1:]
eye = np.eye(32, dtype=np.float32)
with Database.open(url) as database:
    galleries = Galleries(database)
    people = {}
    for line in sys.stdin:
        command, number = line.split()
        vector = eye[int(number)]
        if command == "enroll":
            people[number] = galleries.enroll(gallery, number, [NewFace(vector)], model_id="dlib_resnet").id
            print("done", flush=True)
        elif command == "delete":
            galleries.delete_person(gallery, people.pop(number))
            print("done", flush=True)
        else:
            found = galleries.search(gallery, vector, model_id="dlib_resnet", threshold=0.9)[0]
            print(*[match.person.name for match in found] or ["nobody"], flush=True)
"""


def test_two_processes_see_each_others_changes_at_once(database_url: str, galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    eye = np.eye(DIMENSION, dtype=np.float32)
    other = subprocess.Popen(
        [sys.executable, "-c", _OTHER_PROCESS, database_url, gallery],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None

    def ask(line: str) -> str:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(line + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    try:
        mine = galleries.enroll(gallery, "mine", [NewFace(eye[0])], model_id=MODEL)
        assert ask("search 0") == "mine"
        for number in range(1, 6):
            assert ask(f"enroll {number}") == "done"
            assert names(galleries, gallery, eye[number], threshold=0.9) == [str(number)]
        assert ask("delete 3") == "done"
        assert names(galleries, gallery, eye[3], threshold=0.9) == []
        galleries.delete_person(gallery, mine.id)
        assert ask("search 0") == "nobody"
        assert ask("search 5") == "5"
    finally:
        other.stdin.close()
        other.wait(20)
        other.stdout.close()
    assert other.returncode == 0


def write(galleries: Galleries, gallery: str, vectors: Vectors) -> None:
    """Enroll people, delete every third; each must be found at once, and at once no more."""
    for number, vector in enumerate(vectors):
        person = galleries.enroll(gallery, f"coming {number}", [NewFace(vector)], model_id=MODEL)
        assert names(galleries, gallery, vector, top_k=1, threshold=0.999) == [f"coming {number}"]
        if number % 3 == 0:
            galleries.delete_person(gallery, person.id)
            assert names(galleries, gallery, vector, threshold=0.999) == []


def read(galleries: Galleries, gallery: str, vectors: Vectors, stop: threading.Event) -> None:
    """Those who are always there are always found, at full similarity."""
    while not stop.is_set():
        found = galleries.search(gallery, vectors, model_id=MODEL, top_k=1)
        assert [one[0].person.name for one in found] == [f"fixed {n}" for n in range(len(vectors))]
        assert min(one[0].similarity for one in found) > 0.999


def test_people_are_found_while_others_are_enrolled_and_deleted(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    fixed, stop = unit(20, seed=40), threading.Event()
    people = [NewPerson(f"fixed {n}", [NewFace(vector)]) for n, vector in enumerate(fixed)]
    galleries.enroll_many(gallery, people, model_id=MODEL)
    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read, galleries, gallery, fixed, stop) for _ in range(3)]
        writers = [pool.submit(write, galleries, gallery, unit(30, seed=seed)) for seed in (41, 42)]
        try:
            for writer in writers:
                writer.result(60)
        finally:
            stop.set()
        for reader in readers:
            reader.result(60)
    assert galleries.get(gallery).people == 20 + 2 * 20


# --- deleting ------------------------------------------------------------------------------------------------------


def stored_vectors(database: Database) -> list[bytes]:
    with database.read() as connection:
        return list(connection.execute(sa.select(FACES.c.vector).order_by(FACES.c.number)).scalars())


def files_holding(tmp_path: Path, needle: bytes) -> list[str]:
    return [path.name for path in tmp_path.rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_deleting_leaves_neither_vectors_nor_crops(
    galleries: Galleries, database: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    vectors, gallery = unit(6), galleries.create("g", MODEL).id
    crops = [f"the crop of number {n}".encode() * 20 for n in range(6)]
    people = [
        galleries.enroll(gallery, f"somebody {n}", [NewFace(vectors[n], crops[n])], model_id=MODEL) for n in range(5)
    ]
    galleries.add_faces(gallery, people[0].id, [NewFace(vectors[5], crops[5])], model_id=MODEL)
    galleries.search(gallery, vectors[0], model_id=MODEL)
    stored = stored_vectors(database)
    assert len(stored) == len(list(blobs.find(""))) == 6
    assert bool(files_holding(tmp_path, stored[0])) is database.is_sqlite

    face = galleries.faces(gallery, people[0].id).items[0]
    galleries.delete_face(gallery, people[0].id, face.id)
    galleries.delete_person(gallery, people[1].id)
    gone = [0, 1]
    assert len(stored_vectors(database)) == len(list(blobs.find(""))) == 4
    for number in range(6):
        assert bool(files_holding(tmp_path, crops[number])) is (number not in gone)
        if database.is_sqlite:
            assert bool(files_holding(tmp_path, stored[number])) is (number not in gone)
        assert (stored[number] in stored_vectors(database)) is (number not in gone)
    if database.is_sqlite:
        assert not files_holding(tmp_path, b"somebody 1")

    galleries.delete(gallery)
    assert rows_left(database) == {}
    assert list(blobs.find("")) == []
    for number in range(6):
        assert not files_holding(tmp_path, stored[number])
        assert not files_holding(tmp_path, crops[number])


def test_a_large_gallery_is_deleted_in_pieces(galleries: Galleries, database: Database) -> None:
    gallery, kept = galleries.create("g", MODEL).id, galleries.create("kept", MODEL).id
    galleries.enroll_many(
        gallery, [NewPerson(f"{n}", [NewFace(v)]) for n, v in enumerate(unit(4500, 8))], model_id=MODEL
    )
    galleries.enroll(kept, "a", [NewFace(unit(1)[0])], model_id=MODEL)
    galleries.delete(gallery)
    assert rows_left(database) == {"galleries": 1, "gallery_people": 1, "gallery_faces": 1}


def test_a_deletion_that_died_half_way_is_finished_by_the_sweep(
    galleries: Galleries, database: Database, blobs: BlobStore
) -> None:
    gallery = galleries.create("g", MODEL).id
    galleries.enroll(gallery, "a", [NewFace(unit(1)[0], b"crop")], model_id=MODEL)
    with database.write() as connection:  # what a killed process leaves behind
        connection.execute(sa.update(GALLERIES).values(deleted_at=sa.func.current_timestamp()))
    with pytest.raises(GalleryNotFoundError):
        galleries.people(gallery)
    assert galleries.browse().items == ()
    galleries.sweep()
    assert rows_left(database) == {}
    assert list(blobs.find("")) == []


class Broken:
    """A store that can be switched off."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.refuses: set[str] = set()
        self.find, self.check = store.find, store.check

    def put(self, key: str, data: bytes) -> None:
        self._maybe("put")
        self._store.put(key, data)

    def get(self, key: str) -> bytes:
        self._maybe("get")
        return self._store.get(key)

    def delete(self, key: str) -> None:
        self._maybe("delete")
        self._store.delete(key)

    def _maybe(self, what: str) -> None:
        if what in self.refuses:
            raise StorageError


def test_crops_that_the_store_keeps_are_erased_later(database: Database, blobs: BlobStore) -> None:
    broken = Broken(blobs)
    galleries = Galleries(database, broken)
    gallery = galleries.create("g", MODEL).id
    people = [galleries.enroll(gallery, f"{n}", [NewFace(v, b"crop")], model_id=MODEL) for n, v in enumerate(unit(3))]
    broken.refuses = {"delete"}
    with pytest.raises(StorageError):
        galleries.delete_person(gallery, people[0].id)
    with pytest.raises(PersonNotFoundError):
        galleries.person(gallery, people[0].id)
    with pytest.raises(StorageError):
        galleries.delete(gallery)
    with pytest.raises(StorageError):
        galleries.sweep()
    assert stored_vectors(database) == []
    assert len(list(blobs.find(""))) == 3
    broken.refuses = set()
    assert galleries.sweep() == 3
    assert list(blobs.find("")) == []
    assert rows_left(database) == {}


def test_a_crop_that_cannot_be_stored_enrolls_nobody(database: Database, blobs: BlobStore) -> None:
    broken = Broken(blobs)
    galleries = Galleries(database, broken)
    gallery = galleries.create("g", MODEL).id
    broken.refuses = {"put"}
    with pytest.raises(StorageError):
        galleries.enroll(gallery, "a", [NewFace(unit(1)[0], b"crop")], model_id=MODEL)
    assert rows_left(database) == {"galleries": 1}


@pytest.mark.parametrize("what", ["gallery", "person", "faces"])
def test_a_note_is_written_with_what_is_made_or_nothing_is(
    galleries: Galleries, database: Database, blobs: BlobStore, what: str
) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "a", model_id=MODEL).id
    face = NewFace(unit(1)[0], b"crop")
    before = rows_left(database)
    told: list[object] = []

    def make(fail: bool) -> object:
        def added(made: object) -> Callable[[sa.Connection], object]:
            def also(connection: sa.Connection) -> None:
                told.append(made)
                assert connection.in_transaction()
                if fail:
                    raise ZeroDivisionError

            return also

        match what:
            case "gallery":
                return galleries.create("h", MODEL, added=added)
            case "person":
                return galleries.enroll(gallery, "b", [face], model_id=MODEL, added=added)
        return galleries.add_faces(gallery, person, [face], model_id=MODEL, added=added)

    with pytest.raises(ZeroDivisionError):
        make(fail=True)
    assert rows_left(database) == before
    assert list(blobs.find("")) == []
    made = make(fail=False)
    assert told[1:] == [made]
    assert rows_left(database) != before


def test_faces_are_shown_by_their_ids(galleries: Galleries) -> None:
    gallery = galleries.create("g", MODEL).id
    person = galleries.enroll(gallery, "a", [NewFace(v, None, "x.png") for v in unit(3)], model_id=MODEL).id
    one, two, three = galleries.faces(gallery, person).items
    assert galleries.some_faces(gallery, person, [three.id, one.id]) == (three, one)
    with pytest.raises(GalleryNotFoundError):
        galleries.some_faces(gallery, person, [one.id], owner="somebody")
    galleries.delete_face(gallery, person, two.id)
    with pytest.raises(EnrolledFaceNotFoundError):
        galleries.some_faces(gallery, person, [one.id, two.id])


def test_a_commit_whose_answer_is_lost_does_not_cost_the_crop(
    galleries: Galleries, database: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = galleries.create("g", MODEL).id
    commit, failed = database.engine.dialect.do_commit, []
    noted: list[bool] = []

    def lost(connection: DBAPIConnection) -> None:
        commit(connection)
        if noted and not failed:
            failed.append(True)
            raise StorageError("the connection is lost")

    monkeypatch.setattr(database.engine.dialect, "do_commit", lost)
    with pytest.raises(StorageError):
        galleries.enroll(
            gallery, "a", [NewFace(unit(1)[0], b"crop")], model_id=MODEL,
            added=lambda _: lambda _: noted.append(True),
        )  # fmt: skip
    assert failed
    (person,) = galleries.people(gallery).items
    (face,) = galleries.faces(gallery, person.id).items
    assert galleries.crop(gallery, person.id, face.id) == b"crop"


def test_crops_of_an_enrollment_that_died_are_erased_later(
    galleries: Galleries, database: Database, blobs: BlobStore
) -> None:
    gallery = galleries.create("g", MODEL).id
    crops = Crops(database, blobs)
    with crops.stored(gallery, [b"crop"]):
        pass  # killed before the face was written
    assert galleries.sweep() == 0  # it may still be under way
    assert len(list(blobs.find(""))) == 1
    with database.write() as connection:
        due = connection.execute(sa.select(ERASURES.c.due_at)).scalar_one()
        connection.execute(sa.update(ERASURES).values(due_at=due - timedelta(hours=2)))
    assert galleries.sweep() == 1
    assert list(blobs.find("")) == []


def test_an_enrollment_to_a_person_that_is_gone_leaves_no_crop(
    galleries: Galleries, database: Database, blobs: BlobStore
) -> None:
    gallery = galleries.create("g", MODEL).id
    with pytest.raises(PersonNotFoundError):
        galleries.add_faces(gallery, str(uuid.uuid4()), [NewFace(unit(1)[0], b"crop")], model_id=MODEL)
    assert list(blobs.find("")) == []
    assert rows_left(database) == {"galleries": 1}


def test_crops_need_a_store(database: Database) -> None:
    galleries = Galleries(database)
    gallery = galleries.create("g", MODEL).id
    with pytest.raises(ConfigurationError):
        galleries.enroll(gallery, "a", [NewFace(unit(1)[0], b"crop")], model_id=MODEL)
    assert galleries.enroll(gallery, "a", [NewFace(unit(1)[0])], model_id=MODEL).faces == 1


def test_a_crop_lies_under_a_key_that_the_server_made(galleries: Galleries, blobs: BlobStore) -> None:
    gallery = galleries.create("../../x", MODEL).id
    galleries.enroll(gallery, "/etc/passwd", [NewFace(unit(1)[0], b"crop", "../y.png")], model_id=MODEL)
    (key,) = [info.key for info in blobs.find("")]
    prefix, owner, name = key.split("/")
    assert (prefix, owner) == ("galleries", gallery)
    assert uuid.UUID(name)


def test_no_owner_is_kept_apart_in_every_table(galleries: Galleries, database: Database) -> None:
    gallery = galleries.create("g", MODEL, owner="ada").id
    galleries.enroll(gallery, "a", [NewFace(unit(1)[0])], model_id=MODEL, owner="ada")
    with database.read() as connection:
        for table in (GALLERIES, PEOPLE, FACES):
            assert connection.execute(sa.select(table.c.owner)).scalars().all() == ["ada"]
