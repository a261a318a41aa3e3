"""The face endpoints over real HTTP: real detectors and recogniser, tiny graphs where weights cannot be had."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.imaging import codecs
from facecraft.imaging.image import Image
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import SwapPresetOptions
from facecraft.studio import Studio
from services.tiny_networks import tiny_studio

Open = Callable[..., object]
NOTE = b"compositeWithTrainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Studio]:
    with tiny_studio(tmp_path_factory.mktemp("tiny"), models_dir) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(open_door: Open, tiny: Studio) -> httpx.Client:
    return open_door(tiny).client


@pytest.fixture(scope="module")
def bare(door: object) -> httpx.Client:
    """A server without any model."""
    return door.client


@pytest.fixture(scope="module")
def photos(shared_photos: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in shared_photos.glob("*.jpg")}


@pytest.fixture(scope="module")
def blank() -> bytes:
    return codecs.encode_png(np.full((120, 160, 3), 127, np.uint8))


def _post(client: httpx.Client, path: str, files: dict[str, bytes], **fields: object) -> httpx.Response:
    accept = fields.pop("accept", None)
    headers = {"Accept": str(accept)} if accept else {}
    named = {name: (f"{name}.jpg", data) for name, data in files.items()}
    return client.post(path, files=named, data=fields, headers=headers)


def _code(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status_code, reply.json()["code"]


# --- detect, attributes ------------------------------------------------------------------------------------------------


def test_detect_tells_boxes_in_pixels_and_fractions_and_the_pose(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _post(client, "/api/v1/faces/detect", {"file": portrait_jpeg}).json()
    (face,) = body["faces"]
    box = face["box"]
    assert 140 < box["x"] < 210
    assert box["normalized"][0] == pytest.approx(box["x"] / 512, abs=1e-4)
    assert box["normalized"][2] == pytest.approx((box["x"] + box["width"]) / 512, abs=1e-4)
    assert len(face["landmarks"]) == 5
    assert abs(face["roll"]) < 15
    assert abs(face["yaw"]) < 20
    assert abs(face["pitch"]) < 30
    assert face["attributes"] is face["quality"] is None
    assert body["source"]["name"] == "file.jpg"


def test_a_mirrored_face_looks_the_other_way(client: httpx.Client, photos: dict[str, bytes]) -> None:
    picture = Pillow.open(io.BytesIO(photos["obama2"])).convert("RGB")
    mirrored = codecs.encode_png(np.ascontiguousarray(np.asarray(picture)[:, ::-1]))
    (here,) = _post(client, "/api/v1/faces/detect", {"file": photos["obama2"]}).json()["faces"]
    (there,) = _post(client, "/api/v1/faces/detect", {"file": mirrored}).json()["faces"]
    assert abs(here["yaw"]) > 8
    assert there["yaw"] == pytest.approx(-here["yaw"], abs=4)
    assert there["pitch"] == pytest.approx(here["pitch"], abs=4)


def test_attributes_and_quality_come_when_asked(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _post(client, "/api/v1/faces/detect", {"file": portrait_jpeg}, attributes=True, quality=True).json()
    (face,) = body["faces"]
    assert (face["attributes"]["sex"], face["attributes"]["age"]) == ("female", 30)
    assert face["quality"] == 0.5
    assert body["models"]["face_attributes"] == "insightface_genderage"
    (same,) = _post(client, "/api/v1/faces/attributes", {"file": portrait_jpeg}).json()["faces"]
    assert same["attributes"] == face["attributes"]
    assert same["quality"] is None


def test_only_chosen_faces_are_judged(client: httpx.Client, photos: dict[str, bytes]) -> None:
    files = {"file": photos["obama_and_biden"]}
    body = _post(client, "/api/v1/faces/attributes", files, faces="index", face_index=1).json()
    assert [face["chosen"] for face in body["faces"]].index(True) == 1
    assert [face["index"] for face in body["faces"] if face["attributes"]] == [1]


def test_a_picture_without_faces_is_an_empty_list(client: httpx.Client, blank: bytes) -> None:
    assert _post(client, "/api/v1/faces/detect", {"file": blank}).json()["faces"] == []
    assert _post(client, "/api/v1/faces/attributes", {"file": blank}).json()["faces"] == []


@pytest.mark.parametrize("wish", ["attributes", "quality"])
def test_a_guess_without_a_model_is_503_with_the_command(bare: httpx.Client, portrait_jpeg: bytes, wish: str) -> None:
    reply = _post(bare, "/api/v1/faces/detect", {"file": portrait_jpeg}, **{wish: True})
    assert _code(reply) == (503, "model_not_installed")
    assert reply.json()["hint"].startswith("facecraft models install")


# --- embeddings, compare -------------------------------------------------------------------------------------------------


def test_embeddings_are_unit_vectors_with_their_model(client: httpx.Client, photos: dict[str, bytes]) -> None:
    body = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama_and_biden"]}).json()
    assert (body["model"], body["dimensions"], body["threshold"]) == ("dlib_resnet", 128, 0.911)
    vectors = np.array([face["embedding"] for face in body["faces"]])
    assert vectors.shape[0] >= 2
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    one = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama_and_biden"]}, faces="largest").json()
    assert len(one["faces"]) == 1


def test_no_face_is_an_error_for_embeddings(client: httpx.Client, blank: bytes, photos: dict[str, bytes]) -> None:
    assert _code(_post(client, "/api/v1/faces/embeddings", {"file": blank})) == (422, "no_face_detected")
    reply = _post(client, "/api/v1/faces/compare", {"first": photos["obama"], "second": blank})
    assert _code(reply) == (422, "no_face_detected")
    assert "second picture" in reply.json()["detail"]


def test_two_photos_of_one_man_match_and_another_man_does_not(client: httpx.Client, photos: dict[str, bytes]) -> None:
    same = _post(client, "/api/v1/faces/compare", {"first": photos["obama"], "second": photos["obama2"]}).json()
    assert same["match"] is True
    assert same["best"] >= same["threshold"] == 0.911
    assert same["false_match_rate"] is None
    group = {"first": photos["obama"], "second": photos["obama_and_biden"]}
    body = _post(client, "/api/v1/faces/compare", group, faces="all").json()
    (row,) = body["matches"]
    assert row.count(True) == 1
    assert len(body["similarity"][0]) == len(body["second"]["faces"]) == len(row)
    other = row.index(False)
    biden = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama_and_biden"]}).json()["faces"][other]
    assert body["similarity"][0][other] < 0.9
    assert biden["index"] == body["second"]["faces"][other]["index"]


def test_the_threshold_can_be_chosen(client: httpx.Client, photos: dict[str, bytes]) -> None:
    pair = {"first": photos["obama"], "second": photos["obama2"]}
    body = _post(client, "/api/v1/faces/compare", pair, threshold=0.99).json()
    assert (body["match"], body["threshold"], body["matches"]) == (False, 0.99, [[False]])
    assert _code(_post(client, "/api/v1/faces/compare", pair, threshold=2)) == (422, "invalid_request")


def test_a_recogniser_can_be_chosen_and_must_be_one(client: httpx.Client, photos: dict[str, bytes]) -> None:
    pair = {"first": photos["obama"], "second": photos["obama2"]}
    body = _post(client, "/api/v1/faces/compare", pair, embedder="arcface_w600k_r50").json()
    assert (body["model"], body["threshold"]) == ("arcface_w600k_r50", 0.38)
    reply = _post(client, "/api/v1/faces/compare", pair, embedder="blazeface_short")
    assert _code(reply) == (422, "invalid_option")


# --- swap, restore, upscale ------------------------------------------------------------------------------------------------


def test_swap_needs_consent_at_every_endpoint(client: httpx.Client, portrait_jpeg: bytes) -> None:
    for path in ("/api/v1/swap", "/api/v1/faces/swap"):
        pair = {"file": portrait_jpeg, "source": portrait_jpeg}
        assert _code(_post(client, path, pair)) == (403, "consent_required")
        assert _code(_post(client, path, {"file": portrait_jpeg}, consent=True)) == (422, "invalid_request")
    pair = {"target": portrait_jpeg, "source": portrait_jpeg}
    assert _code(_post(client, "/swap", pair)) == (403, "consent_required")
    pipeline = Pipeline.of(**{s.stage: s.options for s in SwapPresetOptions().pipeline().steps}).model_dump_json()
    reply = _post(client, "/api/v1/pipelines/run", {"file": portrait_jpeg, "source": portrait_jpeg}, pipeline=pipeline)
    assert _code(reply) == (403, "consent_required")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_swapped_picture_says_so_and_no_other_picture_says_anything(
    client: httpx.Client, portrait_jpeg: bytes, photos: dict[str, bytes], kind: str
) -> None:
    pair = {"file": portrait_jpeg, "source": photos["obama"]}
    swapped = _post(client, "/api/v1/faces/swap", pair, consent=True, accept=f"image/{kind}")
    assert swapped.status_code == 200, swapped.text
    assert NOTE in swapped.content
    assert Pillow.open(io.BytesIO(swapped.content)).info["xmp"]
    asked_not_to = _post(client, "/api/v1/faces/swap", pair, consent=True, provenance=False, accept=f"image/{kind}")
    paths = ("/api/v1/faces/restore", "/api/v1/faces/upscale", "/api/v1/portrait", "/api/v1/cutout")
    others = [_post(client, path, {"file": portrait_jpeg}, accept=f"image/{kind}") for path in paths]
    for unmarked in (asked_not_to, *others):
        assert unmarked.status_code == 200, unmarked.text
        assert NOTE not in unmarked.content
        assert b"adobe:ns:meta" not in unmarked.content
        assert not {"xmp", "exif", "icc_profile", "comment"} & set(Pillow.open(io.BytesIO(unmarked.content)).info)


def test_a_swap_reports_who_it_shows(client: httpx.Client, portrait_jpeg: bytes, photos: dict[str, bytes]) -> None:
    body = _post(client, "/api/v1/faces/swap", {"file": portrait_jpeg, "source": photos["obama"]}, consent=True).json()
    (identity,) = body["report"]["identity"]
    assert (identity["stage"], identity["model"]) == ("swap", "arcface_w600k_r50")
    assert body["report"]["models"]["face_swap"] == "inswapper_128"
    assert client.get(body["artifacts"][0]["url"]).content[:4] == b"\x89PNG"


def test_swapping_can_be_switched_off_everywhere(open_door: Open, tiny: Studio, portrait_jpeg: bytes) -> None:
    settings = tiny.settings.model_copy(update={"swap_enabled": False})
    client = open_door(Studio(settings, tiny.store, tiny.pool, tiny.device), swap_enabled=False).client
    pair = {"file": portrait_jpeg, "source": portrait_jpeg}
    for path in ("/api/v1/swap", "/api/v1/faces/swap"):
        assert _code(_post(client, path, pair, consent=True)) == (403, "swap_disabled")
    legacy = {"target": portrait_jpeg, "source": portrait_jpeg}
    assert _code(_post(client, "/swap", legacy, consent=True)) == (403, "swap_disabled")
    steps = SwapPresetOptions(consent=True).pipeline().steps
    pipeline = Pipeline.of(**{s.stage: s.options for s in steps}).model_dump_json()
    reply = _post(client, "/api/v1/pipelines/run", pair, pipeline=pipeline)
    assert _code(reply) == (403, "swap_disabled")
    assert _post(client, "/api/v1/faces/detect", {"file": portrait_jpeg}).status_code == 200


def test_restore_and_upscale_stand_at_both_addresses(client: httpx.Client, portrait_jpeg: bytes) -> None:
    for prefix in ("/api/v1", "/api/v1/faces"):
        large = _post(client, f"{prefix}/upscale", {"file": portrait_jpeg}, upscale=1.5, accept="image/png")
        assert Pillow.open(io.BytesIO(large.content)).size == (768, 768)
        restored = _post(client, f"{prefix}/restore", {"file": portrait_jpeg}, identity="off").json()
        assert restored["report"]["models"]["face_restoration"] == "ff_gfpgan_1_4"


def test_without_a_model_the_answer_is_the_command(bare: httpx.Client, portrait_jpeg: bytes) -> None:
    pair = {"file": portrait_jpeg, "source": portrait_jpeg}
    for path, files, more in (
        ("/api/v1/faces/swap", pair, {"consent": True}),
        ("/api/v1/faces/embeddings", {"file": portrait_jpeg}, {}),
        ("/api/v1/faces/compare", {"first": portrait_jpeg, "second": portrait_jpeg}, {}),
        ("/recognition/embedding", {"file": portrait_jpeg}, {}),
        ("/swap", {"source": portrait_jpeg, "target": portrait_jpeg}, {"consent": True}),
    ):
        reply = _post(bare, path, files, **more)
        assert _code(reply) == (503, "model_not_installed"), path
        assert reply.json()["hint"].startswith("facecraft models install"), path


# --- the originals' paths -----------------------------------------------------------------------------------------------


def test_the_original_embedding_endpoint(client: httpx.Client, photos: dict[str, bytes], blank: bytes) -> None:
    body = _post(client, "/recognition/embedding", {"file": photos["obama"]}).json()
    assert np.linalg.norm(body["embedding"]) == pytest.approx(1, abs=1e-5)
    (face,) = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama"]}).json()["faces"]
    assert body["embedding"] == face["embedding"]
    assert _code(_post(client, "/recognition/embedding", {"file": blank})) == (422, "no_face_detected")
    assert _code(_post(client, "/recognition/embedding", {"file": b"not a picture"}))[0] == 415


def test_colours_reach_the_recogniser_in_their_order(client: httpx.Client, astronaut: Image) -> None:
    """The graph answers the mean colour that it saw: a red tint must be its first number."""
    red = astronaut.rgb.copy()
    red[..., 1:] //= 4
    body = _post(
        client, "/api/v1/faces/embeddings", {"file": codecs.encode_png(red)}, embedder="arcface_w600k_r50"
    ).json()
    first, second, third = body["faces"][0]["embedding"][:3]
    assert first > second + 0.1
    assert first > third + 0.1


def test_the_original_swap_endpoint(client: httpx.Client, photos: dict[str, bytes], blank: bytes) -> None:
    pair = {"source": photos["obama"], "target": photos["obama2"]}
    reply = _post(client, "/swap", pair, consent=True)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert NOTE in reply.content
    target = Pillow.open(io.BytesIO(photos["obama2"]))
    swapped = np.asarray(Pillow.open(io.BytesIO(reply.content)).convert("RGB")).astype(int)
    assert swapped.shape[:2] == target.size[::-1]
    changed = np.abs(swapped - np.asarray(target.convert("RGB"))).max(axis=2) > 40
    assert 0.001 < changed.mean() < 0.5
    for broken in ("source", "target"):
        reply = _post(client, "/swap", {**pair, broken: blank}, consent=True)
        assert _code(reply) == (422, "no_face_detected")
        assert broken in reply.json()["detail"]


def test_the_original_detect_endpoint(client: httpx.Client, portrait_jpeg: bytes, blank: bytes) -> None:
    body = _post(client, "/api/detect-faces", {"file": portrait_jpeg}).json()
    assert set(body) == {"success", "faces_count", "faces", "image_size"}
    assert (body["success"], body["faces_count"]) == (True, 1)
    assert body["image_size"] == {"width": 512, "height": 512}
    assert set(body["faces"][0]) == {"id", "x", "y", "width", "height", "confidence"}
    assert _post(client, "/api/detect-faces", {"file": blank}).json()["faces"] == []


# --- models ------------------------------------------------------------------------------------------------------------


def test_health_and_status_list_every_model(client: httpx.Client, portrait_jpeg: bytes) -> None:
    _post(client, "/recognition/embedding", {"file": portrait_jpeg})
    models = client.get("/health").json()["models"]
    assert set(models.values()) <= {"absent", "installed", "loading", "ready", "failed"}
    assert models["dlib_resnet"] == "ready"
    status = client.get("/status").json()["catalog"]
    assert {record["id"]: record["condition"] for record in status} == client.get("/health").json()["models"]


def test_health_tells_what_is_absent_and_what_is_damaged(open_door: Open, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "face_recognition_sface_2021dec.onnx").write_bytes(b"not the network")
    models = open_door(models_dir=tmp_path / "models").client.get("/health").json()["models"]
    assert (models["sface"], models["dlib_resnet"]) == ("failed", "absent")


@pytest.mark.parametrize(("policy", "accepted", "status"), [
    ("any-accepted", False, 403), ("any-accepted", True, 200), ("commercial", True, 403),
])  # fmt: skip
def test_the_licence_policy_decides_over_http(  # noqa: PLR0917
    open_door: Open,
    tmp_path: Path,
    models_dir: Path,
    photos: dict[str, bytes],
    policy: str,
    accepted: bool,
    status: int,
) -> None:
    restricted = {"arcface_w600k_r50": False}
    with tiny_studio(tmp_path, models_dir, commercial=restricted, license_policy=policy) as studio:
        if accepted:
            license_text = studio.store.catalog.get("arcface_w600k_r50").license
            ledger = json.dumps({"arcface_w600k_r50": {"license": license_text}})
            (studio.store.root / "licenses.json").write_text(ledger)
        client = open_door(studio).client
        reply = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama"]}, embedder="arcface_w600k_r50")
        assert reply.status_code == status
        if status == 403:
            assert _code(reply) == (403, "license_not_accepted")
        auto = _post(client, "/api/v1/faces/embeddings", {"file": photos["obama"]}).json()
        assert auto["model"] == "dlib_resnet"
