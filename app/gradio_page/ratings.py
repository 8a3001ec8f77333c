"""The panel that asks about a thumb up or down, and the files where ratings are kept.

The pipeline can read those files as cards: the source `file://data/feedback/liked.jsonl` with
clean.reader `columns` is a data set of the liked answers.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.feedback_file import append_line
from app.gradio_page.conversations import Conversation, Conversations, Turn
from app.gradio_page.event_options import FREE, HIDDEN, HIDE, SHOW, Updates
from app.gradio_page.formatting import MESSAGES, PANES, thumbs
from app.guard_remarks import own_words
from app.limits import MAX_TYPED_CHARACTERS

FOLDER = Path("data/feedback")
STORED = (
    "Ratings stay on the computer that runs this page (data/feedback). They contain the question, "
    "the answer, your rating and comment, the model and its settings, and nothing about you."
)


@dataclass(frozen=True)
class Feedback:
    """`turn` is the question's number in its conversation; later ones may refer to earlier ones."""

    question: str
    answer: str
    liked: bool
    comment: str
    model: str
    settings: Mapping[str, Any]
    turn: int

    def save(self, folder: Path) -> None:
        """Appends a line to liked.jsonl or disliked.jsonl. Raises OSError."""
        name = "liked.jsonl" if self.liked else "disliked.jsonl"
        append_line(folder / name, asdict(self))


class Rating(NamedTuple):
    """The panel that asks what is good or wrong about an answer."""

    panel: Any
    comment: Any
    problem: Any


class Ratings:
    """The handlers of thumbs and of the panel; `panes` are the two of a comparison, by model."""

    def __init__(
        self,
        conversations: Conversations,
        chat: Any,
        panes: Mapping[str, Any],
        rating: Rating,
        folder: Path = FOLDER,
    ) -> None:
        self.conversations, self.folder = conversations, folder
        self.chat, self.panes, self.rating = chat, panes, rating

    async def rate(self, given: gr.LikeData, request: gr.Request) -> Updates:
        """Asks for a comment on an answer that got a thumb; each answer is rated once."""
        conversation, rating = self._of(request), self.rating
        turn = _rated(conversation, given)
        if turn is None or turn.liked is not None or not isinstance(given.liked, bool):
            conversation.rated = None
            return {rating.panel: HIDE}
        conversation.rated = turn, given.liked
        asked = "What is good about it?" if given.liked else "What is wrong with it?"
        comment = gr.update(label=f"{asked} (optional)", value="")
        return {rating.panel: SHOW, rating.comment: comment, rating.problem: ""}

    async def save(self, comment: str | None, request: gr.Request) -> Updates:
        """Saves the rating that waits for its comment; if that fails, it goes on waiting."""
        conversation, rating = self._of(request), self.rating
        rated, conversation.rated = conversation.rated, None
        if rated is None:
            return {rating.panel: HIDE}
        turn, liked = rated
        feedback = _feedback(turn, liked, comment)
        try:
            await asyncio.to_thread(feedback.save, self.folder)
        except OSError as error:
            conversation.rated = rated
            return {rating.problem: f"The rating could not be saved ({error.strerror})."}
        turn.liked = liked
        return {rating.panel: HIDE, **self._thumbs(conversation)}

    def _thumbs(self, conversation: Conversation) -> Updates:
        compared = {self.panes[turn.model]: thumbs([turn]) for turn in conversation.compared}
        return {self.chat: thumbs(conversation.turns), **compared}

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))


def _rated(conversation: Conversation, given: gr.LikeData) -> Turn | None:
    """Returns the turn that was rated, if it has ended and a model here has said anything."""
    model = str(getattr(given.target, "elem_id", "")).removeprefix("answer-")
    if model in PANES:
        turn = next((turn for turn in conversation.compared if turn.model == model), None)
    else:
        index = given.index if isinstance(given.index, int) else -1
        turn = dict(enumerate(conversation.turns)).get(index // MESSAGES)
    if turn is None or turn.nearest_cards is None or turn.is_restored:
        return None
    return turn if own_words(turn.answer) else None


def _feedback(turn: Turn, liked: bool, comment: str | None) -> Feedback:
    return Feedback(
        question=turn.question,
        answer=own_words(turn.answer),
        liked=liked,
        comment=(comment or "").strip()[:MAX_TYPED_CHARACTERS],
        model=turn.model,
        settings=turn.settings,
        turn=turn.number,
    )


def rating_panel(
    conversations: Conversations, chat: gr.Chatbot, panes: Mapping[str, gr.Chatbot]
) -> gr.Column:
    """Adds the panel to the page that is being built, connects its events, and returns it."""
    with gr.Column(visible=False, elem_id="rating") as panel:
        comment = gr.Textbox(
            label="Comment", info=STORED, max_length=MAX_TYPED_CHARACTERS // 2, autofocus=True
        )
        with gr.Row():
            save = gr.Button("Save rating", variant="primary", size="sm")
            drop = gr.Button("Cancel", size="sm")
        problem = gr.HTML(elem_classes="note")
    ratings = Ratings(conversations, chat, panes, Rating(panel, comment, problem))
    _connect(ratings, save, drop)
    return panel


def _connect(ratings: Ratings, save: gr.Button, drop: gr.Button) -> None:
    rating, answers = ratings.rating, [ratings.chat, *ratings.panes.values()]
    gr.on([each.like for each in answers], ratings.rate, None, [*rating], **FREE).then(
        None, js="() => medtune.focusRating()", **HIDDEN
    )
    saved = [rating.panel, rating.problem, *answers]
    gr.on([save.click, rating.comment.submit], ratings.save, rating.comment, saved, **FREE)
    drop.click(lambda: HIDE, None, rating.panel, **FREE)
