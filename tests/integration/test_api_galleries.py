"""Galleries over real HTTP, on SQLite and on Postgres, with dlib's real recognizer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from PIL import Image as Pillow

from facecraft.api.app import create_app
from facecraft.db.tables import IDEMPOTENCY
from facecraft.galleries.records import NewFace, NewPerson
from facecraft.settings import Settings
from facecraft.studio import Studio

MODEL = "dlib_resnet"
NOBODY = "01900000-0000-7000-8000-000000000000"
BASE = "/api/v1/galleries"


@pytest.fixture
def settings(models_dir: Path, tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        models_dir=models_dir,
        upload_dir=tmp_path / "uploads",
        output_dir=tmp_path / "results",
        crops_dir=tmp_path / "crops",
        database_url=database_url,
        auto_migrate=True,
        device="cpu",
        offline=True,
    )


@pytest.fixture
def own_studio(settings: Settings) -> Iterator[Studio]:
    with Studio.open(settings) as opened:
        if not opened.store.usable(MODEL):
            pytest.skip(f"{MODEL} is not installed: facecraft models install {MODEL}")
        yield opened


@pytest.fixture
def client(own_studio: Studio, settings: Settings, open_own_door: Callable[..., object]) -> httpx.Client:
    return open_own_door(own_studio, **_same(settings)).client


def _same(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.model_fields_set}


def photo(folder: Path, name: str) -> tuple[str, bytes]:
    return name, (folder / name).read_bytes()


def wall() -> tuple[str, bytes]:
    data = io.BytesIO()
    Pillow.new("RGB", (320, 240), (90, 120, 60)).save(data, "PNG")
    return "wall.png", data.getvalue()


def made(client: httpx.Client, name: str = "Staff") -> str:
    reply = client.post(BASE, json={"name": name, "model": MODEL})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def enroll(client: httpx.Client, gallery: str, name: str, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    parts = [("files", file) for file in files]
    return client.post(f"{BASE}/{gallery}/people", files=parts, data={"name": name, **fields})


def search(client: httpx.Client, gallery: str, file: tuple[str, bytes], **fields: object) -> httpx.Response:
    return client.post(f"{BASE}/{gallery}/search", files={"file": file}, data=fields)


def problem(reply: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = reply.json()
    assert body["code"] == code
    return body


def crowd(count: int, dimension: int = 128) -> NDArray[np.float32]:
    rows = np.random.default_rng(7).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_what_is_sent_again_with_its_key_is_made_once_and_no_name_is_kept_for_it(
    client: httpx.Client, own_studio: Studio, shared_photos: Path
) -> None:
    def again(key: str, path: str, **body: Any) -> Any:
        first, second = (client.post(f"{BASE}{path}", headers={"Idempotency-Key": key}, **body) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201), first.text
        assert second.headers["idempotent-replayed"] == "true"
        assert second.json() == first.json()
        return first.json()

    gallery = again("gallery", "", json={"name": "Staff", "model": MODEL})
    people = f"/{gallery['id']}/people"
    face = [("files", photo(shared_photos, "obama.jpg"))]
    person = again("person", people, files=face, data={"name": "Barack Obama", "details": '{"badge": 44}'})
    added = again("faces", f"{people}/{person['id']}/faces", files=face)
    assert len(added["items"]) == 1
    assert [one["name"] for one in client.get(BASE).json()["items"]] == ["Staff"]
    (only,) = client.get(f"{BASE}{people}").json()["items"]
    assert (only["id"], only["faces"]) == (person["id"], 2)
    with own_studio.database.read() as connection:
        kept = connection.execute(sa.select(IDEMPOTENCY.c.body)).scalars().all()
    assert len(kept) == 3
    assert not any(word in body for body in kept for word in (b"Staff", b"Barack", b"badge", b"obama"))

    client.delete(f"{BASE}{people}/{person['id']}")
    gone = client.post(
        f"{BASE}{people}", files=face, data={"name": "Barack Obama", "details": '{"badge": 44}'},
        headers={"Idempotency-Key": "person"},
    )  # fmt: skip
    assert problem(gone, 404, "person_not_found")
    refused = client.post(
        f"{BASE}{people}", files=[("files", wall())], data={"name": "Wall"}, headers={"Idempotency-Key": "wall"}
    )
    assert problem(refused, 422, "no_face_detected")
    other = client.post(f"{BASE}{people}", files=face, data={"name": "B"}, headers={"Idempotency-Key": "wall"})
    assert other.status_code == 201, "what is refused leaves no trace"


def test_a_man_is_found_among_ten_thousand_and_again_after_a_restart(
    client: httpx.Client,
    own_studio: Studio,
    settings: Settings,
    shared_photos: Path,
    open_own_door: Callable[..., object],
) -> None:
    gallery = made(client)
    enrolled = enroll(client, gallery, "Barack Obama", photo(shared_photos, "obama.jpg"), details='{"badge": 44}')
    assert enrolled.status_code == 201, enrolled.text
    person = enrolled.json()
    assert (person["model"], person["faces"], person["details"]) == (MODEL, 1, {"badge": 44})
    others = [NewPerson(f"Nobody {i}", [NewFace(vector)]) for i, vector in enumerate(crowd(10_000))]
    own_studio.galleries.enroll_many(gallery, others, model_id=MODEL)

    found = search(client, gallery, photo(shared_photos, "obama2.jpg")).json()
    assert (found["model"], found["threshold"], found["top_k"]) == (MODEL, 0.911, 5)
    assert [match["person"]["name"] for match in found["probes"][0]["matches"]] == ["Barack Obama"]
    assert 0.911 <= found["probes"][0]["matches"][0]["similarity"] <= 1
    assert found["probes"][0]["matches"][0]["person"]["id"] == person["id"]

    both = search(client, gallery, photo(shared_photos, "obama_and_biden.jpg")).json()
    assert len(both["probes"]) >= 2
    assert sum(len(probe["matches"]) for probe in both["probes"]) == 1  # Biden, and whoever stands behind, is nobody
    most = search(client, gallery, photo(shared_photos, "obama2.jpg"), threshold="-1", top_k="20").json()
    names = [match["person"]["name"] for match in most["probes"][0]["matches"]]
    assert (names[0], len(names), most["threshold"]) == ("Barack Obama", 20, -1.0)

    with Studio.open(settings) as later:
        again = open_own_door(later, **_same(settings)).client
        state = again.get(f"{BASE}/{gallery}").json()
        assert (state["people"], state["faces"], state["dimensions"]) == (10_001, 10_001, 128)
        refound = search(again, gallery, photo(shared_photos, "obama2.jpg")).json()
        assert refound["probes"] == found["probes"]


def test_deleting_leaves_neither_vector_nor_crop(
    client: httpx.Client, own_studio: Studio, settings: Settings, shared_photos: Path
) -> None:
    obama, other = photo(shared_photos, "obama.jpg"), photo(shared_photos, "obama2.jpg")
    gallery = made(client)
    person = enroll(client, gallery, "Barack", obama).json()["id"]
    place = f"{BASE}/{gallery}/people/{person}/faces"
    added = client.post(place, files=[("files", other)])
    assert added.status_code == 201, added.text
    assert [(face["source"], face["has_crop"], face["model"]) for face in added.json()["items"]] == [
        ("obama2.jpg", True, MODEL)
    ]
    faces = client.get(place).json()["items"]
    assert [face["source"] for face in faces] == ["obama.jpg", "obama2.jpg"]
    crop = client.get(f"{place}/{faces[0]['id']}/crop")
    assert (crop.headers["content-type"], crop.headers["cache-control"]) == ("image/jpeg", "no-store")
    assert Pillow.open(io.BytesIO(crop.content)).size == (256, 256)
    assert len(files_in(settings.crops_dir)) == 2
    vector = own_studio.embed(other[1]).vectors[0].astype("<f4")

    assert client.delete(f"{place}/{faces[1]['id']}").status_code == 204
    problem(client.get(f"{place}/{faces[1]['id']}/crop"), 404, "enrolled_face_not_found")
    assert len(files_in(settings.crops_dir)) == 1
    if settings.database_file is not None:
        assert vector.tobytes()[:64] not in settings.database_file.read_bytes()
    assert client.delete(f"{BASE}/{gallery}/people/{person}").status_code == 204
    assert files_in(settings.crops_dir) == []
    assert [probe["matches"] for probe in search(client, gallery, obama).json()["probes"]] == [[]]

    enroll(client, gallery, "Barack", obama)
    assert client.delete(f"{BASE}/{gallery}").status_code == 204
    problem(client.get(f"{BASE}/{gallery}"), 404, "gallery_not_found")
    assert files_in(settings.crops_dir) == []


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_one_file_without_a_face_enrolls_nobody_and_is_named(
    client: httpx.Client, settings: Settings, shared_photos: Path
) -> None:
    gallery, good = made(client), photo(shared_photos, "obama.jpg")
    body = problem(enroll(client, gallery, "Barack", good, wall()), 422, "no_face_detected")
    assert "picture 2 (wall.png)" in str(body["detail"])
    two = problem(enroll(client, gallery, "Who", photo(shared_photos, "obama_and_biden.jpg")), 422, "several_faces")
    assert "obama_and_biden.jpg" in str(two["detail"])
    problem(enroll(client, gallery, "Who", good, faces="all"), 422, "invalid_request")
    problem(enroll(client, gallery, "Who", ("x.jpg", b"not a picture")), 415, "unsupported_format")
    assert client.get(f"{BASE}/{gallery}/people").json() == {"model": MODEL, "items": [], "cursor": None}
    assert files_in(settings.crops_dir) == []

    person = enroll(client, gallery, "Barack", good, keep_crops="false").json()
    place = f"{BASE}/{gallery}/people/{person['id']}/faces"
    problem(client.post(place, files=[("files", good), ("files", wall())]), 422, "no_face_detected")
    (face,) = client.get(place).json()["items"]
    assert face["has_crop"] is False
    problem(client.get(f"{place}/{face['id']}/crop"), 404, "enrolled_face_not_found")
    problem(search(client, gallery, wall()), 422, "no_face_detected")


def test_lists_have_cursors(client: httpx.Client, own_studio: Studio) -> None:
    ids = [made(client, f"g{i}") for i in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        page = client.get(BASE, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        assert all(item["model"] == MODEL for item in page["items"])
        if (cursor := page["cursor"]) is None:
            break
    assert seen == ids
    own_studio.galleries.enroll_many(ids[0], [NewPerson(f"p{i}") for i in range(3)], model_id=MODEL)
    first = client.get(f"{BASE}/{ids[0]}/people", params={"limit": 2}).json()
    rest = client.get(f"{BASE}/{ids[0]}/people", params={"limit": 2, "cursor": first["cursor"]}).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["p0", "p1", "p2"]
    assert rest["cursor"] is None
    problem(client.get(BASE, params={"cursor": "../etc"}), 422, "invalid_option")
    problem(client.get(BASE, params={"limit": 201}), 422, "invalid_request")


def test_names_and_details_are_taken_as_they_are_or_refused(client: httpx.Client, shared_photos: Path) -> None:
    gallery, file = made(client, "  Ł'); DROP TABLE people;-- <script>  "), photo(shared_photos, "obama.jpg")
    assert client.get(f"{BASE}/{gallery}").json()["name"] == "Ł'); DROP TABLE people;-- <script>"
    renamed = client.patch(f"{BASE}/{gallery}", json={"name": "職員 👩🏽‍🚀"})
    assert renamed.json()["name"] == "職員 👩🏽‍🚀"
    person = enroll(client, gallery, "../../etc/passwd\u202e", ("../../a\\b\x01c.jpg", file[1])).json()
    assert person["name"] == "../../etc/passwd\u202e"
    place = f"{BASE}/{gallery}/people/{person['id']}"
    assert client.get(f"{place}/faces").json()["items"][0]["source"] is not None
    for name in ("", "   ", "a\x00b", "x" * 301, "line\nbreak"):
        problem(client.patch(place, json={"name": name}), 422, "invalid_option")
        problem(client.post(BASE, json={"name": name, "model": MODEL}), 422, "invalid_option")
    assert (
        client.patch(place, content=b'{"name": "\\ud800"}', headers={"content-type": "application/json"}).status_code
        == 422
    )
    problem(client.patch(place, json={"nome": "x"}), 422, "invalid_request")
    for details in ("[1]", "nonsense", '{"a": NaN}', '{"a": "\\u0000"}', "[" * 60_000, json.dumps({"a": "x" * 5000})):
        problem(enroll(client, gallery, "P", file, details=details), 422, "invalid_option")
    changed = client.patch(place, json={"details": {"tags": ["a", None, 1.5]}}).json()
    assert (changed["name"], changed["details"]) == ("../../etc/passwd\u202e", {"tags": ["a", None, 1.5]})
    assert changed == client.get(place).json()
    too_long = client.patch(place, json={"details": {"a": "x" * 2_000_000}})
    problem(too_long, 413, "upload_too_large")


def test_what_does_not_exist_is_not_found(client: httpx.Client, shared_photos: Path) -> None:
    gallery, file = made(client), photo(shared_photos, "obama.jpg")
    for identifier in (NOBODY, "1", "..%2f..%2fetc", "%00", "'; --", "x" * 300):
        _check_missing(client, gallery, identifier, file)


def _check_missing(client: httpx.Client, gallery: str, identifier: str, file: tuple[str, bytes]) -> None:
    for method, place in (
        ("GET", f"{BASE}/{identifier}"),
        ("DELETE", f"{BASE}/{identifier}"),
        ("GET", f"{BASE}/{identifier}/people"),
        ("GET", f"{BASE}/{gallery}/people/{identifier}"),
        ("DELETE", f"{BASE}/{gallery}/people/{identifier}"),
        ("GET", f"{BASE}/{gallery}/people/{identifier}/faces"),
        ("DELETE", f"{BASE}/{gallery}/people/{identifier}/faces/{identifier}"),
        ("GET", f"{BASE}/{gallery}/people/{identifier}/faces/{identifier}/crop"),
    ):
        assert client.request(method, place).status_code == 404, place
    assert client.patch(f"{BASE}/{gallery}/people/{identifier}", json={"name": "x"}).status_code == 404
    assert client.post(f"{BASE}/{identifier}/search", files={"file": file}).status_code == 404
    parts = [("files", file)]
    assert client.post(f"{BASE}/{identifier}/people", files=parts, data={"name": "x"}).status_code == 404


def test_vectors_are_searched_and_those_of_another_model_refused(client: httpx.Client, own_studio: Studio) -> None:
    gallery, rows = made(client), crowd(20)
    own_studio.galleries.enroll_many(
        gallery, [NewPerson(f"p{i}", [NewFace(row)]) for i, row in enumerate(rows)], model_id=MODEL
    )
    place = f"{BASE}/{gallery}/search"
    sent = {"model": MODEL, "vectors": [(3 * rows[4]).tolist(), rows[9].tolist()]}
    reply = client.post(place, json=sent)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert [[match["person"]["name"] for match in probe["matches"]] for probe in body["probes"]] == [["p4"], ["p9"]]
    assert (body["model"], body["threshold"], body["probes"][0]["face"]) == (MODEL, 0.911, None)
    assert body["probes"][0]["matches"][0]["similarity"] == pytest.approx(1, abs=1e-4)

    other = problem(client.post(place, json={**sent, "model": "sface"}), 422, "embedding_mismatch")
    assert other["hint"]
    problem(client.post(place, json={"model": MODEL, "vectors": [[1.0, 2.0]]}), 422, "embedding_mismatch")
    problem(client.post(place, json={"model": MODEL, "vectors": [[0.0] * 128]}), 422, "invalid_option")
    for vectors in ([], [[]], [[1.0], [1.0, 2.0]], [["x"]], "x", [[1.0] * 128] * 257):
        problem(client.post(place, json={"model": MODEL, "vectors": vectors}), 422, "invalid_request")
    nan = client.post(place, content='{"model": "x", "vectors": [[NaN]]}', headers={"content-type": "application/json"})
    problem(nan, 422, "invalid_request")
    assert client.post(place, content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    problem(client.post(place, json={**sent, "top_k": 0}), 422, "invalid_request")


def test_a_gallery_needs_a_recognizer_that_is_here(client: httpx.Client) -> None:
    body = problem(client.post(BASE, json={"name": "x", "model": "sface"}), 503, "model_not_installed")
    assert "facecraft models install" in str(body["hint"])
    problem(client.post(BASE, json={"name": "x", "model": "nonsense"}), 404, "unknown_model")
    problem(client.post(BASE, json={"name": "x", "model": "blazeface_short"}), 422, "invalid_option")
    assert client.post(BASE, json={"name": "x"}).json()["model"] == MODEL


def test_the_document_tells_of_every_endpoint(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("models_dir", "upload_dir", "output_dir", "crops_dir")}
    paths = create_app(Settings(**folders)).openapi()["paths"]  # type: ignore[arg-type]
    mine = {path: set(item) for path, item in paths.items() if path.startswith(BASE)}
    face = f"{BASE}/{{gallery_id}}/people/{{person_id}}/faces"
    assert mine == {
        BASE: {"get", "post"},
        f"{BASE}/{{gallery_id}}": {"get", "patch", "delete"},
        f"{BASE}/{{gallery_id}}/people": {"get", "post"},
        f"{BASE}/{{gallery_id}}/people/{{person_id}}": {"get", "patch", "delete"},
        face: {"get", "post"},
        f"{face}/{{face_id}}": {"delete"},
        f"{face}/{{face_id}}/crop": {"get"},
        f"{BASE}/{{gallery_id}}/search": {"post"},
    }
    content = paths[f"{BASE}/{{gallery_id}}/search"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}


def test_no_folder_of_crops_is_made_before_a_gallery_is_used(open_own_door: Callable[..., object]) -> None:
    door = open_own_door()
    assert door.client.get("/health").status_code == 200
    assert not door.settings.crops_dir.exists()
    assert door.client.get("/api/v1/galleries").json() == {"items": [], "cursor": None}
    assert door.settings.crops_dir.exists()
