"""Slack as a sink of alerts and notifications: bounded time, no blind retries, and a look at what arrived.

The token needs `chat:write`. With `channels:history` (`groups:history` for a private channel) a message whose answer
was lost is found again; without it, it is posted a second time rather than never.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from queue_pipeline.domain.alert_text import AlertText
from queue_pipeline.domain.posting import Ambiguous, NotPosted, NotSent, Refused
from queue_pipeline.engine.alert_sink import Place
from queue_pipeline.integrations.slack_answer import failure_of, rate_limit_of
from queue_pipeline.integrations.slack_blocks import blocks_of, escaped, text_of
from queue_pipeline.store.notification import Notice

ALERT_EVENT = "queue_pipeline_alert"
NOTICES_EVENT = "queue_pipeline_notices"
#: How much earlier than our clock says a message is looked for: Slack's clock and the database's differ.
CLOCK_SKEW_SECONDS = 300.0
_PAGES_MAX = 20
_PAGE = 200
#: A call that is still under way after its time keeps its thread; more of them than this are not begun.
_ABANDONED_MAX = 4
_LINE_MAX = 500
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]+")  # a name is in lower case
#: The form was declined, not the words.
_FORM_PROBLEMS = ("msg_too_long", "msg_blocks_too_long", "invalid_blocks", "metadata_too_large")
_NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found")

#: The library writes requests and answers into its log; what matters is in the errors that are raised here.
_quiet = logging.getLogger("queue_pipeline.slack_sdk")
_quiet.setLevel(logging.CRITICAL + 1)


class _ShortRateLimit(RateLimitErrorRetryHandler):
    """Waits out a rate limit once, when the wait fits into the call's time."""

    def __init__(self, allowance: float) -> None:
        super().__init__(max_retry_count=1)
        self._allowance = allowance

    def _can_retry(self, *, state: Any, request: Any, response: Any = None, error: Any = None) -> bool:
        if response is None or response.status_code != 429:
            return False
        wait = rate_limit_of(response.headers)
        return wait is not None and wait + 1.0 <= self._allowance  # the handler adds up to a second


