"""The only module that knows every concrete part: which database, which handlers, which sink."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.domain.errors import DatabaseUnavailable, Misconfigured
from queue_pipeline.domain.evidence_packet import EvidencePacket
from queue_pipeline.domain.flag import (
    CAPACITY_MODE,
    DRAFTS_AUTO_SEND,
    DRAIN_PARALLEL,
    RECOVERY_MODE,
    ROLLBACK_MODE,
    SENDS_ENABLED,
    spelled,
)
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.engine import inbound
from queue_pipeline.engine.alert import Alerting
from queue_pipeline.engine.capacity import policy_of
from queue_pipeline.engine.evidence_facts import Installation
from queue_pipeline.engine.evidence_packet import gather, keep
from queue_pipeline.engine.flags import set_defaults
from queue_pipeline.engine.handlers import Registry, load_handlers, registry
from queue_pipeline.engine.lead import LeadBook
from queue_pipeline.engine.notification import NotificationPoster
from queue_pipeline.engine.send_provider import send_providers
from queue_pipeline.engine.teller import Teller
from queue_pipeline.integrations import embedded_postgres, packet_chart, packet_files
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.integrations.embedded_data import data_directory
from queue_pipeline.integrations.http_provider import NAME as NAME_OF_HTTP
from queue_pipeline.integrations.http_provider import HttpProvider
from queue_pipeline.integrations.server_account import EmbeddedPostgresError
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.integrations.smtp_provider import NAME as NAME_OF_SMTP
from queue_pipeline.integrations.smtp_provider import SmtpProvider
from queue_pipeline.leads import language_model, openai_drafter, ports, template_drafter
from queue_pipeline.leads.replay.freezing import Team
from queue_pipeline.leads.replay.judge import Judge
from queue_pipeline.leads.replay.openai_judge import OpenAIJudge
from queue_pipeline.leads.replay.rubric_judge import RubricJudge
from queue_pipeline.leads.replay.session import Benchmark, versions
from queue_pipeline.leads.samples import SAMPLES
from queue_pipeline.leads.template_drafter import TemplateDrafter
from queue_pipeline.settings import Settings
from queue_pipeline.store.dagster_schema import DAGSTER_SCHEMA
from queue_pipeline.store.evidence_packet import KeptPacket
from queue_pipeline.store.session import Database

#: Modules that register the shipped handlers.
SHIPPED_HANDLERS = ("queue_pipeline.leads.inbound", "queue_pipeline.leads.send_draft", "queue_pipeline.leads.drill")


def database_url(settings: Settings) -> str:
    """libpq URL of the queue's database: the configured one, or the embedded server of this home."""
    return settings.database_url or embedded_postgres.embedded_url(settings.home)


def dagster_database_url(settings: Settings) -> str:
    """SQLAlchemy URL of Dagster's storage: schema `dagster`, in the queue's database unless another is configured."""
    parts = urlsplit(settings.dagster_database_url or database_url(settings))
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -csearch_path={DAGSTER_SCHEMA}".strip()
    return f"postgresql+psycopg2://{parts.netloc}{parts.path}?{urlencode(query, quote_via=quote)}"


def open_database(settings: Settings, *, application: str = "queue_pipeline") -> Database:
    """The queue's database. Nothing is connected yet, so this does not fail when the server is away."""
    return Database(database_url(settings), application=application)


@contextmanager
def database_at_work(
    settings: Settings, *, create: bool = False, application: str = "queue_pipeline cli"
) -> Iterator[Database]:
    """The queue's database while the block runs. An embedded server that rests is started for as long as it is needed.

    With `create` an embedded database is made if there is none. Raises DatabaseUnavailable when there is none, or
    when its server does not start.
    """
    with nullcontext() if settings.database_url else _embedded_server(settings, create):
        database = open_database(settings, application=application)
        try:
            yield database
        finally:
            database.dispose()


