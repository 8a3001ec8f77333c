"""Queues requests, and computes their answers together in one thread.

Models take turns: in a turn, waiting requests join the model's batch, and each row gets a token.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from app.continuous_batching.log_probabilities import TokenScores
from app.limits import Limits
from medtune.config.schema import Evaluate

logger = logging.getLogger("medtune")

TOKENS_AT_ONCE = 1024  # of prompts, padding included, that join in one turn; other rows wait for it


class Batch(Protocol):
    """What the engine needs of app.continuous_batching.batch.ContinuousBatch."""

    @property
    def is_open(self) -> bool: ...
    def join(
        self, prompts: Sequence[list[int]], params: Sequence[Evaluate], seeds: Sequence[Any]
    ) -> None: ...
    def step(self) -> list[int]: ...
    def keep(self, rows: Sequence[int]) -> list[int]: ...
    def clear(self) -> None: ...
    def score(self, texts: Sequence[list[int]], likeliest: int) -> list[TokenScores]: ...


class QueueFullError(Exception):
    """The queue is full, or the server is stopping; app.api.error_responses.busy is the reply."""


@dataclass(frozen=True)
class End:
    """The end of an answer.

    `time` is one that the time limit has cut, `late` one that it met before the answer's turn,
    `failed` an error of the server.
    """

    reason: Literal["stop", "length", "time", "late", "failed"]


@dataclass(eq=False)
class Job:
    """A question in progress; `put` gets its tokens and its end, in the engine's thread."""

    model: str
    prompt: list[int]
    params: Evaluate
    seed: int
    put: Callable[[int | End], object]
    deadline: float
    tokens: int = 0
    cancelled: bool = False


@dataclass(eq=False)
class ScoringJob:
    """A text whose tokens get log-probabilities; `put` gets them, or an End without them."""

    model: str
    prompt: list[int]
    likeliest: int  # how many tokens to name at each position
    put: Callable[[TokenScores | End], object]
    deadline: float
    cancelled: bool = False


@dataclass
class Rows:
    """The batch of one model, and the job of each of its rows."""

    batch: Batch
    jobs: list[Job] = field(default_factory=list)


AnyJob = TypeVar("AnyJob", Job, ScoringJob)


