"""The interactive documentation works without anybody else's server."""

from __future__ import annotations

import re


def test_the_page_loads_its_own_files_only(door: object) -> None:
    page = door.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert links
    assert not [link for link in links if link.startswith(("http", "//"))]
    for link in links:
        if link.startswith("data:"):
            continue
        reply = door.client.get(link)
        assert reply.status_code == 200
        assert len(reply.content) > 10_000
        assert reply.headers["content-type"].startswith(("text/javascript", "text/css"))
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_nothing_else_lies_beside_the_page(door: object) -> None:
    for name in ("main.py", "__init__.py", "..%2fmain.py", "nothing.js"):
        assert door.client.get(f"/docs/{name}", follow_redirects=False).status_code == 404
