"""A curl and a Python call for every endpoint, made from what the endpoint says of itself."""

from __future__ import annotations

import json
import re
from typing import Any

from generator.schemas import resolved

_FILES = {
    "file": "me.jpg",
    "files": "me.jpg",
    "source": "me.jpg",
    "target": "you.jpg",
    "first": "me.jpg",
    "second": "you.jpg",
}
_VALUES: dict[str, Any] = {
    "consent": "true",
    "name": "Ada",
    "model": "dlib_resnet",
    "pipeline": '{"version":1,"steps":[]}',
    "preset": "portrait",
}
_ALWAYS = ("consent", "name", "preset", "files")
"""Fields that are shown although a call is well formed without them: without them it does nothing."""
_PARTS = {"format": "png", "preset": "portrait"}
"""Parts of a path that are words, not ids."""


def _is_file(schema: dict[str, Any]) -> bool:
    inner = schema.get("items", schema)
    return inner.get("format") == "binary" or "contentMediaType" in inner


def _fields(body: dict[str, Any], named: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the files and the other values that a form cannot do without."""
    files, values = {}, {}
    for name, schema in body.get("properties", {}).items():
        if name not in body.get("required", ()) and name not in _ALWAYS:
            continue
        if _is_file(schema):
            files[name] = _FILES.get(name, "me.jpg")
        else:
            values[name] = _VALUES.get(name, _plain(resolved(schema, named)))
    return files, values


def _plain(schema: dict[str, Any]) -> Any:
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    return {"integer": 1, "number": 0.5, "boolean": True, "array": [], "object": {}}.get(
        str(schema.get("type")), "text"
    )


def examples(method: str, path: str, operation: dict[str, Any], named: dict[str, Any]) -> str:
    """Return the two calls as Markdown."""
    content = operation.get("requestBody", {}).get("content", {})
    form = content.get("multipart/form-data") or content.get("application/x-www-form-urlencoded")
    words = {name: _PARTS[name] for name in re.findall(r"{(\w+)}", path) if name in _PARTS}
    for name, word in words.items():
        path = path.replace(f"{{{name}}}", word)
    ids = re.findall(r"{(\w+)}", path)
    shell = re.sub(r"{(\w+)}", r"$\1", path)
    curl, call = ["curl"], [f'f"{{BASE}}{path}"' if ids else f'BASE + "{path}"']
    if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
        curl.append("-N")  # otherwise events are shown when the buffer is full
    if "307" in operation["responses"]:
        curl.append("-L")
        call.append("follow_redirects=True")
    if method != "get" and (method != "post" or not content):
        curl.append(f"-X {method.upper()}")
    if form:
        files, values = _fields(resolved(form["schema"], named), named)
        curl += [f"-F {name}=@{photo}" for name, photo in files.items()]
        curl += [f"-F '{name}={value}'" for name, value in values.items()]
        if files:
            call.append("files={" + ", ".join(f'"{n}": open("{photo}", "rb")' for n, photo in files.items()) + "}")
        if values:
            call.append(f"data={values!r}".replace("'", '"') if '"' not in str(values) else f"data={values!r}")
    elif "application/json" in content:
        body = resolved(content["application/json"]["schema"], named)
        _, values = _fields(body, named)
        curl += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(values)}'"]
        call.append(f"json={values!r}")
    curl.append(f'"http://localhost:8000{shell}"' if ids else f"http://localhost:8000{shell}")
    setup = "".join(f'{name} = "…"\n' for name in ids)
    python = f'import httpx\n\nBASE = "http://localhost:8000"\n{setup}reply = httpx.{method}({", ".join(call)})\n'
    return f'```sh\n{" ".join(curl)}\n```\n\n```python\n{python}print(reply.status_code, reply.headers["content-type"])\n```'