class SlackSink:
    """One channel of one workspace."""

    is_chat = True
    batch_max = 20
    pause_seconds = 1.0  # Slack takes about one message per second and channel

    def __init__(self, token: str, channel: str, api_url: str) -> None:
        self.name = f"slack:{channel}"
        self._token = token
        self._channel = channel
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._channel_id = channel if _CHANNEL_ID.fullmatch(channel) else None
        self._under_way = 0
        self._lock = threading.Lock()

    def post_root(self, text: AlertText, *, seconds: float) -> Place:
        """Post the message that stands for an incident. Raises NotPosted."""
        return self._post(text, None, seconds)

    def update_root(self, text: AlertText, root: Place, *, seconds: float) -> None:
        """Edit it. A message that is gone, or too old to be edited, is left alone. Raises NotPosted."""
        identity = {**text.identity, "what": "root"}
        try:
            self._call(
                "chat.update",
                seconds,
                channel=root.channel,
                ts=root.ts,
                text=text_of(text),
                blocks=blocks_of(text),
                metadata=_metadata(ALERT_EVENT, identity),
            )
        except Refused as error:
            if not any(code in str(error) for code in _NOT_EDITABLE):
                raise

    def reply(self, text: AlertText, root: Place, *, seconds: float) -> Place | None:
        """Post into the thread of the root; None when that thread is gone. Raises NotPosted."""
        try:
            return self._post(text, root, seconds)
        except Refused as error:
            if any(code in str(error) for code in _NOT_EDITABLE):
                return None
            raise

    def find(
        self, identity: Mapping[str, str | int], *, root: Place | None, since: datetime, seconds: float
    ) -> Place | None:
        """The message with this identity, by its metadata. Raises NotPosted; Refused when reading is not allowed."""
        names = ("dedup_key", "generation", "what") if root is None else ("dedup_key", "generation", "what", "seq")
        channel = root.channel if root is not None else self._known_channel(seconds)
        for message in self._messages(channel, root, since, seconds):
            payload = _payload_of(message, ALERT_EVENT)
            if all(payload.get(name) == identity[name] for name in names):
                return Place(channel, str(message["ts"]), seq=int(payload.get("seq", 0)))
        return None

    def post_notices(self, notices: Sequence[Notice], *, seconds: float) -> None:
        """Post these notices as one message, a line each. Raises NotPosted."""
        lines = [escaped(" ".join(notice.text.split()), _LINE_MAX) for notice in notices]
        ids = [notice.notification_id for notice in notices]
        self._call(
            "chat.postMessage",
            seconds,
            channel=self._channel,
            text="\n".join(lines),
            unfurl_links=False,
            unfurl_media=False,
            metadata=_metadata(NOTICES_EVENT, {"ids": ids}),
        )

    def find_notices(self, *, since: datetime, seconds: float) -> set[int]:
        """The notices that arrived since then. Raises NotPosted; Refused when reading is not allowed."""
        found: set[int] = set()
        for message in self._messages(self._known_channel(seconds), None, since, seconds):
            ids = _payload_of(message, NOTICES_EVENT).get("ids")
            found |= {int(each) for each in ids} if isinstance(ids, list) else set()
        return found

    def _post(self, text: AlertText, root: Place | None, seconds: float) -> Place:
        message: dict[str, Any] = {
            "channel": self._channel if root is None else root.channel,
            "text": text_of(text),
            "metadata": _metadata(ALERT_EVENT, text.identity),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if root is not None:
            message["thread_ts"] = root.ts
        try:
            answer = self._call("chat.postMessage", seconds, blocks=blocks_of(text), **message)
        except Refused as error:
            if not any(problem in str(error) for problem in _FORM_PROBLEMS):
                raise
            answer = self._call("chat.postMessage", seconds, **message)  # refused for its form: the words alone
        channel, ts = answer.get("channel"), answer.get("ts")
        if not (isinstance(channel, str) and channel and isinstance(ts, str) and ts):
            raise Ambiguous("Slack's answer names no message.")
        self._channel_id = channel if root is None else self._channel_id
        return Place(channel, ts)

    def _known_channel(self, seconds: float) -> str:
        """The channel's id, which reading needs; looked up by its name when nothing was posted yet."""
        if self._channel_id is None:
            name = self._channel.lstrip("#")
            try:
                pages = self._pages("conversations.list", "channels", seconds, exclude_archived=True)
                self._channel_id = next((str(each["id"]) for each in pages if each.get("name") == name), None)
            except Refused:
                return self._channel
        return self._channel_id or self._channel

    def _messages(
        self, channel: str, root: Place | None, since: datetime, seconds: float
    ) -> Iterator[Mapping[str, Any]]:
        wanted: dict[str, Any] = {"channel": channel, "include_all_metadata": True}
        if root is not None:
            return self._pages("conversations.replies", "messages", seconds, ts=root.ts, **wanted)
        oldest = f"{since.timestamp() - CLOCK_SKEW_SECONDS:.6f}"
        return self._pages("conversations.history", "messages", seconds, oldest=oldest, **wanted)

    def _pages(self, method: str, items: str, seconds: float, **wanted: Any) -> Iterator[Mapping[str, Any]]:
        """The items of all pages, within `seconds` together. Raises NotPosted."""
        ends = time.monotonic() + seconds
        cursor = ""
        for _ in range(_PAGES_MAX):
            if (left := ends - time.monotonic()) <= 0:
                raise NotSent(f"{method} took longer than {seconds:.0f} s.")
            answer = self._call(method, left, limit=_PAGE, **wanted, **({"cursor": cursor} if cursor else {}))
            yield from (item for item in answer.get(items) or () if isinstance(item, dict))
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    def _call(self, method: str, seconds: float, **arguments: Any) -> Mapping[str, Any]:
        """One call of Slack's API, over after `seconds` whatever the server does. Raises NotPosted."""
        client = WebClient(
            self._token,
            base_url=self._api_url,
            timeout=seconds,  # type: ignore[arg-type] # it is handed to urllib, which takes fractions
            retry_handlers=[_ShortRateLimit(seconds / 2)],
            logger=_quiet,
        )
        form: dict[str, Any] = {"json": arguments} if method.startswith("chat.") else {"params": arguments}

        def work() -> Mapping[str, Any]:
            try:
                data = client.api_call(method, **form).data
            except Exception as error:  # noqa: BLE001 - whatever it is, the message may or may not have arrived
                raise failure_of(method, error) from None  # its text and its request carry what belongs in no log
            if not isinstance(data, dict):
                raise Ambiguous(f"Slack's answer to {method} is not readable.")
            return data

        return self._within(seconds + 0.5, method, work)

    def _within(self, seconds: float, method: str, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """A socket's timeout bounds each read, not all of them; this bounds them all."""
        with self._lock:
            if self._under_way > _ABANDONED_MAX:
                raise NotSent(f"{self._under_way} earlier calls of Slack have not ended.")
            self._under_way += 1
        result: Future[Mapping[str, Any]] = Future()

        def run() -> None:
            try:
                result.set_result(work())
            except NotPosted as error:
                result.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - the caller must hear of it, not this thread's hook
                result.set_exception(Ambiguous(f"{method}: {type(error).__name__}"))
            finally:
                with self._lock:
                    self._under_way -= 1

        threading.Thread(target=run, name="queue-pipeline-slack", daemon=True).start()
        try:
            return result.result(timeout=seconds)
        except TimeoutError:
            raise Ambiguous(f"Slack gave no whole answer to {method} in time.") from None


def _metadata(event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {"event_type": event, "event_payload": dict(payload)}


def _payload_of(message: Mapping[str, Any], event: str) -> Mapping[str, Any]:
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != event:
        return {}
    payload = metadata.get("event_payload")
    return payload if isinstance(payload, dict) else {}
