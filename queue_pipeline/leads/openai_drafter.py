"""Draft with a language model at any OpenAI-compatible endpoint. Its packages are the extra `llm`, imported on use."""

import asyncio
import importlib.util
import json
import time
from collections.abc import Coroutine
from typing import Any

from pydantic import BaseModel

from queue_pipeline.leads import draft_prompt
from queue_pipeline.leads.ports import Drafted, DrafterFailed, DraftRequest
from queue_pipeline.leads.template_drafter import subject_of_reply

#: What to do when the packages are missing.
REMEDY = "install them with: pip install 'queue-pipeline[llm]'"
_CONNECT_SECONDS = 5.0
_SUBJECT_MAX = 500
_BODY_MAX = 20_000
#: How often the model may correct an answer that is not in the agreed form, within the same time.
_CORRECTIONS = 1


class _Reply(BaseModel):
    subject: str = ""
    body: str


def is_installed() -> bool:
    """Whether the packages of the extra `llm` are there. Imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in ("pydantic_ai", "openai"))


class OpenAIDrafter:
    """Asks a model for a reply, once, within the time that the request gives. It never tries again by itself."""

    def __init__(self, *, model: str, base_url: str | None, api_key: str | None) -> None:
        self._model = model
        self._base_url = base_url
        self._api_key = api_key

    def draft(self, request: DraftRequest) -> Drafted:
        """The model's reply. Raises DrafterFailed, whatever goes wrong."""
        if not is_installed():
            raise DrafterFailed("model_not_installed", f"the packages for the language model are missing; {REMEDY}")
        started = time.monotonic()
        try:
            reply, usage = _run(self._ask(request))
        except DrafterFailed:
            raise
        except Exception as error:
            raise _failure(error) from error
        body = reply.body.strip().replace("\x00", "")
        if not body:
            raise DrafterFailed("model_empty", "the language model wrote nothing")
        if len(body) > _BODY_MAX:
            raise DrafterFailed("model_garbage", f"the language model wrote {len(body)} characters")
        return Drafted(
            subject=_subject(reply.subject, request),
            body=body,
            drafter=f"language model {self._model}",
            is_template=False,
            usage={
                "model": self._model,
                "prompt": draft_prompt.VERSION,
                "prompt_sha256": draft_prompt.SHA256,
                "requests": usage.requests,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "seconds": round(time.monotonic() - started, 3),
            },
        )

    async def _ask(self, request: DraftRequest) -> tuple[_Reply, Any]:
        from openai import AsyncOpenAI, Timeout
        from pydantic_ai import Agent, PromptedOutput
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles import ModelProfile
        from pydantic_ai.providers.openai import OpenAIProvider

        timeout = Timeout(request.seconds, connect=min(_CONNECT_SECONDS, request.seconds))
        async with (
            asyncio.timeout(request.seconds),
            AsyncOpenAI(
                base_url=self._base_url, api_key=self._api_key or "none", timeout=timeout, max_retries=0
            ) as client,
        ):
            model = OpenAIChatModel(
                self._model,
                provider=OpenAIProvider(openai_client=client),
                # The form is asked for in words only: every server takes that, and not every one a response format.
                profile=ModelProfile(supports_json_object_output=False),
            )
            agent = Agent(
                model,
                output_type=PromptedOutput(_Reply),
                instructions=draft_prompt.SYSTEM,
                retries={"tools": 0, "output": _CORRECTIONS},
            )
            result = await agent.run(draft_prompt.user_message(request))
            return result.output, result.usage


def _run(coroutine: Coroutine[Any, Any, tuple[_Reply, Any]]) -> tuple[_Reply, Any]:
    """Run to the end in a loop of its own, and wait for nothing else: a hanging name lookup must not hold the job."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def _subject(subject: str, request: DraftRequest) -> str:
    usual = subject_of_reply(request.message)
    return (" ".join(subject.replace("\x00", "").split())[:_SUBJECT_MAX] or usual) if usual else ""


def _failure(error: Exception) -> DrafterFailed:
    """What a failure means, by its class and status. Texts of the endpoint are left out: they may hold anything."""
    import openai
    from pydantic_ai import exceptions as ai

    chain = _chain(error)
    status = next((e.status_code for e in chain if isinstance(e, (openai.APIStatusError, ai.ModelHTTPError))), None)
    if status is not None:
        return _refused(status, chain)
    if any(isinstance(e, (TimeoutError, openai.APITimeoutError)) for e in chain):
        return DrafterFailed("model_slow", "the language model did not answer in time")
    if any(isinstance(e, (openai.APIConnectionError, ConnectionError)) for e in chain):
        why = "the language model's endpoint could not be reached or dropped the connection"
        return DrafterFailed("model_unavailable", why, worth_a_retry=True)
    if any(isinstance(e, ai.ContentFilterError) for e in chain):
        return DrafterFailed("model_declined", "the language model declined to answer")
    if any(isinstance(e, (ai.UnexpectedModelBehavior, json.JSONDecodeError)) for e in chain):
        return DrafterFailed("model_garbage", "the language model's answer was not in the agreed form")
    return DrafterFailed("model_failed", f"the language model could not be asked ({type(error).__name__})")


def _refused(status: int, chain: list[BaseException]) -> DrafterFailed:
    if status == 429:
        why = "the language model's endpoint is busy (HTTP 429)"
        return DrafterFailed("model_busy", why, worth_a_retry=True, after_seconds=_retry_after(chain))
    if status in (401, 403):
        return DrafterFailed("model_refused", f"the language model's endpoint refuses the key (HTTP {status})")
    if status >= 500:
        return DrafterFailed("model_unavailable", f"the language model's endpoint failed (HTTP {status})")
    return DrafterFailed("model_refused", f"the language model's endpoint refused the request (HTTP {status})")


def _retry_after(chain: list[BaseException]) -> float | None:
    for error in chain:
        response = getattr(error, "response", None)
        text = None if response is None else response.headers.get("retry-after")
        if text is not None and text.strip().isdigit():
            return float(text)
    return None


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
