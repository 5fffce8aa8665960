"""The adapter against a real HTTP server: what it says, what it makes of answers, and how long it takes."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from queue_pipeline.domain.alert_text import AlertText
from queue_pipeline.domain.posting import Ambiguous, NotPosted, NotSent, Refused
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.integrations.slack_blocks import blocks_of, text_of
from queue_pipeline.store.notification import Notice
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


def sink_of(slack: SlackServer) -> SlackSink:
    return SlackSink(TOKEN, CHANNEL, slack.url.rstrip("/"))


def a_text(headline: str = "[test] FIRING", *, mention: str = "", facts: int = 2) -> AlertText:
    return AlertText(
        headline=headline,
        facts=tuple((f"Fact {number}", "<b> & 'c'") for number in range(facts)),
        happens_next="Recovery goes on.",
        mention=mention,
        runbook="https://wiki.example.com/runbook#stale-run",
        context="test:stale_run:drain",
        identity={"dedup_key": "test:stale_run:drain", "generation": 3, "seq": 1, "what": "root"},
    )


def a_notice(number: int, text: str = "acme: drafted") -> Notice:
    return Notice(number, text, "outcome", LONG_AGO, 0, "t", unresolved=False)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("429", NotSent), ("ratelimited", NotSent),
        ("500", Ambiguous), ("drop", Ambiguous), ("drop_before", Ambiguous), ("garbage", Ambiguous),
        ("fatal_error", Ambiguous), ("internal_error", Ambiguous),
        ("invalid_auth", Refused), ("channel_not_found", Refused), ("missing_scope", Refused),
    ],
)  # fmt: skip
def test_every_answer_is_not_sent_refused_or_ambiguous_and_none_is_tried_twice(
    slack: SlackServer, answer: str, error: type[NotPosted]
) -> None:
    slack.retry_after = "30"
    slack.next_answers("chat.postMessage", answer)
    with pytest.raises(NotPosted) as raised:
        sink_of(slack).post_root(a_text(), seconds=3)
    assert type(raised.value) is error
    assert len(slack.calls) == 1
    assert TOKEN not in str(raised.value)


def test_a_rate_limit_that_fits_into_the_time_is_waited_out_once(slack: SlackServer) -> None:
    slack.retry_after = "0"
    slack.next_answers("chat.postMessage", "429", "ok")
    assert sink_of(slack).post_root(a_text(), seconds=4).channel == CHANNEL
    slack.next_answers("chat.postMessage", "429", "429", "ok")
    with pytest.raises(NotSent):
        sink_of(slack).post_root(a_text(), seconds=4)


@pytest.mark.parametrize("retry_after", ["40", "soon", "-1"])
def test_a_rate_limit_that_does_not_fit_is_left_to_the_next_turn(slack: SlackServer, retry_after: str) -> None:
    slack.retry_after = retry_after
    slack.next_answers("chat.postMessage", "429")
    with pytest.raises(NotSent) as raised:
        sink_of(slack).post_root(a_text(), seconds=3)
    assert raised.value.retry_after == (40 if retry_after == "40" else 1)


def test_a_server_that_hangs_costs_the_given_time_and_no_more(slack: SlackServer) -> None:
    slack.next_answers("chat.postMessage", "hang")
    began = time.monotonic()
    with pytest.raises(Ambiguous):
        sink_of(slack).post_root(a_text(), seconds=1)
    assert time.monotonic() - began < 5


def test_a_server_that_drips_an_answer_for_ever_costs_the_given_time_and_no_more() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.1):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        sink = SlackSink(TOKEN, CHANNEL, f"http://127.0.0.1:{listening.getsockname()[1]}/api/")
        began = time.monotonic()
        with pytest.raises(Ambiguous):
            sink.post_root(a_text(), seconds=1)
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(5)


def test_calls_that_never_end_are_not_piled_up(slack: SlackServer) -> None:
    sink = sink_of(slack)
    sink._under_way = 5
    with pytest.raises(NotSent, match="have not ended"):
        sink.post_root(a_text(), seconds=1)
    assert slack.calls == []


def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(NotSent, match="ECONNREFUSED"):
        SlackSink(TOKEN, CHANNEL, f"http://127.0.0.1:{port}/api/").post_root(a_text(), seconds=2)


def test_a_name_that_does_not_resolve_was_not_sent_to() -> None:
    with pytest.raises(NotPosted):
        SlackSink(TOKEN, CHANNEL, "http://slack.invalid/api/").post_root(a_text(), seconds=3)


def test_only_the_mention_is_markup(slack: SlackServer) -> None:
    text = a_text("<!channel> & <b>", mention="<@U0ONCALL>")
    assert text_of(text).startswith("<@U0ONCALL> &lt;!channel&gt; &amp; &lt;b&gt;")
    assert "<!channel>" not in str(blocks_of(text)[1:])
    assert blocks_of(text)[0]["text"]["type"] == "plain_text"


def test_the_blocks_stay_within_what_slack_takes(slack: SlackServer) -> None:
    blocks = blocks_of(a_text("x" * 5000, facts=25))
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if "text" in block)
    assert [len(block["fields"]) for block in blocks if "fields" in block] == [10, 10, 5]
    assert len(blocks) <= 50


def test_a_root_is_found_by_its_identity_and_no_other(slack: SlackServer) -> None:
    sink = sink_of(slack)
    place = sink.post_root(a_text(), seconds=3)
    identity = {**a_text().identity, "seq": 9}
    found = sink.find(identity, root=None, since=LONG_AGO, seconds=3)
    assert found is not None
    assert (found.ts, found.seq) == (place.ts, 1)
    assert sink.find({**identity, "generation": 4}, root=None, since=LONG_AGO, seconds=3) is None
    asked = [
        body for (method, _), body in zip(slack.calls, slack.bodies, strict=True) if method == "conversations.history"
    ]
    assert asked[0]["include_all_metadata"] == "1"
    assert float(asked[0]["oldest"]) <= LONG_AGO.timestamp() - 60


def test_notices_are_joined_escaped_and_found_again(slack: SlackServer) -> None:
    sink = sink_of(slack)
    sink.post_notices([a_notice(1), a_notice(2, "two\nlines <!here>")], seconds=3)
    (message,) = slack.messages
    assert message["text"] == "acme: drafted\ntwo lines &lt;!here&gt;"
    assert sink.find_notices(since=LONG_AGO, seconds=3) == {1, 2}


def test_the_library_logs_neither_the_token_nor_a_text(slack: SlackServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        sink_of(slack).post_root(a_text("the words of an alert"), seconds=3)
        slack.next_answers("chat.postMessage", "drop")
        with pytest.raises(Ambiguous):
            sink_of(slack).post_root(a_text("the words of an alert"), seconds=3)
    assert TOKEN not in caplog.text
    assert "the words of an alert" not in caplog.text
