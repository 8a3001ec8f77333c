"""The coordinator's side of an arm: its process, which sleeps but for its turns."""

import json
import os
import subprocess

from benchmarks.turns import Report
from benchmarks.worker import Job
from medtune.runtime.errors import InputError


class Worker:
    """An arm's process; it sleeps but for its turns."""

    def __init__(self, python: str, job: Job) -> None:
        self.arm = job.arm
        environment = os.environ | {"OMP_NUM_THREADS": str(job.threads), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._send(job.to_json())
        self.receive()  # the warm-up step is done

    def turn(self) -> Report:
        self._send("go")
        return self.receive()

    def receive(self) -> Report:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise InputError(f"the arm {self.arm} stopped: its error stands above")
        report: Report = json.loads(line)
        return report

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _send(self, line: str) -> None:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)