@contextmanager
def _embedded_server(settings: Settings, create: bool) -> Iterator[None]:
    if not create and not (data_directory(settings.home) / "PG_VERSION").exists():
        raise DatabaseUnavailable(
            f"There is no embedded database in {settings.home} yet. Run `queue-pipeline up` or "
            "`queue-pipeline migrate`, or set QUEUE_PIPELINE_HOME or QUEUE_PIPELINE_DATABASE_URL."
        )
    server = embedded_postgres.running(settings.home)
    try:
        server.__enter__()
    except EmbeddedPostgresError as error:
        raise DatabaseUnavailable(str(error)) from error
    try:
        yield
    finally:
        server.__exit__(None, None, None)


def load_registry(settings: Settings) -> Registry:
    """The handlers that are shipped and those that the settings name. Raises Misconfigured for a module that fails."""
    bind_sending(settings)
    load_handlers([*SHIPPED_HANDLERS, *settings.handlers])
    database = open_database(settings, application="queue_pipeline leads")
    ports.bind(
        ports.LeadServices(
            book=LeadBook(database),
            notifier=_new_poster(settings, database),
            drafter=_drafter(settings),
            timezone=settings.timezone,
            allowed_links=settings.allowed_links,
            draft_timeout_seconds=settings.draft_timeout_seconds,
        )
    )
    return registry


def model_problems(settings: Settings) -> list[str]:
    """What keeps the language model that the settings name from being asked; nothing when they name none."""
    if settings.model is None and settings.judge_model is None:
        return []
    problems = [] if language_model.is_installed() else [f"The model's packages are missing; {language_model.REMEDY}."]
    if settings.openai_base_url is None and settings.openai_api_key is None:
        name = "QUEUE_PIPELINE_MODEL" if settings.model is not None else "QUEUE_PIPELINE_JUDGE_MODEL"
        problems.append(f"{name} needs OPENAI_BASE_URL (any compatible endpoint) or OPENAI_API_KEY.")
    return problems


def replay_benchmark(settings: Settings) -> Benchmark:
    """Who drafts and who judges in a replay. Raises Misconfigured where production would quietly use the template."""
    problems = model_problems(settings)
    if problems:
        raise Misconfigured(" ".join(problems))
    return Benchmark(drafter=_drafter(settings), drafter_name=_drafter_name(settings), judge=_judge(settings))


def replay_team(settings: Settings) -> Team:
    """What frozen leads are given of this installation: where the team is, and its links."""
    return Team(timezone=settings.timezone, allowed_links=settings.allowed_links)


def new_evidence_packet(settings: Settings, database: Database, *, canary_id: int | None = None) -> EvidencePacket:
    """Measure everything that a rollout needs to know, and make a packet of it; nothing is kept yet.

    Raises NotFound, DatabaseUnavailable.
    """
    installation = Installation(
        environment=settings.environment,
        sink=_sink(settings).name,
        drafter=None if model_problems(settings) else _drafter_name(settings),
        versions={**versions(), "dagster": metadata.version("dagster")},
    )
    return gather(database, installation, packet_chart.drawn, canary_id=canary_id)


def keep_evidence_packet(settings: Settings, database: Database, packet: EvidencePacket) -> tuple[KeptPacket, Path]:
    """Keep a packet in the database, and its files under the home; gives their folder.

    Raises Misconfigured, DatabaseUnavailable.
    """
    return keep(database, packet), packet_files.write(settings.home, packet)


def _drafter_name(settings: Settings) -> str:
    return template_drafter.NAME if settings.model is None else f"language model {settings.model}"


def _judge(settings: Settings) -> Judge:
    """The language model that judges, else fixed rules."""
    model = settings.judge_model or settings.model
    if model is None:
        return RubricJudge()
    return OpenAIJudge(
        model=model,
        base_url=settings.openai_base_url,
        api_key=None if settings.openai_api_key is None else settings.openai_api_key.get_secret_value(),
    )


def _drafter(settings: Settings) -> ports.Drafter:
    """The language model that the settings name, else the template."""
    if settings.model is None or (settings.openai_base_url is None and settings.openai_api_key is None):
        return TemplateDrafter()
    return openai_drafter.OpenAIDrafter(
        model=settings.model,
        base_url=settings.openai_base_url,
        api_key=None if settings.openai_api_key is None else settings.openai_api_key.get_secret_value(),
    )


