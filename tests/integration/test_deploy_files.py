"""What can be said of the images, the compose file and the workflows without an engine: see deploy/test for the rest."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DRAW = ROOT / "deploy" / "secrets.sh"


def program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: run `make setup`")
    return found


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


# --- the image -----------------------------------------------------------------------------------------------------


def test_hadolint_finds_nothing() -> None:
    done = ran(program("hadolint"), DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_every_base_is_the_argument_and_no_tag_floats() -> None:
    text = DOCKERFILE.read_text()
    bases = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    stages = {name for _, name in bases}
    assert {base for base, _ in bases} - stages == {"${PYTHON_IMAGE}"}
    assert {"cpu", "gpu"} <= stages
    for path in (DOCKERFILE, COMPOSE, *WORKFLOWS):
        assert ":latest" not in path.read_text(), path
    assert "# syntax=" not in text


def test_the_image_runs_as_nobody_special_and_offline() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "FACECRAFT_OFFLINE=1" in text
    assert "HEALTHCHECK" in text
    for words in ('ENTRYPOINT ["facecraft"]', 'CMD ["serve"]'):
        assert words in text


def test_packages_come_locked_and_as_wheels() -> None:
    everything = DOCKERFILE.read_text() + (ROOT / "deploy" / "docker" / "packages.sh").read_text()
    installs = [line for line in re.sub(r"\\\n", " ", everything).splitlines() if re.search(r"-m pip .*install", line)]
    assert len(installs) == 3
    for line in installs:
        assert ("--require-hashes" in line and "--only-binary :all:" in line) or (
            "--no-index" in line and "--no-deps" in line
        ), line
    assert "apt-get" not in everything


@pytest.mark.parametrize("name", ["image-cpu", "image-gpu", "build"])
def test_locks_pin_by_checksum_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    for each in re.findall(r"^\S+==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL):
        assert "--hash=sha256:" in each, each


def test_nothing_heavy_that_portraits_do_not_need_is_locked_into_the_image() -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "image-cpu.txt").read_text(), re.MULTILINE))
    assert not locked & {"torch", "tensorflow", "opencv-python", "mediapipe", "onnxruntime-gpu", "hatchling", "pytest"}
    assert {"onnxruntime", "opencv-python-headless", "celery", "psycopg", "uvicorn"} <= locked


def test_the_source_uses_only_what_the_image_keeps_of_scipy() -> None:
    used = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.Import):
                used |= {each.name for each in node.names}
    parts = {name.split(".")[1] for name in used if name.startswith("scipy.")}
    assert parts <= {"sparse"}, "deploy/docker/packages.sh takes the rest of SciPy out of the image"


def test_the_build_context_is_an_allow_list() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert allowed == {
        "LICENSE", "README.md", "pyproject.toml", "requirements/build.txt", "requirements/image-*.txt", "src",
        "deploy/docker",
    }  # fmt: skip
    copied = set(re.findall(r"^COPY ([^-].*) \S+$", DOCKERFILE.read_text(), re.MULTILINE))
    mounted = re.findall(r"type=bind,source=([^,]+),", DOCKERFILE.read_text())
    for source in [each for line in copied for each in line.split()] + mounted:
        assert any(Path(source).match(each) or source.startswith(f"{each}/") for each in allowed), source
        assert (ROOT / source).exists(), source


@pytest.mark.parametrize("path", [DOCKERFILE, COMPOSE, *WORKFLOWS], ids=lambda path: path.name)
def test_no_secret_is_written_down(path: Path) -> None:
    for line in path.read_text().splitlines():
        found = re.search(r"(?i)\b\w*(password|passwd|secret_key|api_key|token)\s*[:=]\s*(\S+)", line)
        if found is None or line.lstrip().startswith("#"):
            continue
        value = found[2].strip("\"'")
        assert value.startswith(("$", "/run/secrets/", "{")) or value == "", line


# --- compose -------------------------------------------------------------------------------------------------------


def test_compose_is_valid() -> None:
    done = ran(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout


def test_every_service_has_a_health_check_limits_and_a_restart_policy(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["restart"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service, name


def test_the_profiles_hold_what_they_say(services: dict[str, dict[str, Any]]) -> None:
    names: dict[str, set[str]] = {}
    for name, service in services.items():
        for profile in service["profiles"]:
            names.setdefault(profile, set()).add(name)
    assert names == {
        "cpu": {"facecraft-cpu"},
        "gpu": {"facecraft-gpu"},
        "scale": {"nginx", "web", "migrate", "worker-cpu", "worker-render", "postgres", "redis", "store"},
        "scale-gpu": {"worker-gpu"},
    }


def test_nobody_starts_before_what_it_needs_is_healthy(services: dict[str, dict[str, Any]]) -> None:
    for name in ("web", "worker-cpu", "worker-gpu", "worker-render"):
        needs = {each: what["condition"] for each, what in services[name]["depends_on"].items()}
        assert needs == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "store": "service_healthy",
        }
    assert services["nginx"]["depends_on"]["web"]["condition"] == "service_healthy"


def test_only_the_front_is_published_and_only_to_this_machine_unless_told(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"facecraft-cpu", "facecraft-gpu", "nginx"}
    for name, ports in published.items():
        assert ports[0].startswith("${PUBLISH:-127.0.0.1:8000}:"), name
    loaded = yaml.safe_load(COMPOSE.read_text())
    assert loaded["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis", "store"):
        assert services[name]["networks"] == ["inside"], name


def test_only_containers_on_a_gpu_reserve_one(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        reserved = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        assert bool(reserved) == name.endswith("-gpu"), name


def test_secrets_are_drawn_and_kept(tmp_path: Path, services: dict[str, dict[str, Any]]) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        assert ran("sh", DRAW, folder).returncode == 0
    declared = yaml.safe_load(COMPOSE.read_text())["secrets"]
    assert {path.name for path in first.iterdir()} == set(declared)
    assert {name for service in services.values() for name in service.get("secrets", ())} == set(declared)
    drawn = {path.name: path.read_text() for path in first.iterdir()}
    for name, text in drawn.items():
        assert len(text) >= 20, name
        assert text != (second / name).read_text(), name
    assert drawn["postgres_password"] in drawn["facecraft_database_url"]
    assert ran("sh", DRAW, first).returncode == 0
    assert {path.name: path.read_text() for path in first.iterdir()} == drawn
    assert first.stat().st_mode & 0o077 == 0


def test_the_settings_take_the_secrets_of_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facecraft.settings import Settings

    assert ran("sh", DRAW, tmp_path).returncode == 0
    monkeypatch.setenv("FACECRAFT_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("FACECRAFT_S3_BUCKET", "facecraft")
    monkeypatch.chdir(tmp_path)
    settings = Settings.load()
    read = {
        "facecraft_api_key": settings.api_key,
        "facecraft_database_url": settings.database_url,
        "facecraft_celery_broker_url": settings.celery_broker_url,
        "facecraft_s3_access_key": settings.s3_access_key,
        "facecraft_s3_secret_key": settings.s3_secret_key,
        "facecraft_jwt_secret_key": settings.jwt_secret_key,
    }
    for name, value in read.items():
        assert value is not None, name
        assert value.get_secret_value() == (tmp_path / name).read_text(), name


# --- workflows and scripts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_valid(path: Path) -> None:
    done = ran(program("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_read_only_and_end(path: Path) -> None:
    loaded = yaml.safe_load(path.read_text())
    assert loaded["permissions"] == {"contents": "read"}
    for name, job in loaded["jobs"].items():
        assert "uses" in job or job["runs-on"] in ("ubuntu-24.04", "${{ matrix.runner }}"), name
        assert "uses" in job or job["timeout-minutes"], name


def test_scripts_that_workflows_call_are_there() -> None:
    for path in WORKFLOWS:
        for script in re.findall(r"(?:deploy|scripts)/[\w/.-]+\.sh", path.read_text()):
            assert (ROOT / script).is_file(), f"{path.name}: {script}"
            assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("deploy/**/*.sh"), *ROOT.glob("scripts/*.sh")]),
    ids=lambda path: path.name,
)
def test_scripts_can_be_read(path: Path) -> None:
    done = ran("bash", "-n", path)
    assert done.returncode == 0, done.stderr
