"""Users and keys from the command line, and what a running server makes of them."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facecraft.accounts.closing import is_closed
from facecraft.cli.app import run
from facecraft.db import schema
from facecraft.db.database import Database
from facecraft.galleries.galleries import Galleries
from facecraft.jobs.job import Item, JobState, NewJob
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.settings import Settings
from facecraft.studio import Studio
from services.people import PASSWORD

Ran = Callable[..., tuple[int, str, str]]
EMAIL = "ann@example.org"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place without settings but these, with a database of its own."""
    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    values = {
        "MODELS_DIR": tmp_path / "models",
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
def ran(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ran:
    def call(*args: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capfd.readouterr()
        code = run(args)
        out, err = capfd.readouterr()
        return code, out.strip(), err

    return call


def test_an_email_that_is_taken_is_told_as_an_operator_needs_it(ran: Ran) -> None:
    assert ran("users", "create", EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    code, _, err = ran("users", "create", EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")
    assert code != 0
    assert "facecraft users reset-password" in err
    assert "Sign in" not in err


def test_migrating_says_from_where_to_where(ran: Ran, home: Path) -> None:
    code, _, err = ran("migrate")
    assert (code, "The tables were made, at revision " in err) == (0, True)
    newest = re.findall(r"revision (\d+)", err)[0]
    assert f"revision {newest}, the one of this version: there was nothing to do." in ran("migrate")[2]
    assert f"is at revision {newest}, the one of this version." in ran("migrate", "--check")[2]
    with Database.open(f"sqlite:///{home / 'data' / 'facecraft.db'}") as database, database.write() as connection:
        schema.downgrade(connection, "0001")
    assert f"from revision 0001 to {newest}." in ran("migrate")[2]


def test_the_life_of_a_user(ran: Ran) -> None:
    code, made, said = ran("users", "create", "Ann@Example.org", "--admin", "--password-stdin", typed=PASSWORD + "\n")
    assert (code, "admin ann@example.org" in said) == (0, True)
    assert re.fullmatch(r"[0-9a-f-]{36}", made)
    code, listed, _ = ran("users", "list")
    assert re.search(r"ann@example.org +admin +active +never +" + made, listed)
    assert ran("users", "create", EMAIL, "--password-stdin", typed=PASSWORD)[0] == 12
    for words, shown in (
        (("disable", EMAIL), "disabled"), (("enable", EMAIL), "active"), (("set-role", EMAIL, "user"), " user "),
    ):  # fmt: skip
        assert ran("users", *words)[0] == 0
        assert shown in ran("users", "list")[1]
    key = ran("keys", "create", "batch", "--user", EMAIL)[1]
    code, out, said = ran("users", "reset-password", EMAIL, "--password-stdin", typed="another password\n")
    assert (code, out) == (0, "")
    assert "another password" not in said
    assert "batch" in ran("keys", "list")[1]
    ran("users", "reset-password", EMAIL, "--password-stdin", "--revoke-keys", typed="another password\n")
    assert key.startswith("fck_")
    assert "batch" not in ran("keys", "list")[1]
    code, _, said = ran("users", "delete", EMAIL, typed="n\n")
    assert code == 1
    assert "all that belongs" in said
    assert EMAIL in ran("users", "list")[1]
    assert ran("users", "delete", EMAIL, "--yes")[0] == 0
    code, _, said = ran("users", "disable", EMAIL)
    assert (code, "no such user" in said) == (6, True)


@pytest.mark.parametrize("typed", ["short\n", "", "x" * 2000])
def test_bad_passwords_make_no_user(ran: Ran, typed: str) -> None:
    code, _, said = ran("users", "create", EMAIL, "--password-stdin", typed=typed)
    assert (code, "8 to 1024" in said) == (3, True)
    assert EMAIL not in ran("users", "list")[1]


def test_a_password_is_never_an_argument(ran: Ran) -> None:
    assert ran("users", "create", EMAIL, "--password", PASSWORD)[0] == 2
    assert ran("users", "create", EMAIL, PASSWORD)[0] == 2
    code, _, said = ran("users", "create", EMAIL)  # no terminal to ask at
    assert (code, "--password-stdin" in said) == (3, True)


def test_the_first_user_takes_over_what_is_there(ran: Ran) -> None:
    with Studio.open() as studio:
        made = Galleries(studio.database).create("free", "sface")
    code, user, said = ran("users", "create", EMAIL, "--adopt", "--password-stdin", typed=PASSWORD)
    assert (code, "galleries (1)" in said) == (0, True)
    with Studio.open() as studio:
        assert Galleries(studio.database).get(made.id, owner=user).name == "free"
    assert ran("users", "delete", EMAIL, "--yes")[0] == 0
    with Studio.open() as studio:
        assert Galleries(studio.database).browse(owner=user).items == ()


def test_who_cannot_take_over_is_not_made(ran: Ran) -> None:
    with Studio.open() as studio:
        task = PipelineTask(name="cutout", pipeline=CutoutPresetOptions().pipeline())
        job = studio.jobs.repository.add(NewJob(None, task, (Item(0, "a.jpg", {}),)))
        lease = studio.jobs.leases.claim([GPU], job.id)
        assert lease is not None
    code, _, said = ran("users", "create", EMAIL, "--adopt", "--password-stdin", typed=PASSWORD)
    assert code != 0
    assert "running" in said
    with Studio.open() as studio:
        with studio.database.read() as connection:
            assert not is_closed(connection)  # anonymous callers go on
        studio.jobs.leases.finish(lease, JobState.CANCELLED)
    assert ran("users", "create", EMAIL, "--adopt", "--password-stdin", typed=PASSWORD)[0] == 0


def test_the_life_of_a_key(ran: Ran, open_door: Callable[..., object]) -> None:
    assert ran("users", "create", EMAIL, "--password-stdin", typed=PASSWORD)[0] == 0
    code, mine, said = ran("keys", "create", "ci", "--scope", "read", "--user", EMAIL, "--days", "3")
    assert (code, "shown once" in said) == (0, True)
    code, operators, _ = ran("keys", "create", "ops", "--scope", "read", "--scope", "admin")
    assert code == 0
    _, listed, _ = ran("keys", "list")
    assert re.search(r"ci +ann@example.org +read +never +20", listed)
    assert re.search(r"ops +the operator +admin,read +never +never", listed)
    assert mine not in listed
    assert operators not in listed

    client = open_door(database_url=Settings.load().database).client
    profile = client.get("/api/v1/account/profile", headers={"X-API-Key": mine})
    assert profile.json()["email"] == EMAIL
    assert client.get("/api/v1/users", headers={"X-API-Key": operators}).status_code == 200
    assert client.get("/api/v1/galleries").status_code == 401

    key_id = listed.splitlines()[1].split()[0]
    assert ran("keys", "revoke", key_id)[0] == 0
    assert ran("keys", "revoke", key_id)[0] == 6
    assert ran("keys", "create", "x", "--scope", "admin", "--user", EMAIL)[0] == 3
    assert ran("keys", "create", "x", "--scope", "everything")[0] == 2
    assert ran("keys", "create", "x", "--user", "nobody@example.org")[0] == 6
