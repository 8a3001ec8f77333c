"""Makes a model's chat template complete: it then renders, without arguments, the trained prompts.

What otherwise comes from outside is written into the template: a fixed date, the settings of
tokenize.chat_template_kwargs, and what the template puts between a question and an answer but
leaves out of its generation prompt, such as the empty thought of a reasoning model.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from jinja2 import TemplateError

from medtune.runtime.errors import InputError

TODAY = date(2024, 7, 26)  # the fallback in Llama 3's template
FIXED_DATE = TODAY.strftime("%d %b %Y")
STRFTIME_NOW = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
SWITCHES = ("enable_thinking", "thinking")  # which templates use to turn thoughts on and off
THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)

Setting = str | int | float | bool


def slot(number: int) -> str:
    """Returns what stands in a rendered template for the content of a message."""
    return f"\ue000{number}\ue001"


def default_template(tokenizer: Any) -> str | None:
    """Returns the tokenizer's chat template; of several, the one that is named `default`."""
    template = tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template


def model_template(tokenizer: Any) -> str:
    """Returns the default template; raises InputError if there is none."""
    if template := default_template(tokenizer):
        return template
    names = ", ".join(sorted(tokenizer.chat_template or ()))
    what = f"no default chat template, only {names}" if names else "no chat template"
    raise InputError(
        f"the model's tokenizer has {what}: set tokenize.prompt_style to question_answer, or use "
        "an instruction-tuned model"
    )


def thought_markers(template: str) -> tuple[str, str] | None:
    """Returns what a thought begins and ends with, if the template knows thoughts."""
    return next((pair for pair in THOUGHTS if pair[1] in template), None)


def complete_template(
    tokenizer: Any,
    template: str,
    settings: Mapping[str, Setting],
    close_thoughts: bool,
    has_system: bool,
) -> str:
    """Returns a template that renders the trained prompts without arguments.

    Its generation prompt ends where the template itself begins an answer. Thoughts are off unless
    `settings` turn them on. A generation prompt that ends in an open thought raises InputError
    unless `close_thoughts` allows to end that thought at once.
    """
    template = _with_settings(tokenizer, _with_fixed_date(template), settings)
    _check_contents(tokenizer, template, ["system", "user"] if has_system else ["user"])
    prompt = render(tokenizer, template, ["user"])
    missing = text_before_answer(tokenizer, template).removeprefix(prompt).removesuffix(" ")
    if _ends_in_a_thought(prompt):
        missing = _end_of_thought(prompt, missing, close_thoughts)
    elif thought_markers(missing) and any(settings.get(name) for name in SWITCHES):
        missing = ""
    if not missing:
        return template
    # Jinja drops one line break at the end of a template, so it must not come into the middle.
    text = json.dumps(missing, ensure_ascii=False)
    return f"{template.removesuffix(chr(10))}{{{{ {text} if add_generation_prompt else '' }}}}"


def text_before_answer(tokenizer: Any, template: str) -> str:
    """Returns what a conversation has before its answer, or the prompt if it does not begin so."""
    prompt = render(tokenizer, template, ["user"])
    whole = render(tokenizer, template, ["user", "assistant"], add_generation_prompt=False)
    before = whole.split(slot(1))[0]
    return before if before.startswith(prompt) else prompt


def render(
    tokenizer: Any,
    template: str,
    roles: Sequence[str],
    add_generation_prompt: bool = True,
    **settings: Setting,
) -> str:
    """Renders a template around numbered slots instead of the messages' contents."""
    messages = [{"role": role, "content": slot(number)} for number, role in enumerate(roles)]
    try:
        return tokenizer.apply_chat_template(
            messages,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **settings,
        )
    except (TemplateError, TypeError) as error:
        remedy = "set tokenize.prompt_style to question_answer"
        if "system" in roles:
            remedy = "if it has no system role, set tokenize.system_prompt to null"
        raise InputError(
            f"the model's chat template rejects these messages ({error}): {remedy}"
        ) from None


def _check_contents(tokenizer: Any, template: str, roles: Sequence[str]) -> None:
    """Raises InputError if the template silently leaves out a message."""
    prompt = render(tokenizer, template, roles)
    missing = [role for number, role in enumerate(roles) if slot(number) not in prompt]
    if "user" in missing:
        raise InputError(
            "the model's chat template leaves out the question: set tokenize.prompt_style to "
            "question_answer"
        )
    if missing:
        raise InputError(
            "the model's chat template leaves out the system prompt: set tokenize.system_prompt "
            "to null"
        )


def _with_fixed_date(template: str) -> str:
    """Puts TODAY for today's date, which is a function or a variable in a template."""
    template = STRFTIME_NOW.sub(lambda call: json.dumps(TODAY.strftime(call[2])), template)
    if "strftime_now(" in template:
        raise InputError(
            "the model's chat template prints today's date in a form that medtune cannot fix: set "
            "tokenize.prompt_style to question_answer"
        )
    if "date_string" not in template:
        return template
    return _defaults({"date_string": FIXED_DATE}) + template


def _with_settings(tokenizer: Any, template: str, settings: Mapping[str, Setting]) -> str:
    """Sets variables of the template, and those that turn thoughts off if they change anything."""
    unknown = [name for name in settings if not re.search(rf"\b{re.escape(name)}\b", template)]
    if unknown:
        raise InputError(
            f"tokenize.chat_template_kwargs sets {', '.join(unknown)}, which the model's chat "
            "template does not use: remove it (params.yaml)"
        )
    off: dict[str, Setting] = {}
    for name in SWITCHES:
        if name in template and name not in settings:
            as_it_is = render(tokenizer, template, ["user"])
            if render(tokenizer, template, ["user"], **{name: False}) != as_it_is:
                off[name] = False
    return _defaults({**settings, **off}) + template


def _defaults(settings: Mapping[str, Setting]) -> str:
    """Returns a piece of a template that sets variables unless the caller does."""
    return "".join(
        f"{{%- if {name} is not defined %}}"
        f"{{%- set {name} = {json.dumps(value, ensure_ascii=False)} %}}{{%- endif %}}"
        for name, value in settings.items()
    )


def _ends_in_a_thought(prompt: str) -> bool:
    return any(prompt.rfind(begin) > prompt.rfind(end) for begin, end in THOUGHTS)


def _end_of_thought(prompt: str, missing: str, close_thoughts: bool) -> str:
    """Returns the text that ends the prompt's thought, in the template's own form if it has one."""
    begin, end = next(pair for pair in THOUGHTS if prompt.rfind(pair[0]) > prompt.rfind(pair[1]))
    if not close_thoughts:
        raise InputError(
            f"the model's chat template begins every answer with a thought ({begin}), so that "
            "answers would be learned as thoughts: set tokenize.close_thoughts to true, which "
            "ends the thought at once, or use a model that answers without thinking"
        )
    if end in missing:
        return missing
    return end if prompt.endswith(begin) else f"\n{end}\n\n"
