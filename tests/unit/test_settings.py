"""Settings: where they come from, what is refused, and that the defaults of a portrait follow them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facecraft.errors import ConfigurationError
from facecraft.imaging.shapes import Shape
from facecraft.pipelines.presets import PortraitOptions
from facecraft.settings import Settings

ORIGINAL = """host port workers debug log_level device models_dir predictor_path codeformer_path default_width
default_height default_background_r default_background_g default_background_b default_face_margin default_oval_mask
default_enhance_fidelity upload_dir output_dir max_upload_size_mb cleanup_age_hours max_concurrent_jobs
batch_max_files cors_origins api_key""".split()  # noqa: SIM905 - easier to compare with the reference


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_every_setting_of_the_portrait_api_exists() -> None:
    assert set(ORIGINAL) <= set(Settings.model_fields)


def test_every_setting_is_described() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECRAFT_PORT", "9000")
    monkeypatch.setenv("FACECRAFT_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("FACECRAFT_DEFAULT_BACKGROUND_R", "255")
    monkeypatch.setenv("FACECRAFT_DEFAULT_BACKGROUND_G", "0")
    monkeypatch.setenv("FACECRAFT_DEFAULT_BACKGROUND_B", "16")
    monkeypatch.setenv("FACECRAFT_DEFAULT_OVAL_MASK", "false")
    monkeypatch.setenv("FACECRAFT_DEFAULT_FACE_MARGIN", "0.5")
    settings = Settings.load()
    assert settings.port == 9000
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.portrait.fill == "#ff0010"
    assert settings.portrait.shape is Shape.NONE
    assert settings.portrait.face_margin == 0.5


def test_a_dotenv_file_and_a_secrets_folder_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FACECRAFT_PORT=9001\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "FACECRAFT_API_KEY").write_text("0123456789abcdef0123")
    monkeypatch.setenv("FACECRAFT_SECRETS_DIR", str(secrets))
    settings = Settings.load()
    assert settings.port == 9001
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACECRAFT_PORT", "high"),
        ("FACECRAFT_DEVICE", "tpu"),
        ("FACECRAFT_DEFAULT_WIDTH", "1"),
        ("FACECRAFT_API_KEY", "changeme"),
        ("FACECRAFT_LICENSE_POLICY", "whatever"),
    ],
)
def test_bad_values_are_named_and_never_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert name.removeprefix("FACECRAFT_") in caught.value.message.upper()
    if name == "FACECRAFT_API_KEY":
        assert value not in caught.value.message


def test_a_misspelled_variable_is_named_with_the_nearest_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        monkeypatch.delenv(name)
    for name in ("FACECRAFT_QUOTA_MB", "FACECRAFT_SECRETS_DIR", "FACECRAFT_JWT_SECRET_KEY", "facecraft_port"):
        monkeypatch.setenv(name, "secret")
    assert Settings.misspelled() == ()
    monkeypatch.setenv("FACECRAFT_QUOTTA_MB", "secret")
    monkeypatch.setenv("FACECRAFT_ZZZZZZZZZZZZ", "secret")
    first, second = Settings.misspelled()
    assert first == "There is no setting FACECRAFT_QUOTTA_MB; did you mean FACECRAFT_QUOTA_MB?"
    assert second == "There is no setting FACECRAFT_ZZZZZZZZZZZZ."


def test_a_misspelled_name_in_a_dotenv_file_or_a_secrets_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("FACECRAFT_SECRETS_DIR", str(secrets))
    (tmp_path / ".env").write_text("FACECRAFT_PORT=9001\nfacecraft_host=::1\nOTHER=1\n# FACECRAFT_TPYO=1\n")
    for name in ("facecraft_api_key", "JWT_SECRET_KEY", "other_password"):
        (secrets / name).write_text("a secret of twenty letters")
    assert Settings.misspelled() == ()
    (tmp_path / ".env").write_text("export FACECRAFT_QUOTTA_MB=5\nFACECRAFT_SECRETS_DIR=/run/secrets\n")
    (secrets / "facecraft_smtp_pasword").write_text("a secret of twenty letters")
    assert Settings.misspelled() == (
        "There is no setting FACECRAFT_QUOTTA_MB (in .env); did you mean FACECRAFT_QUOTA_MB?",
        "FACECRAFT_SECRETS_DIR (in .env) is ignored: set it in the environment.",
        "There is no setting facecraft_smtp_pasword (in the secrets folder); did you mean FACECRAFT_SMTP_PASSWORD?",
    )
    monkeypatch.setenv("FACECRAFT_SECRETS_DIR", str(tmp_path / "missing"))
    assert len(Settings.misspelled()) == 2


def test_secrets_are_not_printed() -> None:
    assert "0123456789abcdef" not in repr(Settings(api_key="0123456789abcdef"))  # type: ignore[arg-type]


def test_there_is_no_default_secret_and_the_door_is_closed() -> None:
    settings = Settings()
    assert settings.api_key is None
    assert settings.host == "127.0.0.1"
    assert settings.cors_origins == ()


def test_the_defaults_of_a_portrait_are_those_of_its_options() -> None:
    assert Settings().portrait == PortraitOptions()


def test_a_short_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECRAFT_API_KEY", "short")
    with pytest.raises(ConfigurationError, match="FACECRAFT_API_KEY: give at least 16 characters"):
        Settings.load()


def test_settings_survive_the_way_through_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = Settings.model_validate(
        {
            "models_dir": tmp_path / "a b",
            "workers": 3,
            "cors_origins": ("https://a.example", "https://b.example"),
            "api_key": "0123456789abcdef",
            "offline": True,
            "log_level": "DEBUG",
            "license_policy": "commercial",
            "max_megapixels": 12.5,
            "default_width": 320,
        }
    )
    assert set(chosen.environment()) == {f"FACECRAFT_{name.upper()}" for name in chosen.model_fields_set}
    for name, value in chosen.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == chosen


def test_every_setting_can_be_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Settings.model_validate(Settings().model_dump() | {"cors_origins": (), "device": "cpu"})
    for name, value in everything.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == everything
