"""The page of every endpoint."""

from __future__ import annotations

import re

from facecraft.api.app import create_app
from facecraft.settings import Settings
from generator.examples import examples
from generator.markdown import page, plain, table
from generator.schemas import PAGES, allowed, default_of, objects, reply_type, resolved, schema_table


def api_page() -> str:
    """Return the page of every endpoint."""
    chosen = {name: default_of(field) for name, field in Settings.model_fields.items()}
    document = create_app(Settings(_env_file=None, **chosen)).openapi()  # type: ignore[call-arg]
    named = document["components"]["schemas"]
    parts = [
        (
            "A running server shows this as `/docs` and `/openapi.json`, with its own defaults. Uploads are multipart "
            "forms. Errors are problem documents, see [errors](errors.md). Where there is a key or a user, every call but "
            "`/health`, `/ready`, the documentation and those to sign in needs a key or an access token as `X-API-Key` or as "
            "`Authorization: Bearer`, see [sign in, and make keys](../how-to/sign-in-and-keys.md). The examples "
            "want a picture `me.jpg` (and some a second one, `you.jpg`) and a server started with `facecraft serve`."
        ),
    ]
    rows = [
        (method.upper(), f"`{path}`", plain(operation.get("summary")))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    parts += ["## Overview", table(("Method", "Path", "What it does"), rows), "## Endpoints"]
    replies: dict[str, None] = {}
    sent: dict[str, None] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            parts += [f"### {method.upper()} {path}", plain(operation.get("description") or operation.get("summary"))]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                body = resolved(content["schema"], named)
                parts.append(schema_table(body, named))
                sent |= dict.fromkeys(name for part in body["properties"].values() for name in objects(part, named))
            given = [
                (f"`{it['name']}`", it["in"], allowed(it["schema"], named), plain(it.get("description")))
                for it in operation.get("parameters", [])
            ]
            parts.append(table(("Parameter", "In", "Type", "Meaning"), given) if given else "")
            answers = []
            for status, answer in operation["responses"].items():
                for media, content in (answer.get("content") or {"": {}}).items():
                    shape = content.get("schema", {})
                    replies |= dict.fromkeys(re.findall(r"schemas/(\w+)", str(shape)))
                    binary = shape.get("format") == "binary" or not shape
                    told = ("the file" if binary else reply_type(shape)) if media else "nothing"
                    answers.append((status, f"`{media}`" if media else "", told))
            parts += [table(("Status", "Media type", "Body"), answers), examples(method, path, operation, named)]
    parts.append("## Schemas")
    front = list(replies)
    while front:
        name = front.pop(0)
        replies |= dict.fromkeys(new := [n for n in re.findall(r"schemas/(\w+)", str(named[name])) if n not in replies])
        front += dict.fromkeys(new)
    for name in sorted(replies.keys() | sent.keys() - PAGES.keys()):
        schema, reply = named[name], name in replies
        body = schema_table(schema, named, reply=reply) if "properties" in schema else reply_type(schema)
        parts += [f"### {name}", plain(schema.get("description")), body]
    return page("HTTP API", *parts)
