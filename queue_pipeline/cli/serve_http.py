"""`queue-pipeline serve-http`: the ingress in the foreground."""

from __future__ import annotations

import click

from queue_pipeline.settings import load_settings


@click.command("serve-http")
@click.option("--host", help="Listen here instead of QUEUE_PIPELINE_HTTP_HOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="Listen there instead of QUEUE_PIPELINE_HTTP_PORT.")
def serve_http(host: str | None, port: int | None) -> None:
    """Serve the webhooks, the cron endpoint, /healthz, /readyz and /metrics until Ctrl-C or SIGTERM.

    `up` does this for you. Beyond loopback CRON_SECRET must be set.
    """
    from queue_pipeline.http.server import bind, serve
    from queue_pipeline.http.webhooks import without_secret

    changes = {name: value for name, value in (("http_host", host), ("http_port", port)) if value is not None}
    settings = load_settings().model_copy(update=changes)
    with bind(settings) as listening:
        host_name = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
        click.echo(f"The ingress listens on http://{host_name}:{settings.http_port}.", err=True)
        if settings.cron_secret is None:
            click.echo("CRON_SECRET is not set: only programs on this machine may call the cron endpoint.", err=True)
        if note := without_secret(settings):
            click.echo(note, err=True)
        serve(settings, listening)


commands: list[click.Command] = [serve_http]
