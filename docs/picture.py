"""Write the picture of the README: ``make demo && .venv/bin/python docs/picture.py``.

The contact sheet of the demo becomes a JPEG of at most 150 KB by way of a pipeline without steps.
"""

from __future__ import annotations

from pathlib import Path

from facecraft import OutputFormat, Pipeline, Studio
from facecraft.pipelines.encode import EncodeOptions

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    output = EncodeOptions(formats=(OutputFormat.JPEG,), jpeg_max_kb=150)
    with Studio.open() as studio:
        studio.run(Pipeline(output=output), ROOT / "out/demo/contact-sheet.png").save(
            ROOT / "docs/images/before-and-after"
        )
