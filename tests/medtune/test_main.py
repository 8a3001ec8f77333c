"""The command line as a whole: instant, helpful, one line for an error that the user can fix."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import ROOT, attempt

COMMANDS = (
    "ask What?",
    "chat",
    "check",
    "curve",
    "export cards",
    "export gguf",
    "export merged",
    "export space",
    "judge --url http://127.0.0.1:9/v1 --model m",
    "leaderboard",
    "preset smoke",
    "push SOURCE REPO",
    "replicate",
    "summary",
    "tokens",
    "verify",
    "votes",
)
HEAVY = {"torch", "transformers", "pandas", "pyarrow", "scipy", "gradio", "fastapi"}
CPU_S = 3.0  # 0.4 where the machine has nothing else to do
Run = Callable[..., int]
Output = pytest.CaptureFixture[str]


def python(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return attempt(folder, "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", code, *arguments)


def without(packages: tuple[str, ...], module: str) -> str:
    """A program that runs `python -m module` where the packages are not installed."""
    return (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({packages!r}))\n"  # None: no such module
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )


def name_of(command: str) -> str:
    """The command and its subcommand, without arguments and options."""
    words = command.partition(" --")[0].split()
    return " ".join(word for word in words if word.islower() and word != "smoke")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["preset", "--list"], ["leaderboard", "--help"]])
def test_help_and_lists_are_instant(arguments: list[str]) -> None:
    code = (
        "import sys, time\n"
        "from medtune.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print(time.process_time(), *sys.modules, file=sys.stderr)\n"
    )
    done = python(ROOT, code, *arguments)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 10
    cpu_s, *modules = done.stderr.split()
    assert not HEAVY & set(modules)
    assert float(cpu_s) < CPU_S


def test_medtune_alone_lists_every_command_in_one_line_each(medtune: Run, capsys: Output) -> None:
    assert medtune() == 2
    shown = "".join(capsys.readouterr())
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in shown
    assert "..." not in shown.split("Commands:")[1], "a line of help is longer than its place"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_ends_with_examples_of_it(
    command: str, medtune: Run, capsys: Output
) -> None:
    name = name_of(command)
    assert medtune(*name.split(), "--help") == 0
    _, examples = capsys.readouterr().out.split("  Examples:\n")
    assert examples.splitlines()
    example = re.compile(rf"    (MEDTUNE_\w+=\S+ )?medtune {name}\b")
    assert all(example.match(line) for line in examples.splitlines())


def test_a_misspelt_command_gets_a_hint(medtune: Run, capsys: Output) -> None:
    assert medtune("leaderbord") == 2
    assert "No such command 'leaderbord'. Did you mean 'leaderboard'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_elsewhere_than_in_a_project_a_command_says_so(
    command: str, medtune: Run, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert medtune(*command.split()) == 1
    name = name_of(command)
    assert capsys.readouterr().err == (
        f"{name}: params.yaml is missing in this folder: "
        "run the command in the root of the project\n"
    )


def test_an_empty_question_is_refused(
    medtune: Run, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert medtune("ask", "  ") == 1
    assert capsys.readouterr().err.startswith("ask: QUESTION is empty: ask something")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("packages", "module", "arguments", "line"),
    [
        (("fastapi", "gradio"), "app", [], "chat: the package fastapi is not installed: run `make"),
        (("dvc", "pyarrow"), "medtune", ["leaderboard"], "leaderboard: the package pyarrow is not"),
        (("torch",), "medtune", ["ask", "?"], "ask: the package torch is not installed: run `make"),
        (("tqdm",), "medtune", ["summary"], "summary: the package tqdm is not installed: run `m"),
        (
            *(("typer",), "medtune", ["summary"]),
            "medtune: the package typer is not installed: run `make .venv/run`\n",
        ),
    ],
)
def test_a_command_without_its_packages_names_the_target_that_installs_them(
    packages: tuple[str, ...], module: str, arguments: list[str], line: str, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    done = python(tmp_path, without(packages, module), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_missing_module_of_ours_is_a_bug_and_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    done = python(tmp_path, without(("medtune.report.headline",), "medtune"), "summary")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("medtune lea", "leaderboard"),
        ("medtune preset medical-l", "medical-llm-assistant"),
        ("medtune tokens --split val", "validation"),
        ("medtune export c", "cards"),
        ("medtune check --device t", "t4"),
    ],
)
def test_the_shell_completes_commands_and_names(
    words: str, completed: str, medtune: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MEDTUNE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    medtune()
    assert capsys.readouterr().out.split() == [completed]
