"""The Dagster UI as `up` serves it: a real process, real requests, a real WebSocket; with no password and with one."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from queue_pipeline_tests.defs.test_definitions import ROOT
from queue_pipeline_tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("webserver")  # two servers, started once
PASSWORD = "correct hörse: battery"
PUBLIC = "https://queue.example.com"
EVIL = "http://evil.example"
VERSION = {"query": "{version}"}
HTML = {"accept": "text/html"}
_LIMIT = "mutation{setConcurrencyLimit(concurrencyKey:%s,limit:1)}"
REPORT = "/report_asset_materialization/some_table"


class Ui:
    """A running webserver and a client that sends neither Origin nor credentials of its own accord."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self.process = process
        self.log = log
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text("utf-8")
        with suppress(httpx.TransportError):
            self.client.get("/server_info")
            return True
        return False

    def graphql(self, query: str, **headers: str) -> httpx.Response:
        return self.client.post("/graphql", json={"query": query}, headers=_sent(headers))

    def handshake(self, host: str | None = None, **headers: str) -> dict[str, Any]:
        """The first answer on the WebSocket of /graphql; InvalidStatus when the handshake is refused."""
        with (
            closing(socket.create_connection(("127.0.0.1", self.port))) as connected,
            connect(
                f"ws://{host or f'127.0.0.1:{self.port}'}/graphql",
                sock=connected, subprotocols=["graphql-ws"], additional_headers=_sent(headers), proxy=None,  # type: ignore[list-item]
            ) as websocket,
        ):  # fmt: skip
            websocket.send('{"type": "connection_init"}')
            answer = websocket.recv(timeout=20)
        return httpx.Response(200, text=str(answer)).json()  # type: ignore[no-any-return]

    def limits(self, auth: tuple[str, str] | None = None) -> set[str]:
        """The names that mutations have given a concurrency limit: what was executed."""
        query = {"query": "{instance{concurrencyLimits{concurrencyKey}}}"}
        answer = self.client.post("/graphql", json=query, auth=auth or httpx.USE_CLIENT_DEFAULT).json()
        return {limit["concurrencyKey"] for limit in answer["data"]["instance"]["concurrencyLimits"]}


