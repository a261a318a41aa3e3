"""Signatures, checked by the reference verifier of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from facecraft.jobs.webhooks.signing import new_secret, signed

BODY = '{"type": "job.succeeded", "data": {"name": "Zoë"}}'.encode()


def test_the_reference_verifier_accepts_a_signature() -> None:
    secret = new_secret()
    headers = signed("msg_1", datetime.now(UTC), BODY, [secret])
    assert Webhook(secret).verify(BODY, headers)["data"] == {"name": "Zoë"}


def test_the_signature_is_the_one_of_the_specification() -> None:
    # The example of the reference library: libraries/python/tests/test_webhooks.py.
    secret, moment = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", moment, b'{"test": 2432232314}', [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_both_secrets_of_a_rotation_are_accepted() -> None:
    new, old = new_secret(), new_secret()
    headers = signed("msg_1", datetime.now(UTC), BODY, [new, old])
    for secret in (new, old):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp"])
def test_whatever_is_changed_is_noticed(change: str) -> None:
    secret = new_secret()
    headers, body = signed("msg_1", datetime.now(UTC), BODY, [secret]), BODY
    if change == "body":
        body = BODY.replace(b"succeeded", b"cancelled")
    else:
        headers[change] = "msg_2" if change == "webhook-id" else str(int(headers[change]) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_an_old_message_cannot_be_replayed() -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(BODY, signed("msg_1", datetime.now(UTC) - timedelta(minutes=6), BODY, [secret]))


def test_secrets_are_long_and_unlike() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in secrets} == {32}
