"""Repairs texts by named rules: wrong encodings, markup, invisible characters, whitespace.

Content and style are kept: µ, ², →, other scripts, quotes, *single stars*, list breaks.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping

import ftfy
from ftfy.badness import BADNESS_RE
from ftfy.fixes import unescape_html

Rule = Callable[[str], str]

# Real texts are stable after two passes; tags inside tags (<<b>b>) could take a million.
MAX_PASSES = 8

# Curly quotes and full-width punctuation are the author's choice; the other steps that are switched
# off have their own rules below.
FTFY = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_character_width=False,
    fix_line_breaks=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)

BLOCK_TAGS = "blockquote|br|center|dd|div|dl|dt|h[1-6]|hr|ol|p|pre|section|table|tr|ul"
INLINE_TAGS = (
    "a|abbr|b|big|body|cite|code|del|em|font|html|i|img|ins|kbd|li|mark|nowiki|q|ref|s|small|span|"
    "strike|strong|sub|sup|tbody|td|th|thead|tt|u|var|wbr"
)
# Only a known name and name=value attributes make a tag: "a <b and c> d" and "p < 0.05" stay.
TAG = re.compile(
    rf"</?({BLOCK_TAGS}|{INLINE_TAGS})"
    r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?>""",
    re.IGNORECASE,
)
BLOCK = re.compile(BLOCK_TAGS, re.IGNORECASE)
# Removed with their content. A second opening ends the match; else many would take O(n²) steps.
HIDDEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style|ref)\b[^<>]*(?<!/)>(?:(?!<\1\b).)*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)

# (pattern, replacement) for Markdown, MediaWiki and Anki. What may be ordinary text stays:
# *H. pylori*, CYP2C19*2, "# of cells", 5'' and 3'', [1], {{templates}}, LaTeX.
MARKUP = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"__(?:NO)?(?:TOC|EDITSECTION)__|\[(?:edit|citation needed)\]", ""),
        (r"(?<![\w*])(\*\*\*?)(?=[^\s*])([^*\n]*[^\s*])\1(?![*\d])", r"\2"),  # **bold**
        (r"(?<![\w_])__(?=[^\s_])([^_\n]*[^\s_])__(?![\w_])", r"\1"),
        (r"^[ \t]{0,3}(?:#{2,6}[ \t]+)+(?=\S)", ""),  # ## Heading
        (r"!?(?<![\w\])])\[([^][\n]+)\]\((?:https?://|www\.|mailto:)[^\s()]*\)", r"\1"),
        # ''italics'' up to the next ''; else many openings would take O(n²) steps
        (r"(?<![\w'])('''''|'''?)(?=[^\s'])((?:[^'\n]|'(?!'))*)(?<=[^\s'])\1(?!')", r"\2"),
        (r"^(={2,6})[ \t]*(?=[^=\s])([^=\n]*[^=\s])[ \t]*\1[ \t]*$", r"\2"),  # == Heading ==
        (r"(?<![\w\])])\[\[(?:File|Image|Category):[^][\n]*\]\]", ""),
        (r"(?<![\w\])])\[\[(?:[^][|\n]*\|)?([^][|\n]+)\]\]", r"\1"),  # [[page|text]]
        (r"\{\{#[^{}\n]*\}\}", ""),  # {{#ev:youtube|…}}
        (r"\{\{c\d+::([^{}:\n]+)(?:::[^{}\n]*)?\}\}", r"\1"),  # Anki's cloze: {{c1::text::hint}}
    )
]
MARKS = ("**", "__", "##", "](", "''", "==", "[[", "{{", "[edit]", "[citation needed]")

CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufff9-\ufffc\ufffe\uffff]")
# Overrides, embeddings, isolates and marks: right-to-left scripts need none of them.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Soft hyphens, joiners and the like. Joiners stay where they have a meaning: after Arabic or Indic
# letters and emoji. So do tag characters in the flags of England, Scotland and Wales.
ZERO_WIDTH = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)"
    "|[\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\U000e0000-\U000e007f]"
    "|(?<![\u0590-\u109f\u1780-\u18af\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