def _sent(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def limit(key: str) -> str:
    return _LIMIT % f'"{key}"'


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running_ui(home: Path, **settings: str) -> Iterator[Ui]:
    """The webserver on an instance of its own without code locations, ended with SIGTERM."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "workspace.yaml").write_text("load_from: []\n")
    port = free_port()
    environment = {
        **os.environ,  # noqa: TID251 - handed on to a real process
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "QUEUE_PIPELINE_UI_PORT": str(port),
        **settings,
    }
    command = [sys.executable, "-m", "queue_pipeline.defs.webserver", "--workspace", str(home / "workspace.yaml")]
    with (home / "webserver.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    ui = Ui(port, process, home / "webserver.log")
    try:
        eventually(ui.answers, within=90, what="the UI to answer", every=0.1)
        yield ui
        process.terminate()
        process.wait(timeout=40)
        assert "Traceback" not in ui.log.read_text("utf-8")
    finally:
        ui.client.close()
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """As `up` starts it by default: on loopback, no password."""
    with running_ui(tmp_path_factory.mktemp("open") / "dagster") as running:
        yield running


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """For others, behind a proxy."""
    settings = {"QUEUE_PIPELINE_UI_PASSWORD": PASSWORD, "QUEUE_PIPELINE_UI_ORIGIN": PUBLIC}
    with running_ui(tmp_path_factory.mktemp("gated") / "dagster", **settings) as running:
        yield running


def test_a_program_on_this_machine_may_query_and_act(ui: Ui) -> None:
    assert ui.graphql("{version}").json()["data"]["version"]
    assert ui.graphql(limit("by-a-program")).json()["data"] == {"setConcurrencyLimit": True}
    assert "by-a-program" in ui.limits()


def test_the_uis_own_page_may_query_and_act_also_through_a_tunnel(ui: Ui) -> None:
    assert (
        ui.graphql("{version}", origin=f"http://127.0.0.1:{ui.port}", sec_fetch_site="same-origin").status_code == 200
    )
    tunnel = ui.graphql("{version}", host="localhost:8080", origin="http://localhost:8080")
    assert tunnel.json()["data"]["version"]


def test_the_pages_are_dagsters_own_and_only_we_may_frame_them(ui: Ui) -> None:
    answer = ui.client.get("/", headers=HTML)
    assert answer.status_code == 200
    assert "content-security-policy" in answer.headers
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    script = re.search(r'src="(/[^"]+\.js)"', answer.text)
    assert script is not None
    assert ui.client.get(script[1]).status_code == 200
    assert ui.client.get("/server_info").json()["dagster_version"]


def test_a_link_from_another_site_opens_the_ui(ui: Ui) -> None:
    headers = {**HTML, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ui.client.get("/runs", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3000", "user@localhost", "192.0.2.7", ""]
)
@pytest.mark.parametrize("path", ["/", "/server_info"])
def test_a_name_that_was_made_to_point_here_is_refused(ui: Ui, host: str, path: str) -> None:
    answer = ui.client.get(path, headers={"host": host})
    assert answer.status_code == 403
    assert "QUEUE_PIPELINE_UI_ORIGIN" in answer.text


def test_a_rebound_page_cannot_act_although_host_and_origin_agree(ui: Ui) -> None:
    assert ui.graphql(limit("rebound"), host="evil.example", origin=EVIL).status_code == 403
    assert "rebound" not in ui.limits()


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:1", "https://127.0.0.1:{port}", "http://127.0.0.1"])
def test_another_page_cannot_act(ui: Ui, origin: str) -> None:
    origin = origin.format(port=ui.port)
    answer = ui.graphql(limit("forged"), origin=origin)
    assert answer.status_code == 403
    assert origin in answer.text
    assert "forged" not in ui.limits()


def test_a_form_of_another_page_cannot_act_either(ui: Ui) -> None:
    answer = ui.client.post("/graphql", params={"query": limit("form")}, headers={"origin": EVIL})
    assert answer.status_code == 403
    assert "form" not in ui.limits()


def test_another_page_cannot_report_an_asset(ui: Ui) -> None:
    assert ui.client.post(REPORT, json={}, headers={"origin": EVIL}).status_code == 403
    assert ui.client.post(REPORT, json={}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_the_browser_calls_foreign_is_refused_without_an_origin_too(ui: Ui, site: str) -> None:
    image = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert ui.client.get("/server_info", headers=image).status_code == 403
    form = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert ui.client.post(REPORT, json={}, headers=form).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_graphql_is_never_executed_on_get(ui: Ui, method: str) -> None:
    answer = ui.client.request(method, "/graphql", params={"query": limit("image-tag")})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert ui.client.get("/graphql", params=VERSION).status_code == 405
    assert "image-tag" not in ui.limits()


def test_the_graphiql_page_is_shown_and_executes_nothing(ui: Ui) -> None:
    answer = ui.client.get("/graphql", params={"query": limit("graphiql")}, headers=HTML)
    assert answer.status_code == 200
    assert "graphiql" in answer.text
    assert "graphiql" not in ui.limits()


def test_what_a_proxy_passes_on_is_refused_when_there_is_no_login(ui: Ui) -> None:
    answer = ui.graphql("{version}", x_forwarded_for="203.0.113.9")
    assert answer.status_code == 403
    assert "Set QUEUE_PIPELINE_UI_PASSWORD" in answer.text


def test_the_websocket_opens_for_our_page_and_for_programs(ui: Ui) -> None:
    assert ui.handshake() == {"type": "connection_ack"}
    assert ui.handshake(origin=f"http://127.0.0.1:{ui.port}") == {"type": "connection_ack"}


@pytest.mark.parametrize(("host", "headers"), [(None, {"origin": EVIL}), ("evil.example", {"origin": EVIL})])
def test_the_websocket_is_refused_to_another_page(ui: Ui, host: str | None, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        ui.handshake(host, **headers)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/server_info", "/graphql", "/favicon.png", "/no/such/page"])
def test_with_a_password_nothing_is_shown_without_it(gated: Ui, path: str) -> None:
    answer = gated.client.get(path, headers=HTML)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "QUEUE_PIPELINE_UI_PASSWORD" in answer.text


@pytest.mark.parametrize("user", ["queue-pipeline", "anybody", ""])
def test_with_the_password_any_user_may_query_and_act(gated: Ui, user: str) -> None:
    answer = gated.client.post("/graphql", json=VERSION, auth=(user, PASSWORD))
    assert answer.json()["data"]["version"]
    assert gated.client.get("/", headers=HTML, auth=(user, PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        httpx.BasicAuth("me", f"{PASSWORD}x")._auth_header,
        httpx.BasicAuth("me", PASSWORD[:-1])._auth_header,
        httpx.BasicAuth("me", "")._auth_header,
        "Basic",
        "Basic !!!",
        "Basic bm8gY29sb24=",
        "Bearer abc",
    ],
)
def test_a_wrong_or_unreadable_password_is_refused(gated: Ui, authorization: str) -> None:
    answer = gated.graphql(limit("wrong-password"), authorization=authorization)
    assert answer.status_code == 401
    assert PASSWORD not in answer.text
    assert "wrong-password" not in gated.limits(("me", PASSWORD))


def test_wrong_passwords_are_logged_and_never_shown(gated: Ui) -> None:
    gated.client.get("/", auth=("me", "a-guess"))
    told = "wrong password for the UI from 127.0.0.1"
    eventually(lambda: told in gated.log.read_text("utf-8"), within=30, what="the log to tell of the wrong password")
    log = gated.log.read_text("utf-8")
    assert "a-guess" not in log
    assert PASSWORD not in log


def test_behind_a_proxy_the_public_page_may_act_and_no_other(gated: Ui) -> None:
    def status(host: str, origin: str) -> int:
        headers = {"host": host, "origin": origin, "x-forwarded-for": "203.0.113.9"}
        return gated.client.post("/graphql", json=VERSION, headers=headers, auth=("me", PASSWORD)).status_code

    assert status("queue.example.com", PUBLIC) == 200
    assert status(f"127.0.0.1:{gated.port}", PUBLIC) == 200
    assert status("queue.example.com", "http://queue.example.com") == 403
    assert status("queue.example.com", EVIL) == 403
    assert status("evil.example", EVIL) == 403


def test_with_a_password_the_websocket_needs_it_too(gated: Ui) -> None:
    with pytest.raises(InvalidStatus) as refused:
        gated.handshake(origin=PUBLIC)
    assert refused.value.response.status_code == 401
    login = httpx.BasicAuth("me", PASSWORD)._auth_header
    assert gated.handshake(origin=PUBLIC, authorization=login) == {"type": "connection_ack"}
    with pytest.raises(InvalidStatus) as refused:
        gated.handshake(origin=EVIL, authorization=login)
    assert refused.value.response.status_code == 403


def test_a_ui_that_strangers_reach_does_not_start_without_a_password(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QUEUE_PIPELINE_UI_HOST": "0.0.0.0"}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-m", "queue_pipeline.defs.webserver", "--workspace", str(workspace)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 3
    assert "QUEUE_PIPELINE_UI_HOST=0.0.0.0" in done.stderr
    assert "Set QUEUE_PIPELINE_UI_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_refuses_it_before_anything_is_started(tmp_path: Path) -> None:
    environment = {
        **os.environ,  # noqa: TID251 - handed on to a real process
        "PYTHONPATH": str(ROOT),
        "QUEUE_PIPELINE_HOME": str(tmp_path / "home"),
        "QUEUE_PIPELINE_UI_HOST": "0.0.0.0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "queue_pipeline", "up"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 3
    assert "Set QUEUE_PIPELINE_UI_PASSWORD" in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()
