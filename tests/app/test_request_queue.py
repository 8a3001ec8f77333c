import logging
import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.continuous_batching.log_probabilities import TokenScores
from app.request_queue import End, Engine, Job, QueueFullError
from medtune.config.schema import Evaluate
from tests.waiting import until

Start = Callable[..., Engine]


class Asked:
    """A question put to an engine and the events that came back."""

    def __init__(self, engine: Engine, params: Evaluate, model: str = "finetuned") -> None:
        self.events: queue.Queue[int | End] = queue.Queue()
        self.job: Job = engine.submit(model, [7, 8], params, 0, self.events.put)

    def next(self) -> int | End:
        return self.events.get(timeout=10)

    def all(self) -> list[int | End]:
        events: list[int | End] = [self.next()]
        while not isinstance(events[-1], End):
            events.append(self.next())
        return events


def test_an_answer_ends_with_its_end_token_or_at_its_length(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch)
    assert Asked(engine, params).all() == [1, 2, 3, 0, End("stop")]
    short = params.model_copy(update={"max_new_tokens": 2})
    assert Asked(engine, short).all() == [1, 2, End("length")]
    shortest = params.model_copy(update={"max_new_tokens": 1})
    assert Asked(engine, shortest).all() == [1, End("length")]


def test_those_who_come_while_others_are_answered_join_them(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch)
    batch.gate.clear()
    first = Asked(engine, params)
    assert first.next() == 1
    others = [Asked(engine, params) for _ in range(3)]
    batch.gate.set()
    assert [other.all() for other in others] == [[1, 2, 3, 0, End("stop")]] * 3
    assert first.all() == [2, 3, 0, End("stop")]
    assert batch.joined == [1, 3]
    assert batch.steps == 6


def test_rows_are_bounded_and_those_that_wait_come_in_order(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch, max_rows=2)
    batch.gate.clear()
    first = Asked(engine, params)
    first.next()
    others = [Asked(engine, params) for _ in range(3)]
    batch.gate.set()
    assert [asked.all()[-1] for asked in [first, *others]] == [End("stop")] * 4
    assert sum(batch.joined) == 4 and max(batch.joined) == 1


