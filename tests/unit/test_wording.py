"""Numbers of things are in the plural unless there is one."""

from __future__ import annotations

import pytest

from facecraft.wording import counted


@pytest.mark.parametrize(("number", "told"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs")])
def test_one_is_no_plural(number: int, told: str) -> None:
    assert counted(number, "job") == told
