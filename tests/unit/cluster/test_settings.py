"""Settings: the defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.settings import Settings, load_settings, read_secret
from controllers.kernel.errors import ConfigError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PARKGRID_{name.upper()}", raising=False)


def refused(**overrides: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(**overrides)
    return str(caught.value)


def test_the_defaults_are_these() -> None:
    assert load_settings().model_dump() == {
        "home": Path(".parkgrid"),
        "http_host": "127.0.0.1",
        "http_port": 8000,
        "database_url": None,
        "database_read_url": None,
        "redis_url": None,
        "broker_host": None,
        "broker_port": None,
        "broker_listen_host": "127.0.0.1",
        "broker_username": None,
        "broker_password_file": None,
        "broker_ca_file": None,
        "broker_cert_file": None,
        "broker_key_file": None,
        "notice_networks": "",
        "ray_address": None,
        "demo": True,
        "history_raw_days": 14,
        "history_minute_days": 3660,
        "grid_carbon_file": None,
        "cors_origins": (),
        "four_eyes": "auto",
        "shadow_plans": 12,
        "keys_kept_days": 14,
        "reports_kept_days": 400,
        "device_records_kept_days": 400,
        "log_level": "INFO",
        "log_format": "json",
    }


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_HTTP_PORT", "9001")
    monkeypatch.setenv("PARKGRID_DEMO", "false")
    settings = load_settings(http_port=9002, demo=None)
    assert (settings.http_port, settings.demo) == (9002, False)


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_HTTP_PROT", "9001")
    message = refused()
    assert "PARKGRID_HTTP_PROT: unknown; known are" in message
    assert "PARKGRID_HTTP_PORT" in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_PORT", "0", "PARKGRID_HTTP_PORT: Input should be greater than or equal to 1"),
        ("HTTP_PORT", "high", "PARKGRID_HTTP_PORT: Input should be a valid integer"),
        ("LOG_LEVEL", "LOUD", "PARKGRID_LOG_LEVEL: Input should be 'DEBUG', 'INFO'"),
        ("BROKER_HOST", "mqtt.example", "set PARKGRID_DEMO=false (--no-demo)"),
        ("BROKER_KEY_FILE", "key.pem", "broker_cert_file and broker_key_file go together"),
        ("BROKER_USERNAME", "me", "broker_username and broker_password_file go together"),
    ],
)
def test_a_wrong_value_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"PARKGRID_{name}", value)
    assert expected in refused()


def test_an_account_on_the_embedded_broker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_BROKER_USERNAME", "me")
    monkeypatch.setenv("PARKGRID_BROKER_PASSWORD_FILE", "password")
    assert "the embedded broker makes its own accounts" in refused()


def test_a_password_in_the_database_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_DATABASE_URL", "postgresql://ops:hunter2@db/parkgrid")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("@db/parkgrid")
    # Nor when another value is wrong.
    monkeypatch.setenv("PARKGRID_HTTP_PORT", "0")
    assert "hunter2" not in refused()


def test_a_secret_is_the_one_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    assert read_secret(path) == "s3cret"
    path.write_text("\n")
    with pytest.raises(ConfigError, match="the secret is empty"):
        read_secret(path)
    with pytest.raises(ConfigError, match="the secret cannot be read"):
        read_secret(tmp_path / "none")


def test_networks_for_notices_are_networks() -> None:
    settings = load_settings(notice_networks="10.1.0.0/16, fd00::/8")
    assert settings.notice_network_list == ("10.1.0.0/16", "fd00::/8")
    with pytest.raises(ConfigError, match="NOTICE_NETWORKS"):
        load_settings(notice_networks="intranet")
