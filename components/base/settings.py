"""Settings: read once, from the environment and `.env`, then frozen."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.fx import BadInput, bad_input_of

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.1.0"
"""The platform's version, as `pyproject.toml` says it."""


class Settings(BaseSettings):
    """Everything that an operator can set, as ``SEQUENCE_<NAME>`` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="SEQUENCE_", env_file=ROOT / ".env", frozen=True, extra="ignore")

    home: Path = Field(ROOT / "output_central", description="folder of every database and artefact that the platform makes")
    host: str = Field("127.0.0.1", description="address on which the API and the dashboard listen")
    api_port: int = Field(5000, ge=1, le=65535, description="port of the HTTP API")
    dashboard_port: int = Field(8504, ge=1, le=65535, description="port of the dashboard")
    desk_port: int = Field(5001, ge=1, le=65535, description="loopback port on which the desk is told of new ticks")
    database_url: str | None = Field(None, description="reserved: a server database instead of SQLite files; refused until that path exists")
    dask: str | None = Field(None, description="address of a Dask scheduler that does the points of sweeps, such as tcp://host:8786")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged")

    @property
    def api_url(self) -> str:
        """Address of the API."""
        return f"http://{self.host}:{self.api_port}"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process.

    Raises
    ------
    BadInput
        Naming the variable and what is wrong with it.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = bad_input_of(error, "SEQUENCE_", Settings)
        raise BadInput(wrong.field.upper(), wrong.message.removeprefix(f"{wrong.field}: ")) from None
    if settings.database_url:
        raise BadInput("SEQUENCE_DATABASE_URL", "a server database is not supported yet; unset it to use the SQLite files")
    return settings
