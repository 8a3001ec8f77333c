"""`medtune judge`: another language model compares the fine-tuned model's answers with others'.

Writes reports/judge.json with all verdicts, and reports/judge.js with their counts, which the
report shows. No stage reads them, so the pipeline's outputs do not depend on a judge.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtune.commands.comparable_runs import check_rows, read_best_untrained, workspace_answers
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from medtune.judging.prompt_and_reply import Case
    from medtune.judging.verdict_counts import Judged

EXAMPLES = (
    "medtune judge --url http://127.0.0.1:8080/v1 --model my-judge",
    "medtune judge --url http://127.0.0.1:8080/v1 --model my-judge --against base --pairs 50",
)
JUDGE = Path("reports/judge.json")
SCORES = Path("metrics/compare_scores.json")
PRIMARY = "rougeL"  # the score whose best system is the opponent, and whose agreement is told first
AGREEING = (PRIMARY, "content_f1")
MOST_WITHOUT_VERDICT = 0.5  # share of the replies; beyond it the judge is called unfit


def answers(against: str | None) -> tuple[str, "pa.Table", "pa.Table"]:
    """Returns the opponent, and the scored test answers of the fine-tuned model and of it."""
    from medtune.scoring.system_names import FINETUNED, UNTRAINED

    opponent = against or read_best_untrained().get(PRIMARY, UNTRAINED[0])
    if opponent not in UNTRAINED:
        raise InputError(f"--against must be one of {', '.join(UNTRAINED)}, got {opponent}")
    finetuned, other = workspace_answers(FINETUNED), workspace_answers(opponent)
    check_rows(other, finetuned, opponent)
    return opponent, finetuned, other


def judge_tables(
    finetuned: "pa.Table", other: "pa.Table", ask: Any
) -> tuple[list["Judged"], dict[str, Any]]:
    """Returns a judge's verdict on each pair, and their counts with intervals and agreement."""
    import numpy as np

    from medtune.comparison.paired_scores import group_numbers
    from medtune.comparison.seeds import estimate, jackknife
    from medtune.judging.verdict_counts import judge_pairs, kappa, preferences, summary
    from medtune.scoring.scores import SCORES, Score

    cases = pairs_of_answers(finetuned, other)
    judged = judge_pairs(cases, ask)
    outcomes = [each.outcome for each in judged]
    net = Score(name="net", title="wins less losses", higher_is_better=True, columns=())
    rows = np.stack([outcomes, np.ones(len(outcomes))], axis=1)
    share = estimate(jackknife(net, rows, group_numbers(finetuned))[None], confidence())
    counts: dict[str, Any] = summary(judged)
    counts |= {"net": share.value, "net_ci_low": share.ci_low, "net_ci_high": share.ci_high}
    for score in SCORES:
        if score.name in AGREEING and set(score.columns) <= {*finetuned.column_names, "rows"}:
            better = score_preferences(score, finetuned, other)
            counts[f"kappa_{score.name}"] = kappa(outcomes, better)
    votes = {n: vote for n, vote in enumerate(preferences(cases)) if vote is not None}
    people = kappa([outcomes[n] for n in votes], list(votes.values()))
    counts |= {"people_n": len(votes), "kappa_people": people}
    return judged, counts | {"kappa": counts[f"kappa_{PRIMARY}"]}


def pairs_of_answers(finetuned: "pa.Table", other: "pa.Table") -> list["Case"]:
    """Returns both answers to each question, with what was said before it in a conversation."""
    from medtune.judging.prompt_and_reply import Case

    columns = [finetuned[name].to_pylist() for name in ("question", "reference", "prediction")]
    before = [""] * finetuned.num_rows
    if "history" in finetuned.column_names:
        histories = finetuned["history"].to_pylist()
        before = ["\n".join(f"{m['role']}: {m['content']}" for m in h or ()) for h in histories]
    rows = zip(*columns, other["prediction"].to_pylist(), before, strict=True)
    return [Case(*row) for row in rows]


def score_preferences(score: Any, finetuned: "pa.Table", other: "pa.Table") -> list[int]:
    """Returns the answer that a score prefers for each card: +1 fine-tuned, −1 other, 0 neither."""
    import numpy as np

    from medtune.scoring.scores import statistics

    first, second = (score.value(statistics(table, score)) for table in (finetuned, other))
    gaps = np.nan_to_num(np.round(score.better * (first - second), 9))
    return np.sign(gaps).astype(int).tolist()


def confidence() -> float:
    from medtune.config.loading import load_params

    return load_params("compare.confidence")


