"""The documentation is true: generated pages are what the code says; links, paths, commands and snippets are real."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facecraft.api.app import create_app
from facecraft.cli.app import COMMANDS, load
from facecraft.pipelines.pipeline import Pipeline
from facecraft.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GENERATED = ROOT / "docs" / "reference"
WRITTEN = [page for page in PAGES if GENERATED not in page.parents]
TOP_LEVEL = ("src/", "docs/", "tests/", "benchmarks/", "requirements/", "models/hub")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if language in languages:
            yield body


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors that renderers make of the headings of ``page``."""
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _shell_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in the console blocks and the code spans of ``page``."""
    lines = "".join(_blocks(page, "console", "bash", "sh")).splitlines()
    lines += re.findall(r"`((?:facecraft|make) [^`]+)`", _prose(page))
    for line in lines:
        for part in re.split(r"\s(?:\||&&|;)\s", line.removeprefix("$ ")):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue  # a quotation that goes on in the next line
            if words:
                yield words


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}


def test_generated_pages_are_what_the_code_says() -> None:
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"run `make docs`\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in _anchors(place)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_paths_in_the_text_exist(page: Path) -> None:
    spans = re.findall(r"`([^`\s]+)`", _prose(page))
    named = [span for span in spans if span.startswith(TOP_LEVEL) or span in ("Makefile", "pyproject.toml")]
    assert [span for span in named if not ((ROOT / span).exists() or (ROOT / "src/facecraft" / span).exists())] == []


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.name != "CONTRIBUTING.md"], ids=_name)
def test_python_in_the_text_compiles(page: Path) -> None:
    for block in _blocks(page, "python"):
        compile(block, _name(page), "exec")


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_json_in_the_text_parses(page: Path) -> None:
    for block in _blocks(page, "json"):
        json.loads(block)


def test_snippets_that_name_a_file_stand_in_it() -> None:
    snippets = [block.split("\n", 1) for block in _blocks(ROOT / "CONTRIBUTING.md", "python")]
    assert len(snippets) >= 6
    for first, body in snippets:
        text, place = (ROOT / first.removeprefix("# ")).read_text("utf-8"), 0
        for part in re.split(r"^ *…\n", body.rstrip("\n"), flags=re.MULTILINE):
            place = text.find(part.rstrip("\n"), place)
            assert place >= 0, f"the snippet of {first} is out of date:\n{part}"


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {words[1] for words in _shell_lines(page) if words[0] == "make" and len(words) > 1}
    assert named - targets == set()


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_commands_and_their_flags_exist(page: Path) -> None:
    for words in _shell_lines(page):
        if words[0] != "facecraft" or len(words) < 2 or words[1].startswith("-") or words[1].isupper():
            continue
        assert words[1] in COMMANDS, " ".join(words)
        command, rest = load(words[1]), words[2:]
        children = getattr(command, "commands", {})
        if children and rest and not rest[0].startswith("-") and rest[0] != "…":
            assert rest[0] in children, " ".join(words)
            command = children[rest[0]]
        flags = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert flags - _options(command) - {"--help", "-h"} == set(), " ".join(words)


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_settings_in_the_text_exist(page: Path) -> None:
    named = set(re.findall(r"FACECRAFT_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_*])", page.read_text("utf-8")))
    known = {f"FACECRAFT_{name.upper()}" for name in Settings.model_fields} | {"FACECRAFT_SECRETS_DIR"}
    assert named - known == set()


def test_endpoints_in_the_text_exist(tmp_path: Path) -> None:
    paths = create_app(Settings(models_dir=tmp_path, upload_dir=tmp_path, output_dir=tmp_path)).openapi()["paths"]
    known = [re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path)) + "/?") for path in paths]
    for page in WRITTEN:
        for path in re.findall(r"(/api/v1(?:/[\w{}-]+)+)", page.read_text("utf-8")):
            assert any(pattern.fullmatch(path) for pattern in known), f"{_name(page)}: {path}"


def test_the_example_of_a_pipeline_is_one() -> None:
    examples = list(_blocks(GENERATED / "pipeline.md", "json"))
    assert len(examples) == 2
    for example in examples:
        assert Pipeline.model_validate_json(example).steps


def test_every_page_is_reached_from_the_first() -> None:
    seen: set[Path] = set()
    front = [ROOT / "README.md"]
    while front:
        page = front.pop()
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)", _prose(page))
        front += [place for link in links if (place := (page.parent / link).resolve()) not in seen]
    assert [_name(page) for page in PAGES if page not in seen] == []


def test_the_example_environment_lists_every_setting_and_sets_none() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    listed = re.findall(r"^#FACECRAFT_(\w+)=", text, re.MULTILINE)
    assert sorted(listed) == sorted(name.upper() for name in Settings.model_fields)
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


def test_pictures_are_small() -> None:
    pictures = [file for file in (ROOT / "docs" / "images").iterdir() if file.is_file()]
    assert pictures
    assert [file.name for file in pictures if file.stat().st_size > 200 * 1024] == []
