"""Access tokens that we did not sign, or not for this."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from facecraft.accounts.tokens import ALGORITHM, AUDIENCE, ISSUER, LEEWAY_SECONDS, AccessTokens
from facecraft.errors import TokenInvalidError

SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"
USER, SESSION = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"

Claims = dict[str, Any]


def good() -> Claims:
    moment = int(time.time())
    return {
        "iss": ISSUER, "aud": AUDIENCE, "sub": USER, "sid": SESSION, "jti": "x", "iat": moment, "exp": moment + 60,
    }  # fmt: skip


def sign(claims: Claims, secret: str = SECRET, algorithm: str = ALGORITHM) -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def by_hand(header: object, claims: object, secret: str = SECRET) -> str:
    head = f"{part(header)}.{part(claims)}"
    mac = hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def without(name: str) -> Callable[[], str]:
    return lambda: sign({key: value for key, value in good().items() if key != name})


def having(**changes: object) -> Callable[[], str]:
    return lambda: sign(good() | changes)


def cut_and_glued() -> str:
    """The body of another token with our signature."""
    head, _, tail = sign(good()).split(".")
    return f"{head}.{part(good() | {'sub': SESSION})}.{tail}"


BAD: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "dots": lambda: "..",
    "text": lambda: "a.b.c",
    "no algorithm": lambda: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(good())}.",
    "no algorithm, signed": lambda: by_hand({"alg": "none"}, good()),
    "None": lambda: f"{part({'alg': 'None'})}.{part(good())}.",
    "algorithm left out": lambda: by_hand({"typ": "JWT"}, good()),
    "another algorithm": lambda: sign(good(), SECRET * 2, "HS512"),
    "the algorithm of public keys": lambda: by_hand({"alg": "RS256"}, good()),
    "a key of its own": lambda: by_hand({"alg": "HS256", "jwk": {"kty": "oct", "k": "eA"}}, good(), "x" * 32),
    "a key by path": lambda: by_hand({"alg": "HS256", "kid": "../../dev/null"}, good(), ""),
    "another key": lambda: sign(good(), "x" * 32),
    "tampered": cut_and_glued,
    "signature cut": lambda: sign(good())[:-4],
    "signature left out": lambda: sign(good()).rpartition(".")[0] + ".",
    "expired": lambda: sign(good() | {"exp": int(time.time()) - LEEWAY_SECONDS - 1}),
    "issued in the future": lambda: sign(good() | {"iat": int(time.time()) + LEEWAY_SECONDS + 60}),
    "another issuer": having(iss="somebody"),
    "another audience": having(aud="somebody"),
    "many audiences": having(aud=[AUDIENCE, "somebody"]),
    "user is a number": having(sub=1),
    "session is a list": having(sid=[SESSION]),
    "expires never": having(exp=None),
    "expires in words": having(exp="tomorrow"),
    **{f"without {name}": without(name) for name in ("exp", "iat", "sub", "sid", "iss", "aud")},
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused(name: str) -> None:
    with pytest.raises(TokenInvalidError):
        AccessTokens(SECRET, minutes=15).read(BAD[name]())


def test_the_pattern_itself_is_good() -> None:
    tokens = AccessTokens(SECRET, minutes=15)
    for text in (sign(good()), by_hand({"alg": "HS256"}, good()), tokens.issue(USER, SESSION)):
        claims = tokens.read(text)
        assert (claims.user_id, claims.session_id) == (USER, SESSION)
    assert tokens.seconds == 900
    # The clocks of two servers may differ a little.
    tokens.read(sign(good() | {"exp": int(time.time()) - LEEWAY_SECONDS + 5}))


def test_a_refusal_says_nothing_of_why() -> None:
    said = set()
    for make in BAD.values():
        with pytest.raises(TokenInvalidError) as refused:
            AccessTokens(SECRET, minutes=15).read(make())
        said.add((refused.value.message, refused.value.hint))
    assert len(said) == 1