def first_pairs(table: "pa.Table", pairs: int | None) -> list[int]:
    """Returns the rows to judge: all, or a number of them that only depends on their ids."""
    import hashlib

    ids = table.column("id").to_pylist()
    order = sorted(range(len(ids)), key=lambda n: hashlib.sha256(ids[n].encode()).digest())
    return sorted(order[:pairs])


def write_results(content: Mapping[str, Any], judged: Sequence["Judged"], ids: list[str]) -> None:
    from medtune.report.costs import run_mark
    from medtune.runtime.atomic_files import read_json, replacing, write_json

    verdicts = [
        {
            "id": name,
            "outcome": each.outcome,
            "shown_first": each.shown_first,
            "shown_second": each.shown_second,
            "not_asked": each.reason,
        }
        for name, each in zip(ids, judged, strict=True)
    ]
    counts = {"run": run_mark(read_json(SCORES, "compare")), **content}
    write_json(JUDGE, counts | {"verdicts": verdicts})
    shown = {key: value for key, value in read_json(JUDGE, "compare").items() if key != "verdicts"}
    with replacing(JUDGE.with_suffix(".js")) as temporary:
        text = json.dumps(shown).replace("<", "\\u003c")
        temporary.write_text(f"window.judge = {text};\n", encoding="utf-8")


def told(counts: Mapping[str, Any]) -> str:
    """Returns the counts as lines for the terminal."""
    from medtune.report.number_formats import interval_text, number, percent

    interval = interval_text(counts["net_ci_low"], counts["net_ci_high"], 3)
    lines = [
        f"{counts['model']}: fine-tuned better in {counts['wins']}, equal in {counts['ties']}, "
        f"worse in {counts['losses']} of {counts['n']} pairs against {counts['opponent']}",
        f"wins less losses: {number(counts['net'], 3, sign=True)} of all pairs "
        f"({percent(confidence())} interval {interval})",
        f"same verdict in both orders: {number(counts['consistency'], 3)}; without a verdict: "
        f"{counts['without_verdict']} of {replies(counts)} replies",
        f"ties without asking: {counts['same_answers']} pairs of the same answers, "
        f"{counts['hostile_answers']} with an answer that speaks to the judge",
        f"agreement with {PRIMARY}: κ = {number(counts['kappa'], 2)}; with people on "
        f"{counts['people_n']} pairs: κ = {number(counts['kappa_people'], 2)}",
    ]
    if counts["without_verdict"] > replies(counts) * MOST_WITHOUT_VERDICT:
        lines.append(
            f"{counts['model']} cannot judge: most of its replies are no verdict. Take a larger "
            "model, or raise --max-tokens if it thinks first."
        )
    return "\n".join(lines)


def replies(counts: Mapping[str, Any]) -> int:
    """Returns the number of replies that were asked for: two for each pair that was shown."""
    return 2 * (counts["n"] - counts["same_answers"] - counts["hostile_answers"])


def judge(
    url: Annotated[str, typer.Option(help="The root of an OpenAI-compatible API, up to /v1.")],
    model: Annotated[str, typer.Option(help="The judge's name on that server.")],
    against: Annotated[
        str | None,
        typer.Option(help="The other system [default: the best without training by ROUGE-L]."),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="Judge this many test cards [default: all].")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Number of simultaneous requests.")] = 4,
    max_tokens: Annotated[
        int,
        typer.Option(
            min=8, help="Maximum length of a reply in tokens; models that think first need more."
        ),
    ] = 64,
) -> None:
    """Let another language model compare answers in pairs.

    Each pair is shown in both orders, and an answer wins if it wins in both. The key of the server
    is read from the environment variable MEDTUNE_JUDGE_KEY. Replies are kept in data/judge/.
    """
    from medtune.config.loading import load_params
    from medtune.judging.client import KEY, JudgeApi, ask_all
    from medtune.runtime.atomic_files import read_json
    from medtune.scoring.system_names import title

    api = JudgeApi(url, model, os.environ.get(KEY, ""), max_tokens)
    api.check()
    opponent, finetuned, other = answers(against)
    rows = first_pairs(finetuned, pairs)
    finetuned, other = finetuned.take(rows), other.take(rows)
    judged, counts = judge_tables(finetuned, other, lambda asked: ask_all(api, asked, at_once))
    few_shot = load_params("evaluate.few_shot")
    content = {"model": model, "opponent": title(opponent, few_shot), **counts}
    write_results(content, judged, finetuned["id"].to_pylist())
    print(f"{told(read_json(JUDGE, 'judge'))}\n{JUDGE}")
