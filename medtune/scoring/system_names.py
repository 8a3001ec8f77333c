"""The systems that answer the test questions: their names in files and metrics, and their titles.

A fine-tuned model earns its keep only against answers that need no training.
"""

BASE, FEW_SHOT = "base", "few_shot"
FINETUNED, FINETUNED_FEW_SHOT = "finetuned", "finetuned_few_shot"
ECHO, FILL_IN = "echo", "fill_in"
NEAREST_CARD, NEAREST_CARD_RENAMED = "nearest_card", "nearest_card_renamed"

MODELS = (BASE, FEW_SHOT, FINETUNED, FINETUNED_FEW_SHOT)  # data/predictions/<model>.parquet
RULES = (ECHO, NEAREST_CARD, NEAREST_CARD_RENAMED, FILL_IN)  # data/predictions/baselines.parquet
ADAPTED = (FINETUNED, FINETUNED_FEW_SHOT)  # models with the adapter
SHOWN_CARDS = (FEW_SHOT, FINETUNED_FEW_SHOT)  # models that see training cards before a question
UNTRAINED = (BASE, FEW_SHOT, *RULES)  # answers that need no training
SYSTEMS = (*MODELS, *RULES)

TITLES = {
    BASE: "base model",
    FEW_SHOT: "base model with cards",
    FINETUNED: "fine-tuned model",
    FINETUNED_FEW_SHOT: "fine-tuned model with cards",
    ECHO: "question echoed",
    NEAREST_CARD: "nearest training card",
    NEAREST_CARD_RENAMED: "nearest card, name replaced",
    FILL_IN: "fill-in rule",
}


def title(system: str, few_shot: int) -> str:
    """Returns a system's title, with the number of cards that evaluate.few_shot shows."""
    if system not in (FEW_SHOT, FINETUNED_FEW_SHOT):
        return TITLES[system]
    cards = "1 card" if few_shot == 1 else f"{few_shot} cards"
    return TITLES[system].replace("with cards", f"with {cards}")


def is_off(model: str, few_shot: int, few_shot_finetuned: bool) -> bool:
    """Returns whether these values of section `evaluate` switch off a model that is shown cards."""
    wanted = model != FINETUNED_FEW_SHOT or few_shot_finetuned
    return model in SHOWN_CARDS and not (wanted and few_shot)