def test_long_prompts_join_one_at_a_time(
    start: Start, batch: Any, params: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.request_queue.TOKENS_AT_ONCE", 5)
    engine = start(batch)
    batch.gate.clear()
    asked = [Asked(engine, params)]
    asked[0].next()
    asked += [Asked(engine, params) for _ in range(3)]
    batch.gate.set()
    assert [own.all()[-1] for own in asked] == [End("stop")] * 4
    assert batch.joined == [1, 2, 1]


def test_a_full_queue_is_busy(start: Start, batch: Any, params: Evaluate) -> None:
    engine = start(batch, max_rows=1, max_waiting=1)
    batch.gate.clear()
    first = Asked(engine, params)
    first.next()
    waiting = Asked(engine, params)
    assert not engine.is_ready
    with pytest.raises(QueueFullError):
        Asked(engine, params)
    engine.cancel(waiting.job)
    assert engine.is_ready
    last = Asked(engine, params)
    batch.gate.set()
    assert last.all()[-1] == first.all()[-1] == End("stop")
    assert batch.joined == [1, 1]


def test_a_cancelled_answer_gets_no_further_token(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch)
    batch.reply = [1] * 100_000
    long = params.model_copy(update={"max_new_tokens": 10**6})
    asked, other = Asked(engine, long), Asked(engine, long)
    asked.next(), other.next()
    engine.cancel(asked.job)
    steps = batch.steps
    until(lambda: len(batch.said) == 1)
    assert asked.events.qsize() <= steps + 2
    engine.cancel(other.job)
    until(lambda: not batch.said)
    steps = batch.steps
    time.sleep(0.02)
    assert batch.steps == steps


def test_an_answer_is_cut_at_its_time_and_a_wait_is_given_up(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch, max_rows=1, time_limit_s=0.1)
    batch.reply = [1] * 10**6
    batch.gate.clear()
    asked = Asked(engine, params.model_copy(update={"max_new_tokens": 10**6}))
    asked.next()
    waiting = Asked(engine, params)
    time.sleep(0.15)
    batch.gate.set()
    assert asked.all()[-1] == End("time")
    assert waiting.all() == [End("late")]
    assert not batch.said


def test_an_error_fails_the_answers_of_its_batch_and_no_others(
    start: Start, batch: Any, params: Evaluate, caplog: pytest.LogCaptureFixture
) -> None:
    broken = type(batch)()
    broken.error = MemoryError("no room")
    engine = start(batch, broken)
    with caplog.at_level(logging.ERROR, "medtune"):
        assert Asked(engine, params, "base").all() == [End("failed")]
    assert "no room" in caplog.text
    assert Asked(engine, params).all()[-1] == End("stop")
    broken.error = None
    assert Asked(engine, params, "base").all()[-1] == End("stop")


def test_models_take_turns(start: Start, batch: Any, params: Evaluate) -> None:
    other = type(batch)([4, 5, 6])
    engine = start(batch, other)
    batch.gate.clear()
    first, second = Asked(engine, params), Asked(engine, params, "base")
    batch.gate.set()
    assert first.all() == [1, 2, 3, 0, End("stop")]
    assert second.all() == [4, 5, 6, 0, End("stop")]


def test_a_closed_batch_takes_others_when_it_is_empty(
    start: Start, batch: Any, params: Evaluate
) -> None:
    engine = start(batch)
    batch.gate.clear()
    first = Asked(engine, params)
    first.next()
    batch.is_open = False
    second = Asked(engine, params)
    batch.gate.set()
    assert first.all()[-1] == End("stop")
    assert second.events.empty()
    batch.is_open = True
    assert second.all()[-1] == End("stop")


def test_stopping_ends_all_answers(start: Start, batch: Any, params: Evaluate) -> None:
    engine = start(batch, max_rows=1)
    batch.reply = [1] * 10**6
    long = params.model_copy(update={"max_new_tokens": 10**6})
    asked, waiting = Asked(engine, long), Asked(engine, long)
    asked.next()
    engine.stop()
    assert asked.all()[-1] == End("failed")
    assert waiting.all() == [End("late")]
    with pytest.raises(QueueFullError):
        Asked(engine, params)


def test_an_asker_that_is_gone_costs_nothing(start: Start, batch: Any, params: Evaluate) -> None:
    def closed_loop(_: int | End) -> None:
        raise RuntimeError("Event loop is closed")

    engine = start(batch)
    engine.submit("finetuned", [7], params, 0, closed_loop)
    assert Asked(engine, params).all()[-1] == End("stop")
    until(lambda: not batch.said)


class Read:
    """A text that an engine is to score, and what came back."""

    def __init__(self, engine: Engine, text: list[int], model: str = "finetuned") -> None:
        self.events: queue.Queue[TokenScores | End] = queue.Queue()
        self.job = engine.submit_scoring(model, text, 1, self.events.put)

    def result(self) -> TokenScores | End:
        return self.events.get(timeout=10)


def test_texts_of_one_model_are_read_together_while_answers_go_on(
    start: Start, batch: Any, params: Evaluate
) -> None:
    base = type(batch)()
    engine = start(batch, base)
    batch.reply = [1] * 10
    batch.gate.clear()
    asked = Asked(engine, params)
    asked.next()
    texts = [[1] * 300] * 4
    read = [Read(engine, text) for text in texts] + [Read(engine, [1, 2], "base")]
    left = Read(engine, [5, 5])
    engine.cancel(left.job)
    assert engine.waiting == 5
    batch.gate.set()
    scores = [each.result() for each in read]
    assert [len(each.own) for each in scores if isinstance(each, TokenScores)] == [299] * 4 + [1]
    assert [len(texts) for texts in batch.scored] == [3, 1] and base.scored == [[[1, 2]]]
    assert asked.all()[-1] == End("stop") and left.events.empty()


def test_a_text_that_cannot_be_read_fails_alone(start: Start, batch: Any, params: Evaluate) -> None:
    engine = start(batch)
    batch.error = ValueError("broken")
    assert Read(engine, [1, 2]).result() == End("failed")
    batch.error = None
    assert isinstance(Read(engine, [1, 2]).result(), TokenScores)
    assert Asked(engine, params).all()[-1] == End("stop")


def test_texts_wait_in_the_same_queue_and_not_longer_than_answers(start: Start, batch: Any) -> None:
    engine = start(batch, max_waiting=1, time_limit_s=0.05, run=False)
    engine._thread.is_alive = lambda: True  # type: ignore[method-assign]
    waits = Read(engine, [1, 2])
    with pytest.raises(QueueFullError):
        Read(engine, [3, 4])
    time.sleep(0.1)
    engine._drop_late()
    assert waits.result() == End("late")
