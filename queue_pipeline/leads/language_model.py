"""Ask a language model at any OpenAI-compatible endpoint. Its packages are the extra `llm`, imported on use."""

import asyncio
import importlib.util
import time
from typing import Any, TypeVar

from pydantic import BaseModel

#: What to do when the packages are missing.
REMEDY = "install them with: pip install 'queue-pipeline[llm]'"
#: How often the model may correct an answer that is not in the agreed form, within the same time.
CORRECTIONS = 1
_CONNECT_SECONDS = 5.0
_Form = TypeVar("_Form", bound=BaseModel)


def is_installed() -> bool:
    """Whether the packages of the extra `llm` are there. Imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in ("pydantic_ai", "openai"))


class LanguageModel:
    """One model of one endpoint. It is asked once, within a time, and never tries again by itself."""

    def __init__(self, *, model: str, base_url: str | None, api_key: str | None) -> None:
        self.model = model
        self.base_url = base_url
        self._api_key = api_key

    def ask(
        self, form: type[_Form], *, instructions: str, message: str, seconds: float
    ) -> tuple[_Form, dict[str, float]]:
        """The answer in this form, and what it took: requests, input_tokens, output_tokens, seconds.

        Raises whatever goes wrong; `causes` tells what that was.
        """
        started = time.monotonic()
        # A loop of its own that waits for nothing else: a hanging name lookup must not hold the caller.
        loop = asyncio.new_event_loop()
        try:
            answer, usage = loop.run_until_complete(self._ask(form, instructions, message, seconds))
        finally:
            loop.close()
        took = {
            "requests": usage.requests,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "seconds": round(time.monotonic() - started, 3),
        }
        return answer, took

    async def _ask(self, form: type[_Form], instructions: str, message: str, seconds: float) -> tuple[_Form, Any]:
        from openai import AsyncOpenAI, Timeout
        from pydantic_ai import Agent, PromptedOutput
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles import ModelProfile
        from pydantic_ai.providers.openai import OpenAIProvider

        timeout = Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
        key = self._api_key or "none"
        async with (
            asyncio.timeout(seconds),
            AsyncOpenAI(base_url=self.base_url, api_key=key, timeout=timeout, max_retries=0) as client,
        ):
            model = OpenAIChatModel(
                self.model,
                provider=OpenAIProvider(openai_client=client),
                # The form is asked for in words only: every server takes that, and not every one a response format.
                profile=ModelProfile(supports_json_object_output=False),
            )
            agent = Agent(
                model,
                output_type=PromptedOutput(form),
                instructions=instructions,
                retries={"tools": 0, "output": CORRECTIONS},
            )
            result = await agent.run(message)
            return result.output, result.usage


def causes(error: BaseException) -> list[BaseException]:
    """The error and everything that led to it, itself first."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
