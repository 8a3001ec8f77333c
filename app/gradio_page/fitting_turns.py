"""Leaves out the oldest turns of a conversation that is too long for the model or for a request."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.api.error_responses import ApiError
from app.assistant import Assistant, Reply
from medtune.modeling.prompts import ChatMessage

if TYPE_CHECKING:
    from app.gradio_page.conversations import Turn

CHARACTERS = 8  # per token; the few texts with more lose one turn too many
SYSTEM_PROMPT = "system_prompt"


def ask_with_fitting_turns(
    assistant: Assistant, turn: "Turn", earlier: Sequence["Turn"], distress: str | None
) -> Reply:
    """Asks with as many of the newest earlier turns as fit.

    The guard also gets those that do not fit, and first the dropped question `distress`.
    """
    settings = dict(turn.settings)
    prompt = settings.pop(SYSTEM_PROMPT, "").strip()
    system = [{"role": "system", "content": prompt}] if prompt else []
    fitting = (assistant.engine.limits.max_messages - len(system) - 1) // 2
    kept = min(fitting, len(earlier))
    room = CHARACTERS * assistant.engine.limits.max_prompt_tokens
    while kept and sum(len(t.question) + len(t.answer) for t in earlier[-kept:]) > room:
        kept -= 1
    while True:
        turn.unread = turn.number - 1 - kept
        split = len(earlier) - kept
        messages = system + _messages(earlier[split:])
        messages.append({"role": "user", "content": turn.question})
        first: list[ChatMessage] = [{"role": "user", "content": distress}] if distress else []
        unread = first + _messages(earlier[:split])
        try:
            reply = assistant.ask(turn.model, messages, unread=unread, **settings)
            turn.notice, turn.distress = reply.remarks.notice, reply.remarks.distress
            return reply
        except ApiError as error:
            if error.code != "context_length_exceeded" or not kept:
                raise
            kept -= 1


def _messages(turns: Sequence["Turn"]) -> list[ChatMessage]:
    pairs = ((("user", turn.question), ("assistant", turn.answer)) for turn in turns)
    return [{"role": role, "content": text} for pair in pairs for role, text in pair]
