"""Hostile and broken uploads over real HTTP: a clear error, nothing left behind, and the server goes on."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from uuid import UUID

from PIL import Image as Pillow

from facecraft.studio import Studio

MIB = 1024 * 1024


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def _jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def _tiny(kind: str) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (1, 1), (9, 9, 9)).save(buffer, kind)
    return buffer.getvalue()


HOSTILE = {
    "empty": (b"", 422, "empty_input"),
    "text": (b"I am no picture at all.\n" * 20, 415, "unsupported_format"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415, "unsupported_format"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 415, "unsupported_format"),
    "bomb png": (_png_header(30_000, 30_000), 413, "image_too_large"),
    "200 megapixels": (_jpeg_header(20_000, 10_000), 413, "image_too_large"),
    "cut png": (_tiny("PNG")[:40], 422, "image_unreadable"),
    "cut jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", 422, "image_unreadable"),
    "zeros": (b"\0" * 100, 415, "unsupported_format"),
}


def test_hostile_pictures_are_problems_and_the_server_goes_on(door: object) -> None:
    paths = ("process", "process/quick", "portrait", "cutout", "detect")
    for path, (what, (data, status, code)) in product(paths, HOSTILE.items()):
        reply = door.client.post(f"/api/v1/{path}", files={"file": ("holiday.jpg", data, "image/jpeg")})
        assert (reply.status_code, reply.json()["code"]) == (status, code), (path, what)
        assert reply.headers["content-type"] == "application/problem+json"
    assert door.client.get("/health").status_code == 200
    assert not list(door.settings.upload_dir.iterdir())
    assert not [each for each in door.settings.output_dir.rglob("*") if each.is_file()]


def test_one_pixel_has_no_face(open_door: Callable[..., object], studio: Studio) -> None:
    client = open_door(studio).client
    reply = client.post("/api/v1/process", files={"file": ("dot.png", _tiny("PNG"))})
    assert (reply.status_code, reply.json()["error"]) == (422, "no_face_detected")


def test_the_bytes_decide_and_not_their_label(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    client = open_door(studio).client
    for name, kind in (("virus.exe", "application/x-msdownload"), ("page.html", "text/html"), ("x.png", "image/png")):
        reply = client.post("/api/v1/detect", files={"file": (name, portrait_jpeg, kind)})
        assert reply.status_code == 200
        assert reply.json()["source"]["format"] == "jpeg"


NAMES = [
    "../../../../tmp/facecraft-escaped.png",
    "..\\..\\windows\\system32\\evil.png",
    "/etc/passwd",
    "a\x00b.png",
    "CON",
    "x" * 3000,
    "\u202egnp.exe",
    'quote".png\r\nX-Evil: 1',
    "💥.png",
    "",
    ".",
]


def test_hostile_names_are_words_and_never_paths(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio)
    files = [("files", (name or "%", portrait_jpeg)) for name in NAMES]
    data = {"width": 64, "height": 64, "return_base64": "false"}
    reply = door.client.post("/api/v1/process/batch", files=files, data=data)
    assert reply.status_code == 200
    assert reply.json()["successful"] == len(NAMES)
    assert "x-evil" not in reply.headers
    written = [path for path in door.settings.output_dir.rglob("*") if path.is_file()]
    assert len(written) == 3 * len(NAMES)
    for path in written:
        assert str(UUID(path.name)) == path.name  # keys are the server's own
    top = door.settings.output_dir.parent
    assert {path.name for path in top.iterdir()} <= {
        "models", "uploads", "results", "facecraft.db", "facecraft.db-wal", "facecraft.db-shm",
    }  # fmt: skip
    fetched = door.client.get(reply.json()["results"][0]["download_url"])
    assert "escaped" not in fetched.headers["content-disposition"]


def test_a_file_over_the_limit_is_refused(open_door: Callable[..., object]) -> None:
    door = open_door(max_upload_size_mb=1)
    for path in ("process", "portrait", "process/batch"):
        field = "files" if path.endswith("batch") else "file"
        reply = door.client.post(f"/api/v1/{path}", files={field: ("a.jpg", b"x" * (MIB + 1))})
        assert (reply.status_code, reply.json()["code"]) == (413, "upload_too_large")
    reply = door.client.post("/api/v1/portrait", files={"file": ("a.jpg", b"x" * MIB)})
    assert reply.json()["code"] == "unsupported_format"  # exactly at the limit it is looked at
    assert not list(door.settings.upload_dir.iterdir())


def test_an_announced_flood_is_refused_before_it_is_sent(open_door: Callable[..., object]) -> None:
    door = open_door(max_upload_size_mb=1)
    for announced in (b"5000000", b"9" * 40):
        head = b"POST /api/v1/portrait HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as line:
            line.sendall(head + b"Content-Length: " + announced + b"\r\n\r\n")
            reply = line.recv(65536)
        assert reply.split(b"\r\n")[0].split()[1] in (b"413", b"400")
    assert door.client.get("/health").status_code == 200


def test_a_flood_of_unknown_length_is_refused_while_it_comes(open_door: Callable[..., object]) -> None:
    door = open_door(max_upload_size_mb=1)
    sent = 0

    def flood() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="junk"; filename="a"\r\n\r\n'
        for _ in range(4000):
            sent += 65536
            yield b"x" * 65536

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = door.client.post("/api/v1/portrait", content=flood(), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (413, "upload_too_large")
    assert sent < 40 * MIB  # of 250: the socket's buffers and a moment's patience, not the flood
    assert door.client.get("/health").status_code == 200


def test_a_batch_of_five_hundred_is_refused_at_the_first_too_many(open_door: Callable[..., object]) -> None:
    door = open_door()
    files = [("files", (f"{number}.jpg", b"x")) for number in range(500)]
    reply = door.client.post("/api/v1/process/batch", files=files)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_many_files")
    assert "50" in reply.json()["detail"]
    limit = open_door(batch_max_files=2).client
    assert limit.post("/api/v1/process/batch", files=files[:3]).status_code == 413
    assert limit.post("/api/v1/process/batch", files=files[:2]).status_code == 200


def test_out_of_range_options_are_refused(door: object) -> None:
    client = door.client
    bad = {
        "portrait": [("width", "63"), ("width", "4097"), ("height", "-1"), ("face_margin", "nan"), ("fidelity", "inf"),
                     ("jpeg_max_kb", "1e99"), ("fill", "url(x)"), ("shape", "star"), ("face_index", "99999999999999999999"),
                     ("formats", "png,exe"), ("formats", "png,jpeg,webp,avif,png,gif"), ("dpi", "0")],
        "process": [("width", "0"), ("background_r", "256"), ("face_margin", "1.01"), ("use_oval_mask", "perhaps")],
        "process/quick": [("size", "100000")],
    }  # fmt: skip
    for path, fields in bad.items():
        for name, value in fields:
            reply = client.post(f"/api/v1/{path}", files={"file": b"x"}, data={name: value})
            assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request"), (path, name, value)
            assert reply.json()["errors"][0]["field"].split(".")[0] == name


def test_broken_forms_are_problems(door: object) -> None:
    client = door.client
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    cases = [
        (b"garbage", form, 400, "malformed_form", "boundary"),
        (b"--b\r\n\r\nno disposition\r\n--b--", form, 400, "malformed_form", "Content-Disposition"),
        (b"", {"Content-Type": "multipart/form-data"}, 400, "malformed_form", "Missing boundary"),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\rb.jpg"\r\n\r\nx\r\n--b--', form, 400, "malformed_form", "header"),
        (b"{}", {"Content-Type": "application/json"}, 415, "form_expected", "form"),
        (b"file=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "form_expected", "form"),
        (b'--b\r\nContent-Disposition: form-data; name="width"\r\n\r\n' + b"9" * 100_000 + b"\r\n--b--\r\n", form, 413, "field_too_large", "64 KiB"),
        (b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % n for n in range(999)) + b"--b--\r\n", form, 413, "too_many_fields", "200 fields"),
    ]  # fmt: skip
    for content, headers, status, code, reason in cases:
        reply = client.post("/api/v1/portrait", content=content, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (status, code), (content[:60], reply.text)
        assert reason in reply.json()["detail"]
        assert reply.json()["hint"]
        assert reply.headers["content-type"] == "application/problem+json"
    assert client.post("/api/v1/portrait", data={"file": "text"}, files={"x": b"x"}).status_code == 422
    assert client.get("/health").status_code == 200


def _begin(port: int, announced: int, sent: int) -> socket.socket:
    head = (
        "POST /api/v1/portrait HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {announced}\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    )
    line = socket.create_connection(("127.0.0.1", port), timeout=10)
    line.sendall(head.encode() + b"x" * sent)
    return line


def _wait(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_client_gone_in_the_middle_leaves_nothing(door: object) -> None:
    bench = door.app.state.services.bench
    with _begin(door.port, announced=10 * MIB, sent=3 * MIB):
        assert _wait(lambda: bench.inside == 1)
    assert _wait(lambda: bench.inside == 0)
    assert not list(door.settings.upload_dir.iterdir())
    assert door.client.get("/health").status_code == 200


def test_beyond_the_line_the_server_says_busy(open_door: Callable[..., object]) -> None:
    door = open_door(max_concurrent_jobs=1, max_queued_jobs=0)
    with _begin(door.port, announced=MIB, sent=10):
        assert _wait(lambda: door.app.state.services.bench.inside == 1)
        reply = door.client.post("/api/v1/portrait", files={"file": b"x"})
        assert (reply.status_code, reply.json()["code"]) == (429, "busy")
        assert int(reply.headers["retry-after"]) > 0
        assert door.client.get("/health").status_code == 200
    assert _wait(lambda: door.app.state.services.bench.inside == 0)
    assert door.client.post("/api/v1/portrait", files={"file": b"x"}).status_code == 415


def test_an_upload_that_never_ends_is_given_up(open_door: Callable[..., object]) -> None:
    door = open_door(request_timeout_seconds=0.3)
    with _begin(door.port, announced=MIB, sent=10) as line:
        assert b" 504 " in line.recv(65536).split(b"\r\n")[0]
    assert _wait(lambda: door.app.state.services.bench.inside == 0)


def test_work_of_a_client_that_leaves_is_cancelled(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio, max_concurrent_jobs=1)
    bench = door.app.state.services.bench
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + portrait_jpeg + b"\r\n--b--\r\n"
    )
    head = f"POST /api/v1/portrait HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as line:
        line.sendall(head.encode() + body)
        assert _wait(lambda: bench.inside == 1)
    assert _wait(lambda: bench.inside == 0)
    assert _wait(lambda: bench.working == 0)
    assert not [each for each in door.settings.output_dir.rglob("*") if each.is_file()]


def test_work_beyond_the_time_limit_is_a_504(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio, request_timeout_seconds=0.05)
    reply = door.client.post("/api/v1/process", files={"file": portrait_jpeg})
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
    assert door.client.get("/health").status_code == 200
