"""What is done after the answer."""

from __future__ import annotations

import logging
import threading

import pytest

from facecraft.accounts.errands import Errands
from facecraft.errors import MailError


def test_errands_are_done_in_order_and_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    errands = Errands()

    def fail() -> None:
        raise MailError(detail="refused")

    def surprise() -> None:
        raise RuntimeError("surprise")

    with caplog.at_level(logging.WARNING, "facecraft.accounts"):
        errands.do("first", lambda: done.append("first"))
        errands.do("mail", fail)
        errands.do("odd", surprise)
        errands.do("last", lambda: done.append("last"))
        errands.wait()
    errands.close()
    assert done == ["first", "last"]
    assert "mail failed: The mail could not be sent." in caplog.text
    assert "surprise" in caplog.text


def test_what_does_not_fit_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    errands, go, done = Errands(most=2), threading.Event(), []
    errands.do("wait", lambda: go.wait(20) and None)
    errands.do("second", lambda: done.append("second"))
    errands.do("third", lambda: done.append("third"))
    go.set()
    errands.wait()
    assert done == ["second"]
    assert "left out third" in caplog.text
    errands.do("fourth", lambda: done.append("fourth"))
    errands.wait()
    errands.close()
    assert done == ["second", "fourth"]
