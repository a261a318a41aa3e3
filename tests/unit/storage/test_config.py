"""What an operator may say of a bucket, and where requests go then."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from facecraft.errors import ConfigurationError
from facecraft.settings import Settings
from facecraft.storage import ObjectBlobStore, open_store
from facecraft.storage.config import StorageConfig

KEYS = {"s3_access_key": "key", "s3_secret_key": "secret"}
AMAZON = {
    "S3_BUCKET_NAME": "faces",
    "AWS_ENDPOINT_URL": "https://storage.example/",
    "AWS_REGION_NAME": "ru-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "the-secret",
}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*AMAZON, "AWS_REGION", "FACECRAFT_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("BUCKET", "ENDPOINT", "REGION", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"FACECRAFT_S3_{name}", raising=False)


def check_example(settings: Settings) -> None:
    assert (settings.s3_bucket, settings.s3_address, settings.s3_place) == ("faces", "https://storage.example", "ru-1")
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == "the-secret"
    assert "the-secret" not in repr(settings)


@pytest.mark.parametrize("own", [False, True], ids=["Amazon's names", "our names"])
def test_both_sets_of_names_are_read(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [f"FACECRAFT_S3_{name}" for name in ("BUCKET", "ENDPOINT", "REGION", "ACCESS_KEY", "SECRET_KEY")]
    for name, value in zip(ours if own else AMAZON, AMAZON.values(), strict=True):
        monkeypatch.setenv(name, value)
    check_example(Settings.load())


def test_our_names_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AMAZON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FACECRAFT_S3_BUCKET", "ours")
    monkeypatch.setenv("FACECRAFT_S3_ENDPOINT", "https://ours.example")
    settings = Settings.load()
    assert (settings.s3_bucket, settings.s3_endpoint) == ("ours", "https://ours.example")


@pytest.mark.parametrize("lower", [False, True])
def test_they_are_read_from_a_folder_of_secrets(lower: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, value in AMAZON.items():
        (folder / (name.lower() if lower else name)).write_text(value)
    monkeypatch.setenv("FACECRAFT_SECRETS_DIR", str(folder))
    check_example(Settings.load())


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_bucket_without_a_key_is_refused_at_the_start(
    missing: str, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AMAZON.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    if empty:
        monkeypatch.setenv(missing, "")
    wanted = "FACECRAFT_S3_ACCESS_KEY" if missing == "AWS_ACCESS_KEY_ID" else "FACECRAFT_S3_SECRET_KEY"
    with pytest.raises(ConfigurationError, match=f"FACECRAFT_S3_BUCKET needs {wanted}") as caught:
        Settings.load()
    assert "the-secret" not in str(caught.value)


def test_keys_without_a_bucket_mean_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's own")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    settings = Settings.load()
    assert settings.s3_bucket is None
    open_store(settings, tmp_path / "results").check()
    with pytest.raises(ConfigurationError):
        ObjectBlobStore.s3(settings)


@pytest.mark.parametrize(
    "endpoint",
    [
        "storage.example",
        "ftp://storage.example",
        "https://",
        "https://key:secret@storage.example",
        "https://storage.example?a=1",
        "https://storage.example#a",
        "https://storage.example:99999",
        "https://[::1",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigurationError, match="S3_ENDPOINT: not an address") as caught:
        Settings.load()
    assert "key:secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "address", "in_host"),
    [
        ({}, "https://faces.s3.us-east-1.amazonaws.com", True),
        ({"s3_region": "eu-west-1"}, "https://faces.s3.eu-west-1.amazonaws.com", True),
        ({"s3_bucket": "my.faces"}, "https://s3.us-east-1.amazonaws.com", False),
        ({"s3_endpoint": "http://minio:9000/"}, "http://minio:9000", False),
        ({"s3_endpoint": "http://[::1]:9000"}, "http://[::1]:9000", False),
    ],
)
def test_where_requests_go(change: dict[str, str], address: str, in_host: bool) -> None:
    config = StorageConfig(**{"s3_bucket": "faces", **KEYS, **change})
    assert (config.s3_address, config.s3_bucket_in_host) == (address, in_host)
    link = ObjectBlobStore.s3(config).presign("a", 60, filename="a", media_type="image/png")
    assert link is not None
    assert link.startswith(f"{address}/a?" if in_host else f"{address}/{config.s3_bucket}/a?")


@pytest.mark.parametrize("change", [{"s3_bucket": "../x"}, {"s3_bucket": "a/b"}, {"s3_region": "x.evil.example/"}])
def test_a_bucket_and_a_region_are_single_words(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        StorageConfig(**{"s3_bucket": "faces", **KEYS, **change})