# Vowels that are not combining marks themselves but decompose into two.
TIBETAN_VOWELS = {0xF73: "\u0f71\u0f72", 0xF75: "\u0f71\u0f74", 0xF81: "\u0f71\u0f80"}
LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
BLANKS = re.compile(r"[^\S\n ][^\S\n]*| [^\S\n]+")  # skips single spaces: 3 times as fast
AROUND_BREAK = re.compile(" ?\n ?")
EMPTY_LINES = re.compile("\n{3,}")
# The fast path: ASCII without & and <, and characters common in good text, need few rules.
PLAIN = re.compile(r"[\t\n\r !-%'-;=-~–—‘’“”•…°µ±×≤≥]*")
PLAIN_RULES = ("markup", "whitespace")


def clean_text(text: str, rules: Mapping[str, Rule]) -> tuple[str | None, set[str]]:
    """Returns the repaired text and the names of the rules that changed it.

    Cleaning the result again changes nothing: the rules repeat until none applies, because the
    result of one can be the input of another (&lt;br&gt; becomes <br> becomes a line break). The
    text is None if that takes more than MAX_PASSES.
    """
    if PLAIN.fullmatch(text):
        rules = {name: rules[name] for name in PLAIN_RULES if name in rules}
    changed: set[str] = set()
    for _ in range(MAX_PASSES):
        before = text
        for name, rule in rules.items():
            repaired = rule(text)
            if repaired != text:
                changed.add(name)
                text = repaired
        if text == before:
            return text, changed
    return None, changed


def unreadable_share(text: str) -> float:
    """Returns the share (0 to 1) of characters that are U+FFFD or part of remaining mojibake.

    U+FFFD replaces a byte or half a character that an earlier program could not decode. ftfy's
    heuristic detects the mojibake and is occasionally wrong about a few characters.
    """
    if text.isascii():
        return 0.0
    mojibake = BADNESS_RE.sub(lambda match: "\ufffd" * len(match[0]), text)
    return mojibake.count("\ufffd") / len(text)


def fix_encoding(text: str) -> str:
    return ftfy.fix_text(text, FTFY)


def remove_html(text: str) -> str:
    """Decodes entities and removes tags; blocks become line breaks, <li> "- " and <sup> "^"."""
    return TAG.sub(_replace_tag, HIDDEN.sub("", unescape_html(text)))


def _replace_tag(match: re.Match[str]) -> str:
    name, opens = match[1].lower(), match[0][1] != "/"
    if BLOCK.fullmatch(name):
        return "\n"
    # Without its "^" a power of ten would read as another number: 10<sup>9</sup> is not 109.
    return {"li": "\n- ", "sup": "^", "td": " ", "th": " "}.get(name, "") if opens else ""


def remove_markup(text: str) -> str:
    """Removes the marks of bold, headings, links and clozes, and keeps the text inside."""
    if any(mark in text for mark in MARKS):
        for pattern, replacement in MARKUP:
            text = pattern.sub(replacement, text)
    return text


def remove_control_characters(text: str) -> str:
    return CONTROL.sub("", text)


def remove_bidi_controls(text: str) -> str:
    return BIDI.sub("", text)


def remove_zero_width(text: str) -> str:
    return ZERO_WIDTH.sub(r"\1", text)


def compose(text: str) -> str:
    """Composes letters and accents (NFC); NFKC would also turn 10⁹ into 109."""
    if not text.isascii():
        text = _long_run_of_marks().sub(_sort_marks, text)
    return unicodedata.normalize("NFC", text)


@functools.cache
def _long_run_of_marks() -> re.Pattern[str]:
    marks = filter(unicodedata.combining, map(chr, range(0x300, 0x20000)))
    return re.compile(f"[{''.join(marks)}{''.join(map(chr, TIBETAN_VOWELS))}]{{32,}}")


def _sort_marks(match: re.Match[str]) -> str:
    """Sorts marks as NFC does, but not in time quadratic in the length of the run."""
    return "".join(sorted(match[0].translate(TIBETAN_VOWELS), key=unicodedata.combining))


def normalise_whitespace(text: str) -> str:
    """Collapses each run to one space; keeps line breaks, with at most one empty line between."""
    if " ".join(text.split()) == text:  # the fastest test for the most common case
        return text
    text = BLANKS.sub(" ", LINE_BREAK.sub("\n", text))
    return EMPTY_LINES.sub("\n\n", AROUND_BREAK.sub("\n", text)).strip()


RULES: dict[str, Rule] = {
    "encoding": fix_encoding,
    "html": remove_html,
    "markup": remove_markup,
    "control_characters": remove_control_characters,
    "bidi_controls": remove_bidi_controls,
    "zero_width": remove_zero_width,
    "unicode": compose,
    "whitespace": normalise_whitespace,
}
