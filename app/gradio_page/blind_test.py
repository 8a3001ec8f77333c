"""The tab where readers vote on two answers without knowing which model has written which.

The page gets the two texts and nothing else, both at once, so that neither names nor times tell
them apart. Which is which stays on the server until the vote is in the file.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, get_args

import gradio as gr

from app.api.error_responses import ApiError
from app.feedback_file import append_line
from app.gradio_page.alerts import newest_alert
from app.gradio_page.blind_pairs import Pair, ShownPair, first_unseen
from app.gradio_page.conversations import Conversation, Conversations, Turn
from app.gradio_page.event_options import FREE, Updates
from app.gradio_page.formatting import sentence
from app.guard_remarks import own_words
from app.limits import MAX_TYPED_CHARACTERS
from medtune.judging.vote_file import OWN_QUESTION, VOTES, VoteChoice, read_votes
from medtune.runtime.errors import InputError

LONGEST_NAME = 40
SOONEST_S = 0.5  # an earlier vote was meant for the pair before
LABELS: dict[VoteChoice, str] = {
    "a": "A is better (1)",
    "b": "B is better (2)",
    "both_good": "Both good (3)",
    "both_bad": "Both bad (4)",
}
INTRODUCTION = (
    "<p>Two answers to one question, by the base model and by the fine-tuned model in random "
    "order: which is better? Vote with the buttons or the keys 1 to 4. You learn nothing about "
    "them by voting; <code>medtune votes</code> counts. Votes stay on the computer "
    "that runs this page (data/votes).</p>"
)
ALL_SEEN = "You have voted on all test questions. Ask your own, or run medtune votes."
NO_ANSWERS = "There are no recorded answers to test questions: ask your own question."


class BlindTestParts(NamedTuple):
    """The components of the tab that change."""

    voter: Any
    question: Any
    ask: Any
    alert: Any
    shown: Any
    choices: Any
    note: Any


class BlindTest:
    """The handlers of the tab; `adapter` is a digest of the fine-tuned weights."""

    def __init__(
        self,
        conversations: Conversations,
        pairs: Sequence[Pair],
        adapter: str,
        parts: BlindTestParts,
        path: Path = VOTES,
    ) -> None:
        self.conversations, self.pairs, self.adapter = conversations, pairs, adapter
        self.parts, self.path = parts, path

    async def next(self, voter: str | None, request: gr.Request) -> Updates:
        """Shows the next test question on whose answers this voter has not voted."""
        return {**await self._next(self._of(request), voter), self.parts.alert: ""}

    async def ask(self, question: str | None, request: gr.Request) -> AsyncIterator[Updates]:
        """Shows both models' answers to a question when both have ended."""
        conversation, parts = self._of(request), self.parts
        if not question or not question.strip():
            yield {parts.note: "Type a question first."}
            return
        conversation.shown = None
        yield {parts.note: "Both models answer …", parts.alert: "", **_hidden(parts)}
        turns: Sequence[Turn] = []
        told = False
        try:
            async with aclosing(conversation.answer_both(question, {})) as growing:
                async for turns in growing:
                    if turns[0].notice and not told:
                        told = True
                        yield {parts.alert: newest_alert(turns)}
        except (ApiError, InputError) as error:
            yield {parts.note: escape(sentence(str(error)))}
            return
        yield {parts.note: ""}
        base, finetuned = (self._text_of(turns, name) for name in ("base", "finetuned"))
        if base.split() == finetuned.split():
            yield {parts.note: "Both answers are the same: ask another question."}
            return
        pair = Pair("", OWN_QUESTION, question, base, finetuned)
        yield {**self._show(conversation, pair), parts.question: ""}

    def voting(self, choice: VoteChoice) -> Callable[[str | None, gr.Request], Awaitable[Updates]]:
        """Returns the handler of one button; Gradio finds no request in a partial function."""

        async def vote(voter: str | None, request: gr.Request) -> Updates:
            return await self.vote(choice, voter, request)

        return vote

    async def vote(self, choice: VoteChoice, voter: str | None, request: gr.Request) -> Updates:
        """Keeps a vote on the pair that is shown, and shows the next one."""
        conversation = self._of(request)
        shown = conversation.shown
        if shown is None:
            return {self.parts.note: "Open a question first."}
        if shown.seconds < SOONEST_S:
            return {self.parts.note: "That was quick: please read both answers first."}
        conversation.shown = None
        vote = shown.vote(self._name(conversation, voter), choice, self.adapter)
        try:
            await asyncio.to_thread(append_line, self.path, asdict(vote))
        except OSError as error:
            conversation.shown = shown
            return {self.parts.note: f"The vote could not be saved ({error.strerror})."}
        conversation.votes += 1
        count = f"{conversation.votes} vote" + "s" * (conversation.votes > 1)
        following = await self._next(conversation, voter)
        note = f"{count} saved. {following.get(self.parts.note, '')}"
        return {**following, self.parts.note: note.strip(), self.parts.alert: ""}

    async def _next(self, conversation: Conversation, voter: str | None) -> Updates:
        try:
            votes = await asyncio.to_thread(read_votes, self.path)
        except InputError as error:
            return {self.parts.note: escape(sentence(str(error)))}
        name = self._name(conversation, voter)
        pair = first_unseen(self.pairs, {vote.pair for vote in votes if vote.voter == name})
        if pair is None:
            note = ALL_SEEN if self.pairs else NO_ANSWERS
            return {self.parts.note: note, **_hidden(self.parts)}
        return {**self._show(conversation, pair), self.parts.note: ""}

    def _show(self, conversation: Conversation, pair: Pair) -> Updates:
        conversation.shown = shown = ShownPair(pair)
        choices = gr.update(visible=True)
        return {
            self.parts.shown: shown_html(pair.question, *shown.answers),
            self.parts.choices: choices,
        }

    def _text_of(self, turns: Sequence[Turn], model: str) -> str:
        """Returns a model's own words, without what only one of the models has learnt to add."""
        answer = next(turn.answer for turn in turns if turn.model == model)
        encoder = self.conversations.assistant.encoder
        text, _ = encoder.without_thought(own_words(answer))
        text, _ = encoder.format.without_disclaimer(text)
        return text

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))

    def _name(self, conversation: Conversation, voter: str | None) -> str:
        return " ".join((voter or "").split())[:LONGEST_NAME] or conversation.voter


