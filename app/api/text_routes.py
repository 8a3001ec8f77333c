"""The route of OpenAI's completions, which continue prompts and score given texts."""

import asyncio
import time
import uuid
from collections.abc import Coroutine, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from tokenizers.decoders import DecodeStream

from app.api.chat_bodies import Notice, Usage
from app.api.disconnects import unless_gone
from app.api.error_responses import ApiError
from app.api.field_types import stop_strings
from app.api.text_bodies import CompletionRequest, Logprobs, TextChoice, TextCompletion
from app.assistant import Assistant
from app.text_completion import Completer, Continuation

T = TypeVar("T")


def add_text_routes(app: FastAPI, assistant: Assistant) -> None:
    @app.post("/v1/completions")
    async def create_completion(body: CompletionRequest, request: Request) -> TextCompletion:
        """Continues prompts and, with `logprobs`, says how probable their tokens are.

        With `echo` and a length of 0 or 1 it only reads the prompts, as lm-evaluation-harness asks.
        Prompts that are continued further are questions to the guard.
        """
        completer = Completer(
            assistant,
            body.model,
            {
                "max_new_tokens": body.max_tokens,
                "temperature": body.temperature,
                "top_p": body.top_p,
                "frequency_penalty": body.frequency_penalty,
            },
            seed=body.seed,
            stop=stop_strings(body.stop),
            logprobs=body.logprobs,
        )
        prompts = [completer.ids_of(prompt) for prompt in prompts_of(body)]
        if len(prompts) > (most := assistant.engine.limits.max_rows):
            raise ApiError(400, f"a request has at most {most} prompts", "prompt")
        found = await unless_gone(request, all_or_none([completer.complete(p) for p in prompts]))
        choices = [
            choice_of(completer, number, each, bool(body.echo)) for number, each in enumerate(found)
        ]
        return TextCompletion(
            id=f"cmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=body.model,
            choices=choices,
            usage=_usage(found),
        )


def prompts_of(body: CompletionRequest) -> list[str | list[int]]:
    """Returns the prompts of a request, which may be one or a list of them."""
    given: Any = body.prompt
    return [given] if isinstance(given, str) or isinstance(given[0], int) else given


async def all_or_none(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Returns all results in order; if one fails, the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def choice_of(completer: Completer, number: int, found: Continuation, echo: bool) -> TextChoice:
    has_scores = completer.logprobs is not None and found.scores is not None
    return TextChoice(
        index=number,
        text=(completer.decode(found.prompt) if echo else "") + found.text,
        finish_reason=found.finish_reason,
        logprobs=logprobs_of(completer, found, echo) if has_scores else None,
        timed_out=found.timed_out,
        notice=Notice.model_validate(found.notice) if found.notice else None,
    )


def logprobs_of(completer: Completer, found: Continuation, echo: bool) -> Logprobs:
    assert found.scores is not None
    ids = found.prompt + found.ids
    start = 0 if echo else len(found.prompt)
    own: list[float | None] = [None, *found.scores.own]
    named: list[dict[str, float] | None] = [None]
    for token, score, likeliest in zip(
        ids[1:], found.scores.own, found.scores.likeliest, strict=False
    ):
        top: dict[str, float] = {}
        for other, value in [*likeliest[: completer.logprobs], (token, score)]:
            top.setdefault(completer.decode([other]), value)  # two tokens may have the same text
        named.append(top)
    pieces = pieces_of(completer, ids)
    pieces = pieces[start:]
    return Logprobs(
        tokens=pieces,
        token_logprobs=own[start:],
        top_logprobs=named[start:],
        text_offset=list(accumulate(map(len, pieces), initial=0))[: len(pieces)],
    )


def pieces_of(completer: Completer, ids: Sequence[int]) -> list[str]:
    """Returns what each token adds to the text."""
    stream, tokenizer = DecodeStream(), completer.assistant.encoder.tokenizer.backend_tokenizer
    return [stream.step(tokenizer, token) or "" for token in ids]


def _usage(found: Sequence[Continuation]) -> Usage:
    prompt = sum(len(each.prompt) for each in found)
    completion = sum(len(each.ids) for each in found)
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )
