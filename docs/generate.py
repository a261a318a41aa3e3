"""Write the reference pages from the code: ``python docs/generate.py``, or ``--check`` to compare only.

Every page is built from what the program itself uses: the settings and option classes, the catalogue, the tree of
errors, the OpenAPI document, the commands. With ``--check`` nothing is written; the exit code is 1 when a page on disk
is not what the code says, and the names of those pages go to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from generator.api import api_page
from generator.commands import cli_page
from generator.errors import errors_page
from generator.library import library_page
from generator.models import models_page
from generator.options import options_page
from generator.pipeline import pipeline_page, report_page
from generator.settings import env_example, settings_page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    ".env.example": env_example,
    "docs/reference/api.md": api_page,
    "docs/reference/cli.md": cli_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/library.md": library_page,
    "docs/reference/models.md": models_page,
    "docs/reference/options.md": options_page,
    "docs/reference/pipeline.md": pipeline_page,
    "docs/reference/report.md": report_page,
    "docs/reference/settings.md": settings_page,
}
"""Every generated file: its path from the root and the function that writes it."""


def render() -> dict[str, str]:
    """Return the text of every generated file, whatever this machine was told to do differently."""
    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        del os.environ[name]
    # A .env file in the working folder would be read, too.
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        return {name: write() for name, write in PAGES.items()}


def main() -> int:
    """Write the pages, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference pages from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is out of date")
    check = parser.parse_args().check
    stale = {
        name: text
        for name, text in render().items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != text
    }
    for name, text in stale.items():
        sys.stderr.write(f"{'out of date' if check else 'written'}: {name}\n")
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
