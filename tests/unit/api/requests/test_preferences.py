"""What a Prefer header asks for."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from facecraft.api.requests.preferences import Preference, preference_of


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ([], Preference()),
        (["respond-async"], Preference(asynchronous=True)),
        (["Respond-Async, wait=100"], Preference(asynchronous=True, wait=100)),
        (["wait=10", 'respond-async; foo="a"'], Preference(asynchronous=True, wait=10)),
        (["respond-async, wait=1, wait=2"], Preference(asynchronous=True, wait=1)),
        (["respond-async, wait=soon"], Preference(asynchronous=True)),
        (["respond-async, wait=-1"], Preference(asynchronous=True)),
        (["wait=10"], Preference()),
        (["return=minimal, handling=lenient"], Preference()),
        (["," * 5000 + "respond-async"], Preference()),
    ],
)
def test_preferences(sent: list[str], asked: Preference) -> None:
    headers = Headers(raw=[(b"prefer", each.encode()) for each in sent])
    assert preference_of(headers) == asked


def test_what_was_applied_is_said_as_it_was_asked() -> None:
    assert Preference(asynchronous=True).applied == "respond-async"
    assert Preference(asynchronous=True, wait=7).applied == "respond-async, wait=7"
