"""Draft with a language model."""

import json

from pydantic import BaseModel

from queue_pipeline.leads import draft_prompt
from queue_pipeline.leads.language_model import REMEDY, LanguageModel, causes, is_installed
from queue_pipeline.leads.ports import Drafted, DrafterFailed, DraftRequest
from queue_pipeline.leads.template_drafter import subject_of_reply

_SUBJECT_MAX = 500
_BODY_MAX = 20_000


class _Reply(BaseModel):
    subject: str = ""
    body: str


class OpenAIDrafter:
    """Asks a model for a reply, once, within the time that the request gives. It never tries again by itself."""

    def __init__(self, *, model: str, base_url: str | None, api_key: str | None) -> None:
        self._model = LanguageModel(model=model, base_url=base_url, api_key=api_key)

    def draft(self, request: DraftRequest) -> Drafted:
        """The model's reply. Raises DrafterFailed, whatever goes wrong."""
        if not is_installed():
            raise DrafterFailed("model_not_installed", f"the packages for the language model are missing; {REMEDY}")
        message = draft_prompt.user_message(request)
        try:
            reply, took = self._model.ask(
                _Reply, instructions=draft_prompt.SYSTEM, message=message, seconds=request.seconds
            )
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
            drafter=f"language model {self._model.model}",
            is_template=False,
            usage={
                "model": self._model.model,
                "prompt": draft_prompt.VERSION,
                "prompt_sha256": draft_prompt.SHA256,
                **took,
            },
        )


def _subject(subject: str, request: DraftRequest) -> str:
    usual = subject_of_reply(request.message)
    return (" ".join(subject.replace("\x00", "").split())[:_SUBJECT_MAX] or usual) if usual else ""


def _failure(error: Exception) -> DrafterFailed:
    """What a failure means, by its class and status. Texts of the endpoint are left out: they may hold anything."""
    import openai
    from pydantic_ai import exceptions as ai

    chain = causes(error)
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
