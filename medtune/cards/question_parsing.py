"""Parses questions of common wordings: what they ask for (kind) and are about (topic)."""

import re
from urllib.parse import unquote

# The kinds are MedQuAD's question types and two more; the wordings come from MedQuAD
# (github.com/abachaa/MedQuAD) and WikiDoc's patient information in Medical Meadow.
# `…` stands for the topic; the first match wins.
TEMPLATES = {
    "symptoms": (
        "What are (?:the )?symptoms of …",
        r"How do I know if (?:I|my \w+) (?:have|has) … and what are the symptoms.*",
    ),
    "causes": ("What causes …", "What are (?:the )?causes (?:of )?…"),
    "outlook": (
        "What to expect if I have …",
        "What is the (?:outlook|prognosis) for (?:someone with )?…",
    ),
    "urgent care": (
        "When to seek urgent medical care when I have …",
        "Do I need to see a doctor for …",
    ),
    "susceptibility": ("Who (?:is|are) at (?:the )?(?:high |highest )?risk (?:for|of) …",),
    "treatment": (
        "What are the treatments for …",
        "What is the treatment (?:for|of) …",
        "How (?:is|are) … treated",
    ),
    "exams and tests": (
        "How to diagnose …",
        "How (?:is|are) … diagnosed",
        "How to know (?:you have|your baby has) …",
    ),
    "prevention": ("How to prevent …", "How (?:is|are) … prevented"),
    "complications": ("What are the (?:possible )?complications of …",),
    "frequency": ("How many people are affected by …", "How common (?:is|are) …"),
    "inheritance": ("Is … inherited", "How do people inherit …"),
    "genetic changes": ("What are the genetic changes related to …", "What genes are related to …"),
    "stages": ("What are the (?:stages|types) of …",),
    "research": (r"What research (?:\(or clinical trials\) )?is being done for …",),
    "considerations": ("What to do for …",),
    "support groups": ("Where to find support for people with …",),
    "procedure": (
        "How is … (?:done|performed)",
        "Who needs …",
        "Where to find (?:centers that perform|medical care for) …",
        "What are the risks of …",
        "What to expect (?:before|during|after) …",
        "How to prepare for …",
    ),
    "information": (
        r"What (?:is|are) (?:\(are\) )?(?!(?:the|some|normal)\b)…",
        "Do you have information about …",
    ),
}
PATTERNS = [
    (kind, re.compile(rf"{template.replace('…', '(.+?)')}[\s?.!]*", re.IGNORECASE))
    for kind, templates in TEMPLATES.items()
    for template in templates
]
REMARK = re.compile(r"^(?:an?|the) | \((?:outlook/prognosis|diagnosis|patient info\w*)\)$")


def parse_question(question: str) -> tuple[str, str]:
    """Returns the (kind, topic) of a question, or two empty texts if no template matches.

    "What causes Allergy?" and "Who is at highest risk for allergy ?" share the topic "allergy".
    """
    question = " ".join(unquote(question).split())  # WikiDoc's titles are URL-escaped: Ewing%27s
    for kind, pattern in PATTERNS:
        if match := pattern.fullmatch(question):
            return kind, fold_topic(match[1])
    return "", ""


def fold_topic(topic: str) -> str:
    """Returns one spelling for topics that differ only in case, spaces, article or remark."""
    topic = " ".join(topic.casefold().replace("’", "'").split())
    while (shorter := REMARK.sub("", topic).strip(" ?.!")) != topic:
        topic = shorter
    return topic