class Engine:
    """Answers with one batch for each model; an answer ends with one of the tokens `ends`."""

    def __init__(self, batches: Mapping[str, Batch], ends: set[int], limits: Limits) -> None:
        self.models, self.ends, self.limits = list(batches), ends, limits
        self._rows = {name: Rows(batch) for name, batch in batches.items()}
        self._waiting: deque[Job] = deque()
        self._unscored: deque[ScoringJob] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends all answers and the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._unscored)

    @property
    def is_ready(self) -> bool:
        """Whether a request would be accepted now."""
        full = self.waiting >= self.limits.max_waiting
        return self._thread.is_alive() and not self._stopping and not full

    def submit(
        self,
        model: str,
        prompt: list[int],
        params: Evaluate,
        seed: int,
        put: Callable[[int | End], object],
    ) -> Job:
        """Adds a prompt to the queue; raises QueueFullError if it is full."""
        job = Job(model, prompt, params, seed, put, self._deadline())
        self._append(job, self._waiting)
        return job

    def submit_scoring(
        self,
        model: str,
        text: list[int],
        likeliest: int,
        put: Callable[[TokenScores | End], object],
    ) -> ScoringJob:
        """Adds a text to the queue of those that are only read; raises QueueFullError."""
        job = ScoringJob(model, text, likeliest, put, self._deadline())
        self._append(job, self._unscored)
        return job

    def _deadline(self) -> float:
        return time.monotonic() + self.limits.time_limit_s

    def _append(self, job: AnyJob, waiting: deque[AnyJob]) -> None:
        with self._changed:
            if not self.is_ready:
                raise QueueFullError
            waiting.append(job)
            self._changed.notify()

    def cancel(self, job: Job | ScoringJob) -> None:
        """Frees the job's place before the next token; a job that has ended stays as it is."""
        with self._changed:
            job.cancelled = True
            waiting: deque[Any] = self._unscored if isinstance(job, ScoringJob) else self._waiting
            if job in waiting:
                waiting.remove(job)

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._drop_late()
                for name, rows in self._rows.items():
                    self._serve(name, rows)
                self._score()
        finally:
            for rows in self._rows.values():
                self._end(rows.jobs, End("failed"))
            self._end([*self._waiting, *self._unscored], End("late"))

    def _serve(self, name: str, rows: Rows) -> None:
        taken = self._take(name)
        try:
            self._turn(rows, taken)
        except Exception:
            logger.exception(f"{name}: a batch of {len(rows.jobs)} answers failed")
            self._end({*rows.jobs, *taken}, End("failed"))
            rows.jobs = []
            rows.batch.clear()

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self.waiting or self._running())
            return not self._stopping

    def _running(self) -> int:
        return sum(len(rows.jobs) for rows in self._rows.values())

    def _drop_late(self) -> None:
        now = time.monotonic()
        with self._changed:
            late: list[Job | ScoringJob] = [j for j in self._waiting if j.deadline < now]
            late += [job for job in self._unscored if job.deadline < now]
            self._waiting = deque(job for job in self._waiting if job not in late)
            self._unscored = deque(job for job in self._unscored if job not in late)
        self._end(late, End("late"))

    def _score(self) -> None:
        """Reads the texts at the head of the queue that fit into one pass of one model."""
        with self._changed:
            taken = _fitting(list(self._unscored))
            self._unscored = deque(job for job in self._unscored if job not in taken)
        if not taken:
            return
        name, likeliest = taken[0].model, max(job.likeliest for job in taken)
        try:
            scores = self._rows[name].batch.score([job.prompt for job in taken], likeliest)
        except Exception:
            logger.exception(f"{name}: scoring {len(taken)} texts failed")
            self._end(taken, End("failed"))
            return
        for job, own in zip(taken, scores, strict=True):
            self._put(job, own)

    def _take(self, name: str) -> list[Job]:
        """Takes the waiting jobs for this model that fit now, in the order in which they came."""
        taken: list[Job] = []
        if not self._rows[name].batch.is_open:
            return taken
        with self._changed:
            free = self.limits.max_rows - self._running()
            for job in list(self._waiting)[: max(free, 0)]:
                if job.model != name:
                    continue
                size = max(len(other.prompt) for other in [*taken, job]) * (len(taken) + 1)
                if not taken or size <= TOKENS_AT_ONCE:
                    taken.append(job)
                    self._waiting.remove(job)
        return taken

    def _turn(self, rows: Rows, taken: list[Job]) -> None:
        self._leave(rows)
        if taken:
            prompts, params = [job.prompt for job in taken], [job.params for job in taken]
            rows.batch.join(prompts, params, [job.seed for job in taken])
            rows.jobs += taken
        if rows.jobs:
            self._hand_out(rows, rows.batch.step())

    def _leave(self, rows: Rows) -> None:
        """Frees the places of answers that nobody waits for any more."""
        now = time.monotonic()
        late = {job for job in rows.jobs if job.deadline < now and not job.cancelled}
        self._end(late, End("time"))
        self._keep(rows, [job for job in rows.jobs if not job.cancelled and job not in late])

    def _hand_out(self, rows: Rows, tokens: Sequence[int]) -> None:
        ended = set()
        for job, token in zip(rows.jobs, tokens, strict=True):
            job.tokens += 1
            self._put(job, token)
            if token in self.ends:
                self._put(job, End("stop"))
            elif job.tokens == job.params.max_new_tokens:
                self._put(job, End("length"))
            else:
                continue
            ended.add(job)
        self._keep(rows, [job for job in rows.jobs if job not in ended])

    def _keep(self, rows: Rows, jobs: Sequence[Job]) -> None:
        if len(jobs) < len(rows.jobs):
            order = rows.batch.keep([n for n, job in enumerate(rows.jobs) if job in jobs])
            rows.jobs = [rows.jobs[n] for n in order]

    def _end(self, jobs: Iterable[Job | ScoringJob], end: End) -> None:
        for job in jobs:
            self._put(job, end)

    def _put(self, job: Any, event: int | TokenScores | End) -> None:
        try:
            job.put(event)
        except RuntimeError:  # the caller's event loop has closed
            job.cancelled = True


def _fitting(jobs: Sequence[ScoringJob]) -> list[ScoringJob]:
    """Returns the first jobs, of one model, whose texts with padding have TOKENS_AT_ONCE tokens.

    The first one always fits.
    """
    taken = list(jobs[:1])
    for job in jobs[1:]:
        longest = max(len(each.prompt) for each in [*taken, job])
        if job.model != taken[0].model or longest * (len(taken) + 1) > TOKENS_AT_ONCE:
            break
        taken.append(job)
    return taken