def bind_sending(settings: Settings) -> None:
    """The providers that the settings name, and the defaults of the flags."""
    set_defaults(
        {
            SENDS_ENABLED: spelled(settings.sends_enabled),
            DRAFTS_AUTO_SEND: spelled(settings.drafts_auto_send),
            DRAIN_PARALLEL: spelled(settings.drain_parallel),
            RECOVERY_MODE: settings.recovery_mode,
            ROLLBACK_MODE: settings.rollback_mode,
            CAPACITY_MODE: settings.capacity_mode,
        }
    )
    if settings.send_http_url is not None:
        provider = HttpProvider(
            settings.send_http_url,
            token=None if settings.send_http_token is None else settings.send_http_token.get_secret_value(),
            idempotency_seconds=settings.send_http_idempotency_seconds,
            lookup=settings.send_http_lookup,
        )
        send_providers.register(provider, default=settings.send_provider == NAME_OF_HTTP)
    if settings.smtp_url is not None and settings.mail_from is not None:
        mail = SmtpProvider(settings.smtp_url.get_secret_value(), sender=settings.mail_from)
        send_providers.register(mail, default=settings.send_provider == NAME_OF_SMTP)


def first_start(settings: Settings) -> int:
    """Load the sample leads if the queue has never had a job; returns how many were loaded."""
    load_registry(settings)
    database = open_database(settings)
    try:
        if inbound.ever_used(database):
            return 0
        deliveries = [
            inbound.Delivery(
                workspace=workspace,
                provider="sample",
                payload={"provider": "sample", **payload},
                dedupe_key=payload["provider_event_id"],
            )
            for workspace, payload in SAMPLES
        ]
        answers = inbound.accept(database, deliveries)
        return sum(answer.acceptance is inbound.Acceptance.ACCEPTED for answer in answers)
    finally:
        database.dispose()


def capacity_policy(settings: Settings) -> CapacityPolicy:
    """The knobs of capacity control for this installation."""
    return policy_of(
        shards=settings.shards,
        concurrency=settings.concurrency,
        workers_max=settings.workers_max,
        provider_rate_max=settings.provider_rate_max,
    )


def teller(settings: Settings, database: Database) -> Teller:
    """Alerts and notifications of this installation, to Slack where it is configured, else to the console."""
    sink, console = _sink(settings), ConsoleSink()
    alerting = Alerting(
        environment=settings.environment,
        sink=sink,
        fallback=console,
        mention=settings.alert_mention,
        runbook_url=settings.runbook_url,
    )
    return Teller(database, alerting, sink, shard_names(settings.shards), capacity=capacity_policy(settings))


def where_alerts_go(settings: Settings) -> str:
    """One sentence for the start of anything that alerts."""
    if isinstance(_sink(settings), SlackSink):
        return f"Alerts and notifications go to Slack, channel {settings.slack_channel}."
    missing = " and no ".join(
        name
        for name, value in (("SLACK_BOT_TOKEN", settings.slack_bot_token), ("SLACK_CHANNEL", settings.slack_channel))
        if value is None
    )
    return f"No {missing}: alerts and notifications go to the console."


def finish_delivering(*, seconds: float = 3.0) -> None:
    """Give the notifications of this process's handlers a moment to leave; what is left, others deliver."""
    for poster in _posters:
        poster.flush(seconds=seconds)


_posters: list[NotificationPoster] = []


def _new_poster(settings: Settings, database: Database) -> NotificationPoster:
    """The poster that handlers wake; an earlier one of this process ends."""
    for earlier in _posters:
        earlier.close(seconds=0.0)
    _posters[:] = [NotificationPoster(database, _sink(settings), by="drain")]
    return _posters[0]


def _sink(settings: Settings) -> SlackSink | ConsoleSink:
    if settings.slack_bot_token is None or settings.slack_channel is None:
        return ConsoleSink()
    return SlackSink(settings.slack_bot_token.get_secret_value(), settings.slack_channel, settings.slack_api_url)
