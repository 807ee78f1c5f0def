"""The settings of an installation: from the environment (``PARKGRID_...``), refused when unknown.

Secrets are named by file, never written here: the files of the data directory, and those that
``broker_password_file`` and ``broker_key_file`` point to. The values that may hold a password,
the URLs, are shown only to who asks for them by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from controllers.alarms.addresses import parse_networks
from controllers.kernel.errors import ConfigError

PREFIX = "PARKGRID_"


Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?\z")]
FourEyes = Literal["auto", "always", "never"]


class Settings(BaseSettings):
    """Everything that may differ between installations; see ``docs/operations.md``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Path(".parkgrid")
    """The data directory: database, actor state, broker accounts, secrets, logs."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(8000, ge=1, le=65_535)
    database_url: SecretStr | None = None
    """sqlite, postgresql, mysql or mariadb; none keeps SQLite in the data directory."""
    database_read_url: SecretStr | None = None
    """A read replica of that database; none reads everything from it."""
    redis_url: SecretStr | None = None
    """Shares rate limits between replicas of the API; none counts in each."""
    broker_host: str | None = None
    """An MQTT broker that runs elsewhere; none starts the embedded one."""
    broker_port: int | None = Field(None, ge=1, le=65_535)
    """None: 1883, with TLS 8883; for simulated devices any free one."""
    broker_listen_host: str = "127.0.0.1"
    """Where the embedded broker listens; anything but loopback demands certificate and key."""
    broker_username: str | None = None
    """Our account on a broker elsewhere."""
    broker_password_file: Path | None = None
    broker_ca_file: Path | None = None
    """Signs the broker's certificate; switches TLS on."""
    broker_cert_file: Path | None = None
    """Certificate of the embedded broker; on a broker elsewhere, ours as a client."""
    broker_key_file: Path | None = None
    notice_networks: str = ""
    """Networks such as 10.1.0.0/16, separated by commas, to which notices of alarms may go although
    they are not public."""
    ray_address: str | None = None
    """A Ray cluster to join; none starts one on this machine."""
    demo: bool = True
    """Simulate the park's devices."""
    history_raw_days: int = Field(14, ge=2, le=400)
    """Samples as they came are kept for so long; also how late a backfilled one may be."""
    history_minute_days: int = Field(3_660, ge=31, le=36_600)
    """One-minute history is kept for so long."""
    grid_carbon_file: Path | None = None
    """CSV of dated emission factors of the grid; none takes the park's country's, if known."""
    cors_origins: tuple[Origin, ...] = ()
    """Pages from elsewhere that may use the API from a browser, as a JSON list."""
    four_eyes: FourEyes = "auto"
    """Whether releasing a kill switch, changing limits and promoting an optimizer wait for a second
    person."""
    shadow_plans: int = Field(12, ge=1, le=1000)
    """Plans in a row that an optimizer must have made in shadow, and all held, to be promoted."""
    keys_kept_days: int = Field(14, ge=1, le=3_660)
    """A repeated request finds its first answer for so long."""
    reports_kept_days: int = Field(400, ge=7, le=36_600)
    """Delivery reports are kept for so long."""
    device_records_kept_days: int = Field(400, ge=31, le=36_600)
    """Connectivity, ended commands and firmware of devices are kept for so long."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    @property
    def notice_network_list(self) -> tuple[str, ...]:
        """The networks of ``notice_networks``."""
        return tuple(name.strip() for name in self.notice_networks.split(",") if name.strip())

    @field_validator("notice_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        try:
            parse_networks(name for name in value.split(",") if name.strip())
        except ConfigError as error:
            raise ValueError(error.problems[0]) from error
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Settings:
        if self.broker_host is not None and self.demo:
            raise ValueError(
                "broker_host: simulated devices have accounts on the embedded broker only; "
                "set PARKGRID_DEMO=false (--no-demo)"
            )
        if (self.broker_cert_file is None) != (self.broker_key_file is None):
            raise ValueError("broker_cert_file and broker_key_file go together")
        if (self.broker_username is None) != (self.broker_password_file is None):
            raise ValueError("broker_username and broker_password_file go together")
        if self.broker_host is None and self.broker_username is not None:
            raise ValueError("broker_username: the embedded broker makes its own accounts")
        return self


def load_settings(**overrides: Any) -> Settings:
    """Return the settings: overrides that are not None, else environment, else default.

    Raises:
        ConfigError: an unknown name or a wrong value; names every one of them, but no value.
    """
    _refuse_unknown(os.environ)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            if item["loc"]
            else item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        ]
        # Without the cause: it would show the values, and one of them may be a secret.
        raise ConfigError("settings", problems) from None


def read_secret(path: Path) -> str:
    """Return the one line in a secret file.

    Raises:
        ConfigError: unreadable or empty.
    """
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"{path}: the secret cannot be read"]) from error
    if not secret:
        raise ConfigError(str(path), [f"{path}: the secret is empty"])
    return secret


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    unknown = [
        name
        for name in sorted(environment)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]
    if unknown:
        known_text = ", ".join(sorted(known))
        raise ConfigError("settings", [f"{n}: unknown; known are {known_text}" for n in unknown])
