"""Settings are read once, from the environment and `.env`, and every problem is told at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import available_timezones

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "QUEUE_PIPELINE_"
ENV_FILE_NAME = "QUEUE_PIPELINE_ENV_FILE"
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?", re.IGNORECASE)
_POSTGRES_SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?$")


class SettingsError(Exception):
    """One or more settings cannot be used; `problems` names each setting, its value and the remedy."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{count} in the settings:", *(f"  - {problem}" for problem in problems)]))


class Settings(BaseSettings):
    """Everything that an operator may choose. Secrets never show themselves in a repr, a log or an error."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    database_url: str | None = Field(default=None, repr=False)
    """libpq URL of the application's PostgreSQL (14 or newer); None means the embedded server."""
    dagster_database_url: str | None = Field(default=None, repr=False)
    """libpq URL for Dagster's own storage; None means schema `dagster` beside ours."""
    home: Path = Path(".queue_pipeline")
    """Embedded data, Dagster's home, logs and sockets; always absolute after loading."""
    handlers: Annotated[tuple[str, ...], NoDecode] = ()
    """Import paths of modules that register handlers, besides the shipped ones."""
    shards: int = Field(default=4, ge=1, le=100)

    cron_secret: SecretStr | None = Field(default=None, validation_alias="CRON_SECRET")
    slack_bot_token: SecretStr | None = Field(default=None, validation_alias="SLACK_BOT_TOKEN")
    slack_channel: str | None = Field(default=None, validation_alias="SLACK_CHANNEL")
    slack_api_url: str = Field(default="https://slack.com/api/", validation_alias="SLACK_API_URL")
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    model: str | None = None
    """Name of the language model that drafts replies at `openai_base_url`; None means the embedded template."""
    judge_model: str | None = None
    """Name of the language model that judges replays, at the same address; None means `model`, else fixed rules."""
    draft_timeout_seconds: int = Field(default=30, ge=1, le=100)
    """For one call of the model, below the deadline of `lead.inbound` (120 s)."""
    allowed_links: Annotated[tuple[str, ...], NoDecode] = ()
    """Links that a draft may contain in every workspace, such as the team's booking page."""
    timezone: str = "UTC"
    """Where the team is (IANA name): the zone of times in drafts that name none."""

    send_provider: Literal["outbox", "http", "smtp"] = "outbox"
    """Who carries customer-visible messages when a handler names nobody; `outbox` keeps them here to be read."""
    send_http_url: str | None = None
    send_http_token: SecretStr | None = None
    send_http_idempotency_seconds: int = Field(default=86_400, ge=0)
    """How long the HTTP provider remembers an Idempotency-Key; 0 means that it has no such thing."""
    send_http_lookup: bool = True
    """Whether the HTTP provider answers GET {send_http_url}/by-key/{key}."""
    smtp_url: SecretStr | None = None
    """smtp://user:password@example.com:587 (STARTTLS when offered) or smtps://…:465."""
    mail_from: str | None = None
    sends_enabled: bool = True
    """The default of flag `sends.enabled`; the database overrides it (`queue-pipeline flags`)."""
    drafts_auto_send: bool = False
    """The default of flag `drafts.auto_send`: send a draft that passed every gate without a review."""
    drain_parallel: bool = True
    """The default of flag `drain.parallel`: jobs of one workspace may run beside each other."""
    recovery_mode: Literal["off", "observe", "enforce"] = "enforce"
    """The default of flag `recovery.mode`."""
    rollback_mode: Literal["off", "observe", "enforce"] = "enforce"
    """The default of flag `rollback.mode`."""
    capacity_mode: Literal["off", "observe", "enforce"] = "observe"
    """The default of flag `capacity.mode`."""

    webhook_secret_generic: SecretStr | None = None
    webhook_secret_gohighlevel: SecretStr | None = None
    webhook_secret_emailbison: SecretStr | None = None
    webhook_secret_inboxxia: SecretStr | None = None
    webhook_secret_unipile: SecretStr | None = None

    environment: str = Field(default="local", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    """Which installation this is; part of every alert's key."""
    alert_mention: str | None = None
    """Whom a page calls, as Slack writes it: <@U0123> or <!subteam^S0123>."""
    runbook_url: str = "docs/runbook.md"
    """Where alerts point to; their anchor is added."""

    ui_host: str = "127.0.0.1"
    ui_port: int = Field(default=3000, ge=1, le=65535)
    ui_password: SecretStr | None = None
    """The UI's login; None means none, and then only this machine may use it."""
    ui_origin: str | None = None
    """Where people find the UI behind a reverse proxy, as a browser writes it: scheme, host and perhaps a port."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=3001, ge=1, le=65535)

    batch_size: int = Field(default=20, ge=1, le=1000)
    concurrency: int = Field(default=4, ge=1, le=64)
    workers_max: int | None = Field(default=None, ge=1, le=4096)
    """The most handlers at once that capacity control may ask for; None means 64, or as many as configured."""
    provider_rate_max: float | None = Field(default=None, gt=0)
    """Jobs per second that the providers behind the handlers bear; capacity control stays below. None: not known."""
    drain_budget_seconds: int = Field(default=300, ge=1, le=840)
    """Below the 15-minute stale cutoff, so that a drain hands over before anyone calls it stale."""
    linger_seconds: int = Field(default=20, ge=0, le=840)
    keep_jobs_days: int = Field(default=30, ge=1, le=36_500)
    """Finished jobs are deleted by the daily job `retention` after so many days; see domain.retention for the rest."""

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _speaks_postgresql(cls, url: str | None) -> str | None:
        return None if url is None else _libpq_url(url)

    @field_validator("slack_api_url", "openai_base_url", "send_http_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc):
            raise ValueError("give a whole URL such as https://api.example.com/v1")
        return url

    @field_validator("ui_origin")
    @classmethod
    def _is_an_origin(cls, origin: str | None) -> str | None:
        if origin is not None and not _ORIGIN.fullmatch(origin):
            raise ValueError("give scheme and host, and the port if it is unusual, such as https://queue.example.com")
        return None if origin is None else _as_browsers_write_it(origin)

    @field_validator("home")
    @classmethod
    def _made_absolute(cls, home: Path) -> Path:
        return Path(os.path.abspath(home.expanduser()))  # noqa: PTH100 - resolve() would follow symlinks the operator chose

    @field_validator("handlers", "allowed_links", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("give a name of the IANA time zone database, such as Europe/Berlin")
        return name

    @field_validator("smtp_url")
    @classmethod
    def _speaks_smtp(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
                raise ValueError("write smtp://user:password@example.com:587 or smtps://user:password@example.com:465")
        return url

    @field_validator("handlers")
    @classmethod
    def _are_import_paths(cls, handlers: tuple[str, ...]) -> tuple[str, ...]:
        for path in handlers:
            if not _IMPORT_PATH.fullmatch(path):
                raise ValueError(f"{path!r} is not an import path; write my_app.jobs,other.module")
        return handlers

    @model_validator(mode="after")
    def _agree_with_each_other(self) -> Self:
        if self.ui_port == self.http_port:
            raise ValueError(
                f"{PREFIX}UI_PORT and {PREFIX}HTTP_PORT are both {self.ui_port}; give each a port of its own"
            )
        if self.ui_origin is not None and self.ui_password is None:
            raise ValueError(
                f"{PREFIX}UI_ORIGIN={self.ui_origin} shows the UI to others, and it has no login; "
                f"set {PREFIX}UI_PASSWORD"
            )
        if self.send_provider == "http" and self.send_http_url is None:
            raise ValueError(f"{PREFIX}SEND_PROVIDER=http needs {PREFIX}SEND_HTTP_URL, its messages endpoint")
        if self.send_provider == "smtp" and (self.smtp_url is None or self.mail_from is None):
            raise ValueError(f"{PREFIX}SEND_PROVIDER=smtp needs {PREFIX}SMTP_URL and {PREFIX}MAIL_FROM")
        if self.workers_max is not None and self.workers_max < self.shards:
            raise ValueError(
                f"{PREFIX}WORKERS_MAX={self.workers_max} is less than one handler for each of {self.shards} shards; "
                f"raise it, or lower {PREFIX}SHARDS"
            )
        if self.linger_seconds > self.drain_budget_seconds:
            raise ValueError(
                f"{PREFIX}LINGER_SECONDS={self.linger_seconds} is longer than {PREFIX}DRAIN_BUDGET_SECONDS="
                f"{self.drain_budget_seconds}; a drain cannot linger past its budget, so lower the first"
            )
        return self

    def as_environment(self) -> dict[str, str]:
        """The variables that give a child process exactly these settings, secrets included, whatever its directory."""
        environment = {ENV_FILE_NAME: os.devnull}
        for field in type(self).model_fields:
            value = getattr(self, field)
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            text = ",".join(text) if isinstance(text, tuple) else text
            environment[environment_name(field)] = "" if text is None else str(text)
        return environment


def load_settings() -> Settings:
    """Settings from the environment, then `.env` (or the file that QUEUE_PIPELINE_ENV_FILE names).

    Raises SettingsError that lists every problem, with secrets left out.
    """
    env_file = Path(os.environ.get(ENV_FILE_NAME, ".env"))
    given = _given(env_file)
    problems = _misspelled(given)
    try:
        settings = Settings(_env_file=env_file, _env_file_encoding="utf-8")
    except ValidationError as error:
        problems += [_sentence(detail, given) for detail in error.errors(include_url=False)]
    if problems:
        raise SettingsError(problems)
    return settings


def environment_name(field: str) -> str:
    """Name of the environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def _given(env_file: Path) -> Mapping[str, str]:
    """All values that were given, by upper-case name; the environment outranks the file."""
    try:
        in_file = dotenv_values(env_file, encoding="utf-8") if env_file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{env_file} cannot be read ({error}); make it a UTF-8 file that you may read"]) from error
    merged = {**in_file, **os.environ}
    return {name.upper(): value for name, value in merged.items() if value}


def _misspelled(given: Mapping[str, str]) -> list[str]:
    known = [environment_name(field) for field in Settings.model_fields]
    problems = []
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known and name != ENV_FILE_NAME:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            remedy = f"did you mean {close[0]}?" if close else "see .env.example for the names, or unset it"
            problems.append(f"{name} is not a setting; {remedy}")
    return problems


def _sentence(detail: Any, given: Mapping[str, str]) -> str:
    """One pydantic error as `NAME=value: reason`."""
    reason = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return str(reason)
    name = str(detail["loc"][0])
    name = environment_name(name) if name in Settings.model_fields else name.upper()
    return f"{name}={_shown(name, given.get(name, ''))}: {reason}"


def _shown(name: str, value: str) -> str:
    if any(word in name for word in ("SECRET", "TOKEN", "API_KEY", "UI_PASSWORD", "SMTP_URL")):
        return "(secret)"
    return without_password(value) if name.endswith("DATABASE_URL") else value


def without_password(url: str) -> str:
    """The URL with its password replaced by `***`, fit for a log; anything unreadable is hidden whole."""
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return "(unreadable)"
    if not parts.scheme or "password=" in url:
        return "(hidden: it is not a plain postgresql:// URL)"
    user = f"{user.partition(':')[0]}:***" if ":" in user else user
    return urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, parts.query, ""))


def _as_browsers_write_it(origin: str) -> str:
    """Lower case, and without the port that the scheme means anyway."""
    parts = urlsplit(origin.lower())
    usual = parts.port in {None, {"http": 80, "https": 443}[parts.scheme]}
    return f"{parts.scheme}://{parts.netloc.removesuffix(f':{parts.port}') if usual else parts.netloc}"


def _libpq_url(url: str) -> str:
    """`postgres://` and SQLAlchemy's `postgresql+driver://` mean the same server as `postgresql://`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"it is not a URL ({error}); write postgresql://user:password@host:5432/name") from None
    if not _POSTGRES_SCHEME.match(parts.scheme):
        raise ValueError("only PostgreSQL is supported; write postgresql://user:password@host:5432/name")
    if parts.path in {"", "/"}:
        raise ValueError("it names no database; write postgresql://user:password@host:5432/name")
    return f"postgresql{url[len(parts.scheme) :]}"
