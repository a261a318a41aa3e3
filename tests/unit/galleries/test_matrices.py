"""The cache of matrices: bounded, exact at its bound, and shut while it changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facecraft.db.database import Database
from facecraft.galleries import deletion
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.matrices import Gate
from facecraft.galleries.records import NewFace, NewPerson

rng = np.random.default_rng(6)


def unit(count: int, dimension: int = 16) -> np.ndarray:
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(f"sqlite:///{tmp_path / 'facecraft.db'}") as opened:
        opened.migrate()
        yield opened


def filled(galleries: Galleries, vectors: np.ndarray) -> str:
    gallery = galleries.create("g", "m").id
    galleries.enroll_many(gallery, [NewPerson(str(n), [NewFace(v)]) for n, v in enumerate(vectors)], model_id="m")
    return gallery


def first(galleries: Galleries, gallery: str, vector: np.ndarray) -> str:
    return galleries.search(gallery, vector, model_id="m", top_k=1)[0][0].person.name


def test_the_least_recently_searched_gallery_makes_room(database: Database) -> None:
    vectors = unit(100)
    one_gallery = 100 * (16 * 4 + 16)
    galleries = Galleries(database, memory_bytes=2 * one_gallery)
    ids = [filled(galleries, vectors) for _ in range(3)]
    for gallery in (*ids, ids[0], ids[2]):
        assert first(galleries, gallery, vectors[42]) == "42"
        assert galleries._matrices.nbytes <= 2 * one_gallery
    assert set(galleries._matrices._residents) == {ids[0], ids[2]}


def test_a_gallery_larger_than_the_memory_is_searched_just_as_exactly(database: Database) -> None:
    vectors = unit(300)
    small, large = Galleries(database, memory_bytes=1000), Galleries(database)
    gallery = filled(large, vectors)
    probes = unit(20)
    expected = large.search(gallery, probes, model_id="m", top_k=7, threshold=0.1)
    found = small.search(gallery, probes, model_id="m", top_k=7, threshold=0.1)
    assert small._matrices.nbytes == 0
    for one, other in zip(found, expected, strict=True):
        assert [match.face_id for match in one] == [match.face_id for match in other]
        assert [m.similarity for m in one] == pytest.approx([m.similarity for m in other], abs=1e-6)


def test_a_gallery_that_outgrows_the_memory_is_still_searched(database: Database) -> None:
    galleries = Galleries(database, memory_bytes=60 * 80)
    vectors = unit(100)
    gallery = filled(galleries, vectors[:50])
    assert first(galleries, gallery, vectors[3]) == "3"
    more = [NewPerson(str(n), [NewFace(vectors[n])]) for n in range(50, 100)]
    galleries.enroll_many(gallery, more, model_id="m")
    for _ in range(3):
        assert first(galleries, gallery, vectors[77]) == "77"
    assert galleries._matrices.nbytes == 0


def test_a_matrix_that_missed_forgotten_removals_is_loaded_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "REMEMBERED_REMOVALS", 5)
    vectors = unit(60)
    writer, reader = Galleries(database), Galleries(database)
    gallery = filled(writer, vectors)
    assert first(reader, gallery, vectors[10]) == "10"
    people = [person.id for person in writer.people(gallery, limit=200).items]
    for person in people[:40]:
        writer.delete_person(gallery, person)
    assert first(reader, gallery, vectors[10]) != "10"
    matches = reader.search(gallery, vectors[10], model_id="m", top_k=100)[0]
    assert {match.person.name for match in matches} == {str(n) for n in range(40, 60)}
    assert first(writer, gallery, vectors[59]) == "59"


def test_a_gallery_deleted_elsewhere_leaves_the_memory(database: Database) -> None:
    vectors = unit(10)
    writer, reader = Galleries(database), Galleries(database)
    gallery = filled(writer, vectors)
    first(reader, gallery, vectors[0])
    assert reader._matrices.nbytes
    writer.delete(gallery)
    reader.sweep()
    assert reader._matrices.nbytes == 0


def test_deleted_vectors_leave_the_memory_at_once(database: Database) -> None:
    vectors = unit(10)
    galleries = Galleries(database)
    gallery = filled(galleries, vectors)
    first(galleries, gallery, vectors[0])
    person = galleries.people(gallery).items[4]
    galleries.delete_person(gallery, person.id)
    kept = galleries._matrices._residents[gallery].matrix
    assert kept is not None
    assert len(kept) == 9
    assert not (kept._vectors == vectors[4]).all(axis=1).any()


def test_nobody_reads_while_somebody_writes() -> None:
    gate, inside, seen = Gate(), [0], []

    def read() -> None:
        for _ in range(200):
            with gate.shared():
                before = inside[0]
                seen.append(before)
                assert inside[0] == before

    def write() -> None:
        for _ in range(50):
            with gate.exclusive():
                inside[0] = -1
                inside[0] = 0

    threads = [threading.Thread(target=work) for work in (read, read, read, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert set(seen) == {0}
