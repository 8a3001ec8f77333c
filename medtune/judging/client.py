"""Asks a server with OpenAI's chat completions, and keeps every reply on the disk."""

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from medtune.runtime.atomic_files import replacing
from medtune.runtime.errors import InputError
from medtune.runtime.progress import progress

CACHE = Path("data/judge")
KEY = "MEDTUNE_JUDGE_KEY"  # the environment variable with the server's key
LOOPBACK = ("127.0.0.1", "::1", "localhost")
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
WAITS_S = (1.0, 4.0, 15.0)  # before each retry
TIMEOUT_S = 120.0
SHOWN_LETTERS = 200  # of a server's error

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class JudgeApi:
    """`url` is the root of the API, such as http://127.0.0.1:8000/v1."""

    url: str
    model: str
    key: str = ""
    max_tokens: int = 64

    def check(self) -> None:
        """Raises InputError for a wrong address, or one that would get the key in the clear."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"--url must be such as http://127.0.0.1:8000/v1, got {self.url}")
        if self.key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise InputError(f"{self.url} would get {KEY} without encryption: use https://")

    def body(self, messages: Messages) -> dict[str, Any]:
        asked = {"model": self.model, "messages": messages}
        return asked | {"temperature": 0, "max_tokens": self.max_tokens}

    def cached(self, messages: Messages) -> Path:
        """Returns the file for the reply to exactly this request to this server."""
        text = json.dumps([self.url, self.body(messages)], sort_keys=True)
        return CACHE / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def ask_all(api: JudgeApi, requests: Sequence[Messages], at_once: int) -> list[str]:
    """Returns the reply to each request, from the disk where the same was asked before."""
    api.check()
    headers = {"Authorization": f"Bearer {api.key}"} if api.key else {}
    with (
        httpx2.Client(headers=headers, timeout=TIMEOUT_S) as client,
        ThreadPoolExecutor(at_once) as pool,
    ):
        futures = [pool.submit(_reply, client, api, messages) for messages in requests]
        try:
            with progress(futures, unit="reply") as bar:  # an error would leave it open
                return [each.result() for each in bar]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _reply(client: httpx2.Client, api: JudgeApi, messages: Messages) -> str:
    path = api.cached(messages)
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))["reply"]
    answered = _post(client, api, messages)
    try:
        reply = answered.json()["choices"][0]["message"]["content"] or ""
    except (ValueError, LookupError, TypeError):
        raise InputError(
            f"{api.url} did not answer with a chat completion ({_shown(answered)}): "
            "check --url, which usually ends in /v1"
        ) from None
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"reply": str(reply)}) + "\n", encoding="utf-8")
    return str(reply)


def _post(client: httpx2.Client, api: JudgeApi, messages: Messages) -> httpx2.Response:
    """Sends a request, again after a wait if the server is busy or cannot be reached."""
    url = f"{api.url.rstrip('/')}/chat/completions"
    problem = ""
    for wait_s in (*WAITS_S, None):
        try:
            answered = client.post(url, json=api.body(messages))
        except httpx2.TransportError as error:
            problem = str(error) or type(error).__name__
        else:
            if answered.is_success:
                return answered
            problem = f"{answered.status_code} {_shown(answered)}"
            if answered.status_code not in RETRIED:
                break
        if wait_s is not None:
            time.sleep(wait_s)
    raise InputError(
        f"{url} did not answer: {problem}; check --url, --model and the key in {KEY}, and run the "
        "same command again: replies so far are kept"
    )


def _shown(answered: httpx2.Response) -> str:
    return " ".join(answered.text[:SHOWN_LETTERS].split())
