"""What an Accept header means."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from facecraft.api.requests.negotiation import wanted_format
from facecraft.imaging.codecs import OutputFormat

PREFERRED = (OutputFormat.WEBP, OutputFormat.PNG)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("text/html,application/xhtml+xml,*/*;q=0.8", None),
        ("image/png", OutputFormat.PNG),
        ("IMAGE/PNG", OutputFormat.PNG),
        ("image/*", OutputFormat.WEBP),
        ("image/jpeg;q=0.5, image/png;q=0.9", OutputFormat.PNG),
        ("application/json, image/png", None),
        ("application/json;q=0.5, image/avif", OutputFormat.AVIF),
        ("image/png;q=0", None),
        ("image/png;q=nonsense", None),
        ("image/png;q=nan, image/jpeg", OutputFormat.JPEG),
        ("image/tiff, */*;q=0.1", None),
        ("image/gif;q=0", None),
        (",;,;;==,", None),
    ],
)
def test_the_heaviest_known_type_wins(accept: str, wanted: OutputFormat | None) -> None:
    assert wanted_format(accept, PREFERRED) is wanted


@pytest.mark.parametrize("accept", ["image/gif", "image/tiff, text/html;q=0.5", "video/*"])
def test_what_nobody_can_give_is_not_acceptable(accept: str) -> None:
    with pytest.raises(HTTPException) as caught:
        wanted_format(accept, PREFERRED)
    assert caught.value.status_code == 406