def shown_html(question: str, first: str, second: str) -> str:
    """Returns a question and two answers as escaped text."""
    answers = "".join(
        f'<section aria-label="Answer {name}"><h3>{name}</h3><p>{escape(text) or "…"}</p></section>'
        for name, text in (("A", first), ("B", second))
    )
    return f'<h2>{escape(question)}</h2><div class="pair">{answers}</div>'


def _hidden(parts: BlindTestParts) -> Updates:
    return {parts.shown: "", parts.choices: gr.update(visible=False)}


def blind_tab(conversations: Conversations, pairs: Sequence[Pair], adapter: str) -> None:
    """Adds the tab's components to the page that is being built, and connects their events."""
    gr.HTML(INTRODUCTION)
    with gr.Row(elem_id="blind-top"):
        voter = gr.Textbox(
            label="Your name or initials (optional)",
            info="with it, medtune votes tells how far voters agree",
            max_length=LONGEST_NAME,
            elem_id="voter",
        )
        following = gr.Button("Next test question", variant="primary", elem_id="blind-next")
    alert = gr.HTML(elem_id="blind-alert")
    shown = gr.HTML(elem_id="blind-pair")
    with gr.Row(visible=False, elem_id="blind-votes") as choices:
        buttons = {choice: gr.Button(LABELS[choice]) for choice in get_args(VoteChoice)}
    note = gr.HTML(elem_classes="note")
    with gr.Row(elem_classes="asking"):
        question = gr.Textbox(
            label="Or your own question",
            show_label=False,
            placeholder="Or ask your own question",
            max_length=MAX_TYPED_CHARACTERS,
            scale=1,
            elem_id="blind-question",
        )
        ask = gr.Button("Ask both", scale=0, min_width=90)
    parts = BlindTestParts(voter, question, ask, alert, shown, choices, note)
    test = BlindTest(conversations, pairs, adapter, parts)
    changed = [alert, shown, choices, note]
    following.click(test.next, voter, changed, **FREE)
    gr.on([ask.click, question.submit], test.ask, question, [*changed, question], **FREE)
    for choice, button in buttons.items():
        button.click(test.voting(choice), voter, changed, **FREE)
