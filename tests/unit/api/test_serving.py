"""Forms that cannot be read are said to whoever sent them, in words of ours."""

from __future__ import annotations

import logging

import pytest

from facecraft.api.serving import _prepare
from facecraft.settings import Settings


def test_broken_forms_leave_no_raw_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    _prepare(Settings(log_json=True))
    logging.getLogger("python_multipart.multipart").warning("Expected boundary character 45, got 103 at index 0")
    assert not caplog.records
