from medtune.comparison.dvc_metrics import main_scores

SYSTEMS = {
    "best.rougeL": "fill_in",
    "base.rougeL": 0.2,
    "fill_in.rougeL": 0.25,
    "finetuned.rougeL": 0.31,
    "fill_in.rougeL.difference": 0.06,
}
SCORES = {"perplexity.base": 11.0, "perplexity.finetuned": 4.0}
TRAINING = {"validation_loss": 1.5, "steps": 9}


def test_a_main_score_has_base_best_and_gain_beside_it() -> None:
    assert main_scores(SYSTEMS, SCORES, TRAINING) == {
        "loss": 1.5,
        "perplexity": 4.0,
        "perplexity.base": 11.0,
        "rougeL": 0.31,
        "rougeL.base": 0.2,
        "rougeL.best": 0.25,
        "rougeL.gain": 0.06,
    }


def test_all_together_are_no_more_than_twenty_five_values() -> None:
    systems = SYSTEMS | {
        key.replace("rougeL", name): value
        for key, value in SYSTEMS.items()
        for name in ("content_f1", "meaning", "facts", "stopped_rate")
    }
    choices = {f"choices.{name}.accuracy.finetuned": 0.3 for name in ("medical", "general")}
    found = main_scores(systems, SCORES | choices, TRAINING)
    assert len(found) == 25
    assert (found["stopped.gain"], found["general"]) == (0.06, 0.3)
