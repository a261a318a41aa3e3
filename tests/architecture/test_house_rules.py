"""The rules of the house, read from the source: where packages may be used and what must not exist."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "facecraft"
MODULES = sorted(SRC.rglob("*.py"))

HOMES = {
    "onnxruntime": ("inference",),
    "ai_edge_litert": ("inference",),
    "dlib": ("inference",),
    "cv2": ("imaging",),
    "scipy": ("imaging",),
    "PIL": ("imaging",),
    "pillow_heif": ("imaging",),
    "httpx": ("catalog", "books", "jobs"),
    "obstore": ("storage",),
    "fastapi": ("api",),
    "starlette": ("api",),
    "uvicorn": ("api",),
    "typer": ("cli",),
    "rich": ("cli",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "pydantic_settings": ("settings.py",),
    "sqlalchemy": ("db", "jobs", "accounts", "galleries"),
    "alembic": ("db",),
    "argon2": ("accounts",),
    "cryptography": ("jobs",),
    "jwt": ("accounts",),
    "limits": ("accounts",),
    "smtplib": ("accounts",),
    "psycopg": ("db",),
    "celery": ("jobs",),
    "kombu": ("jobs",),
    "redis": ("jobs", "accounts"),
}
FORBIDDEN_NAMES = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "core.py", "base.py", "manager.py"}
FORBIDDEN_SUFFIXES = ("Manager", "Helper", "Handler", "Util", "Utils", "Base", "Impl")
LONGEST = 420


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_third_party_packages_stay_in_their_home(path: Path) -> None:
    place = path.relative_to(SRC).parts[0]
    for name in _imports(_tree(path)):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or place in homes, f"{name} is imported outside {homes}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in MODULES if path.name in FORBIDDEN_NAMES]


def test_no_class_has_a_name_that_says_nothing() -> None:
    names = [node.name for path in MODULES for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if name.endswith(FORBIDDEN_SUFFIXES)]


def test_modules_stay_readable() -> None:
    long = {str(p.relative_to(SRC)): n for p in MODULES if (n := len(p.read_text("utf-8").splitlines())) > LONGEST}
    assert not long


def test_weights_are_never_unpickled() -> None:
    banned = {"pickle", "marshal", "shelve", "torch", "joblib"}
    assert not [(p.name, n) for p in MODULES for n in _imports(_tree(p)) if n.split(".")[0] in banned]


def test_only_the_entry_points_read_the_environment() -> None:
    readers = {
        str(path.relative_to(SRC))
        for path in MODULES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    # catalog/pypi hands its own environment on to pip; inference/litert silences its library before loading it.
    allowed = {"settings.py", "catalog/pypi.py", "inference/litert.py"}
    assert {Path(reader).as_posix() for reader in readers} <= allowed


def test_no_module_keeps_state_behind_a_global_statement() -> None:
    assert not [path for path in MODULES for node in ast.walk(_tree(path)) if isinstance(node, ast.Global)]


def test_broad_except_stands_only_at_the_outermost_doors() -> None:
    found: set[str] = set()
    for path in MODULES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ExceptHandler):
                names = {n.id for n in ast.walk(node.type or ast.Name("BaseException")) if isinstance(n, ast.Name)}
                if names & {"Exception", "BaseException"}:
                    found.add(path.relative_to(SRC).as_posix())
    # jobs/loops.py: what takes back jobs, keeps leases and tells webhooks must outlive every error, for all of these.
    assert found <= {"cli/app.py", "api/problems.py", "jobs/runner.py", "jobs/loops.py", "inference/pool.py"}


@pytest.mark.parametrize("module", ["facecraft", "facecraft.cli.app"])
def test_importing_a_door_loads_no_heavy_library(module: str) -> None:
    heavy = [
        "onnxruntime",
        "ai_edge_litert",
        "dlib",
        "fastapi",
        "scipy",
        "uvicorn",
        "sqlalchemy",
        "argon2",
        "jwt",
        "limits",
    ]
    if module == "facecraft":
        heavy += ["cv2", "PIL", "typer"]
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.split() == []
