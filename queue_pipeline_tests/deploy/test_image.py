"""The image: its steps are scripts that run here too, into an empty place, and what they make runs without rights."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest

from queue_pipeline_tests.deploy.files import DEPLOY, IMAGE, dockerfile, image_environment
from queue_pipeline_tests.docs.markdown import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("build", "k8s", "llm")
#: Needed to build the project, and small: the packages that the script for packages is tried with.
FEW = {"click", "setuptools"}
RUNS = [shlex.split(words) for name, words in dockerfile() if name == "RUN"]
TARGET, HOME = "/srv/queue_pipeline", image_environment()["QUEUE_PIPELINE_HOME"]


def _locked(lock: Path) -> dict[str, str]:
    """Each requirement of a lock file by its name: version, markers and hashes as they stand."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    return {line.partition("==")[0]: line for line in text.splitlines() if line.strip()}


def _version(line: str) -> str:
    return line.partition("==")[2].split()[0]


def _sources() -> Iterator[str]:
    """What the Dockerfile takes from the repository."""
    for name, words in dockerfile():
        if name == "COPY" and not words.startswith("--from"):
            yield from words.split()[:-1]


def test_every_step_is_a_script_and_ends_as_an_account_without_rights() -> None:
    assert [Path(words[1]).name for words in RUNS] == ["packages.sh", "project.sh", "account.sh"]
    assert all(words[0] == "sh" for words in RUNS)
    (user,) = [words for name, words in dockerfile() if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes must see that it is not root"
    assert f"chown {user} " in (DEPLOY / "image" / "account.sh").read_text(encoding="utf-8")
    assert [name for name, _ in dockerfile()][-1] == "HEALTHCHECK"


def test_the_base_is_named_by_its_whole_tag_and_no_registry_by_its_host() -> None:
    (tag,) = {words.split()[0] for name, words in dockerfile() if name == "FROM"}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", tag)
    for path in [DEPLOY / "Dockerfile", *(DEPLOY / "image").glob("*.sh"), DEPLOY / "requirements.lock"]:
        text = path.read_text(encoding="utf-8")
        assert "index-url" not in text
        assert not re.findall(r"https?://(?!127\.0\.0\.1)", text), path.name
    assert f"-t {IMAGE} " in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_lock_holds_what_the_project_and_its_extras_ask_for_at_the_versions_that_are_tested() -> None:
    lock, tested = _locked(DEPLOY / "requirements.lock"), _locked(REPOSITORY / "requirements.lock")
    asked = [*PROJECT["dependencies"], *(r for extra in EXTRAS for r in PROJECT["optional-dependencies"][extra])]
    assert {re.split(r"[\[=<>~]", requirement)[0] for requirement in asked} <= set(lock)
    assert {name: _version(line) for name, line in tested.items()}.items() <= {
        name: _version(line) for name, line in lock.items()
    }.items()
    assert [name for name, line in lock.items() if "--hash=sha256:" not in line] == []


def test_what_is_copied_exists_and_nothing_private_reaches_the_builder() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    for source in _sources():
        path = source.rstrip("/")
        assert (REPOSITORY / path).exists(), path
        assert any(fnmatch(path, rule) or path.startswith(f"{rule}/") for rule in let_in), path
    assert next(rule for rule in rules if not rule.startswith(("!", "#"))) == "*"
    assert not any(path.startswith((".env", ".queue_pipeline", ".git", "queue_pipeline_tests")) for path in let_in)


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="the account's script changes owners, which needs root")
def test_the_steps_make_a_program_that_an_account_without_rights_can_run(open_tmp: Path) -> None:
    """Two of the packages come through the script, the rest are borrowed: all of them would take minutes."""
    build = open_tmp / "build"
    for source in _sources():
        _copy(REPOSITORY / source.rstrip("/"), build / source.rstrip("/"))
    lock = _locked(build / "deploy" / "requirements.lock")
    (build / "deploy" / "requirements.lock").write_text("\n".join(lock[name] for name in FEW) + "\n", encoding="utf-8")
    packages, project, account = (_below(open_tmp, words) for words in RUNS)
    failed = _step(packages, build)
    if any(words in failed for words in ("No matching distribution", "ConnectionError", "connection broken")):
        pytest.skip("no package index can be reached from here")
    assert not failed
    target = Path(packages[2])
    (site,) = target.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    assert not _step(project, build)
    shutil.copy(DEPLOY / "image" / "account.sh", target / "share" / "queue_pipeline")
    shutil.copy(DEPLOY / "workspace.yaml", target / "share" / "queue_pipeline")
    assert not _step(account, open_tmp)

    version = _as_the_account(open_tmp, "queue-pipeline", "--version")
    assert version.stdout.split()[-1] == metadata.version("queue-pipeline"), version.stderr
    where = _as_the_account(open_tmp, "python", "-c", "import queue_pipeline; print(queue_pipeline.__file__)")
    assert where.stdout.startswith(str(site)), "the installed project, not the checkout"
    check = _as_the_account(open_tmp, "queue-pipeline", "check", "--json")
    assert check.returncode == 2, check.stdout + check.stderr
    troubled = [each["what"] for each in json.loads(check.stdout)["checks"] if each["problems"]]
    assert troubled == ["database"], "everything but the database, which is not there, is good"
    written = _as_the_account(open_tmp, "sh", "-c", f"touch {open_tmp}{HOME}/a && ! touch {open_tmp}{TARGET}/dagster/a")
    assert written.returncode == 0, written.stderr


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, place)


def _below(root: Path, words: list[str]) -> list[str]:
    """A step of the image with its absolute paths below another root."""
    return [f"{root}{word}" if word.startswith("/") else word for word in words]


def _step(words: list[str], directory: Path) -> str:
    """Run one step with this Python; the error's text, empty when it went well."""
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    step = ["env", f"PATH={path}", *words]
    done = subprocess.run(step, cwd=directory, capture_output=True, text=True, timeout=200)
    return done.stdout + done.stderr + f"exit code {done.returncode}" if done.returncode else ""


def _as_the_account(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run as the image's user with the image's environment, wherever this machine keeps its Python."""
    environment = {**image_environment(), "QUEUE_PIPELINE_UI_PASSWORD": "u", "CRON_SECRET": "c"}
    environment["QUEUE_PIPELINE_DATABASE_URL"] = "postgresql://queue_pipeline:p@127.0.0.1:1/queue_pipeline"
    for name in ("DAGSTER_HOME", "QUEUE_PIPELINE_HOME"):
        environment[name] = f"{root}{environment[name]}"
    environment["PATH"] = f"{root}{TARGET}/bin:/usr/bin:/bin"
    user = next(words for name, words in dockerfile() if name == "USER").partition(":")[0]
    # A Python below root's own directory may be read by the one capability that lets nobody write.
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=+dac_read_search"]
    become += ["--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    # env looks the program up on the new PATH.
    return subprocess.run(
        [*become, "env", *words], cwd=f"{root}{HOME}", env=environment, capture_output=True, text=True, timeout=120
    )
