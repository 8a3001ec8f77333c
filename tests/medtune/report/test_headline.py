from medtune.report.facts import Facts
from medtune.report.headline import headline


def test_the_headline_is_the_verdict_then_the_primary_scores(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    verdict, *leads = headline(facts.metrics, facts.params)
    assert verdict == "The fine-tuning made no change that 9 test cards could show."
    assert leads == [
        "ROUGE-L: 0.300, +0.050 against the fill-in rule, the best without training (95% interval "
        "-0.010 to +0.110), and +0.050 against the base model (-0.010 to +0.110).",
        "Content words: 0.300, +0.050 against the fill-in rule, the best without training (95% "
        "interval -0.010 to +0.110), and +0.050 against the base model (-0.010 to +0.110).",
    ]


def test_a_base_model_that_is_the_best_is_named_once(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    facts.metrics["compare_systems"]["best.rougeL"] = "base"
    (lead, _) = headline(facts.metrics, facts.params)[1:]
    assert lead == (
        "ROUGE-L: 0.300, +0.050 against the base model, the best without training (95% interval "
        "-0.010 to +0.110)."
    )


def test_a_model_that_learned_nothing_is_said_to_have_learned_nothing(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    systems = facts.metrics["compare_systems"]
    systems |= {f"base.perplexity.{name}": 0.0 for name in ("difference", "ci_low", "ci_high")}
    said = headline(facts.metrics, facts.params)[1]
    assert said.startswith("The model learned nothing: ") and "train.warmup_steps" in said
    systems["base.perplexity.ci_high"] = 0.01
    assert said not in headline(facts.metrics, facts.params)


def test_a_kind_that_broke_down_is_one_sentence(facts: Facts) -> None:
    values = {"stopped_rate.base": 0.84, "stopped_rate.finetuned": 0.4}
    values |= {"repetition_rate.base": 0.021, "repetition_rate.finetuned": 0.376}
    facts.metrics["compare_kinds"] = {"features.n": 25} | {
        f"features.{key}": value for key, value in values.items()
    }
    assert headline(facts.metrics, facts.params)[3:] == [
        "Features cards (n = 25): 60% of the answers do not end (base model 16%) and 38% of the "
        "four-word sequences repeat (base model 2%)."
    ]
