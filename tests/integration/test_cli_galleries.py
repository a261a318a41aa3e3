"""Galleries from the terminal and from the library, and when the database is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from facecraft.cli.app import run
from facecraft.errors import ConfigurationError
from facecraft.settings import Settings
from facecraft.studio import Studio

MODEL = "dlib_resnet"
Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models_dir: Path) -> Path:
    """A place without settings but these, with a database of its own."""
    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    values = {
        "MODELS_DIR": models_dir,
        "UPLOAD_DIR": tmp_path / "uploads",
        "OUTPUT_DIR": tmp_path / "results",
        "CROPS_DIR": tmp_path / "crops",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'data' / 'facecraft.db'}",
        "OFFLINE": "true",
        "DEVICE": "cpu",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"FACECRAFT_{name}", str(value))
    return tmp_path


@pytest.fixture
def recognizer(home: Path) -> Iterator[Studio]:
    with Studio.open() as opened:
        if not opened.store.usable(MODEL):
            pytest.skip(f"{MODEL} is not installed: facecraft models install {MODEL}")
        yield opened


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Ran:
    def call(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return code, out.strip(), err

    return call


def test_a_man_is_enrolled_found_and_deleted(ran: Ran, recognizer: Studio, shared_photos: Path, home: Path) -> None:
    code, gallery, err = ran("gallery", "create", "Staff")
    assert (code, MODEL in err) == (0, True)
    details = '{"badge": 44}'
    code, out, _ = ran(
        "gallery", "enroll", gallery, "Barack", shared_photos / "obama.jpg", "--details", details, "--json"
    )
    person = json.loads(out)
    assert (code, person["name"], person["details"], person["model"]) == (0, "Barack", {"badge": 44}, MODEL)

    code, out, err = ran("gallery", "search", gallery, shared_photos / "obama2.jpg", "--top-k", "3")
    assert code == 0
    assert "Barack" in out
    assert "threshold 0.911" in err
    code, out, _ = ran("gallery", "search", gallery, shared_photos / "obama2.jpg", "--json")
    assert json.loads(out)["probes"][0]["matches"][0]["person"]["id"] == person["id"]
    code, out, _ = ran("gallery", "search", gallery, shared_photos / "obama2.jpg", "--threshold", "0.9999")
    assert (code, out) == (1, "")

    code, out, _ = ran("gallery", "list", "--json")
    (listed,) = json.loads(out)["items"]
    assert (listed["id"], listed["people"], listed["faces"]) == (gallery, 1, 1)
    assert ran("gallery", "rename", gallery, "Crew")[0] == 0
    assert "Crew" in ran("gallery", "list")[1]
    assert "Barack" in ran("gallery", "people", gallery)[1]
    assert [item["id"] for item in json.loads(ran("gallery", "people", gallery, "--json")[1])["items"]] == [
        person["id"]
    ]
    assert ran("gallery", "remove", gallery, person["id"])[0] == 0
    assert json.loads(ran("gallery", "people", gallery, "--json")[1])["items"] == []
    assert ran("gallery", "delete", gallery)[0] == 0
    code, _, err = ran("gallery", "people", gallery)
    assert (code, "There is no such gallery" in err) == (6, True)
    assert [path for path in (home / "crops").rglob("*") if path.is_file()] == []


def test_several_people_in_a_picture_must_be_told_apart(ran: Ran, recognizer: Studio, shared_photos: Path) -> None:
    gallery = ran("gallery", "create", "Staff")[1]
    both = shared_photos / "obama_and_biden.jpg"
    code, _, err = ran("gallery", "enroll", gallery, "Barack", both)
    assert (code, "obama_and_biden.jpg" in err) == (3, True)
    assert ran("gallery", "enroll", gallery, "Leftmost", both, "--faces", "index", "--face-index", "0")[0] == 0
    assert ran("gallery", "enroll", gallery, "All", both, "--faces", "all")[0] == 2


def test_the_library_enrolls_and_searches_pictures(recognizer: Studio, shared_photos: Path) -> None:
    galleries = recognizer.galleries
    assert galleries is recognizer.galleries
    gallery = galleries.create_for("Staff")
    person = galleries.enroll_pictures(gallery.id, "Barack", [shared_photos / "obama.jpg"])
    report = galleries.search_picture(gallery.id, shared_photos / "obama2.jpg")
    assert [match.person.id for match in report.probes[0].matches] == [person.id]
    assert len(galleries.add_pictures(gallery.id, person.id, [(shared_photos / "obama2.jpg").read_bytes()])) == 1
    assert galleries.get(gallery.id).faces == 2


def test_migrating_makes_and_checks_the_tables(
    ran: Ran, home: Path, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    monkeypatch.setenv("FACECRAFT_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("FACECRAFT_AUTO_MIGRATE", "false")
    code, _, err = ran("gallery", "list")
    assert (code, "facecraft migrate" in err) == (11, True)
    assert ran("migrate", "--check")[0] == 11
    assert ran("migrate")[0] == 0
    code, _, err = ran("migrate", "--check")
    assert code == 0
    assert "postgresql://" not in err
    assert ran("gallery", "list", "--json") == (0, '{\n  "items": [],\n  "cursor": null\n}', "")


def test_a_server_does_not_start_on_a_database_that_was_not_migrated(
    ran: Ran, home: Path, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    monkeypatch.setenv("FACECRAFT_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("FACECRAFT_AUTO_MIGRATE", "false")
    if empty_database_url.startswith("sqlite"):
        Path(empty_database_url.removeprefix("sqlite:///")).touch()
    code, _, err = ran("serve", "--port", "0")
    assert (code, "facecraft migrate" in err) == (11, True)


def test_only_sqlite_is_migrated_unasked() -> None:
    assert Settings(database_url="sqlite:////x/y.db").migrates  # type: ignore[arg-type]
    assert not Settings(database_url="postgresql://u:secret-word@h/n").migrates  # type: ignore[arg-type]
    assert Settings(database_url="postgresql://u@h/n", auto_migrate=True).migrates  # type: ignore[arg-type]
    assert "secret-word" not in repr(Settings(database_url="postgresql://u:secret-word@h/n"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"crops_dir": "r/crops"}, {"crops_dir": "r"}, {"database_url": "sqlite:///r/facecraft.db"}]
)
def test_what_is_kept_cannot_lie_where_old_results_are_deleted(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="lies in output_dir"):
        Settings(output_dir="r", **changes)  # type: ignore[arg-type]


def test_a_bad_database_url_is_said_without_its_password(home: Path) -> None:
    settings = Settings(database_url="mysql://root:hidden-word@h/x")  # type: ignore[arg-type]
    with Studio.open(settings) as studio, pytest.raises(ConfigurationError) as caught:
        _ = studio.galleries
    assert "hidden-word" not in str(caught.value) + str(caught.value.detail)


def test_no_database_package_is_loaded_before_a_gallery_is_used(home: Path) -> None:
    code = (
        "import sys; from facecraft.studio import Studio\n"
        "with Studio.open(): print(*[m for m in ('sqlalchemy', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
