"""Judge with a language model."""

from urllib.parse import urlsplit

from queue_pipeline.leads.language_model import CORRECTIONS, REMEDY, LanguageModel, causes, is_installed
from queue_pipeline.leads.replay import judge_prompt
from queue_pipeline.leads.replay.failure import EndpointAway, JudgeFailed, ReplayFailure
from queue_pipeline.leads.replay.judge import Answer, JudgeIdentity, Opinion, Reply


class OpenAIJudge:
    """Asks a model for one opinion, once, within the time given. It never tries again by itself."""

    def __init__(self, *, model: str, base_url: str | None, api_key: str | None) -> None:
        self._model = LanguageModel(model=model, base_url=base_url, api_key=api_key)

    @property
    def identity(self) -> JudgeIdentity:
        """The model, our prompt, and the host that is asked."""
        address = self._model.base_url
        return JudgeIdentity(
            name=f"language model {self._model.model}",
            is_model=True,
            prompt_key=judge_prompt.KEY,
            prompt_version=judge_prompt.VERSION,
            prompt_sha256=judge_prompt.SHA256,
            system_prompt=judge_prompt.SYSTEM,
            model=self._model.model,
            endpoint_host=urlsplit(address).hostname if address else "api.openai.com",
            parameters={"output": "prompted JSON", "corrections": CORRECTIONS, "retries": 0},
        )

    def judge(self, reply: Reply, *, seconds: float) -> Answer:
        """The model's opinion. Raises EndpointAway or JudgeFailed, whatever goes wrong."""
        if not is_installed():
            raise EndpointAway(f"the packages for the language model are missing; {REMEDY}")
        message = judge_prompt.user_message(reply)
        try:
            opinion, took = self._model.ask(Opinion, instructions=judge_prompt.SYSTEM, message=message, seconds=seconds)
        except Exception as error:
            raise _failure(error) from error
        return Answer(opinion, took)


def _failure(error: Exception) -> ReplayFailure:
    """By the classes of an error and its causes. Texts of the endpoint are left out: they may hold anything."""
    import openai
    from pydantic_ai import exceptions as ai

    chain = causes(error)
    status = next((e.status_code for e in chain if isinstance(e, (openai.APIStatusError, ai.ModelHTTPError))), None)
    if status is not None:
        return EndpointAway(f"the judge's endpoint refused or failed (HTTP {status})")
    if any(isinstance(e, (TimeoutError, openai.APITimeoutError)) for e in chain):
        return EndpointAway("the judge did not answer in time")
    if any(isinstance(e, (openai.APIConnectionError, OSError)) for e in chain):
        return EndpointAway("the judge's endpoint could not be reached or dropped the connection")
    return JudgeFailed(f"the judge's answer was not in the agreed form ({type(error).__name__})")
