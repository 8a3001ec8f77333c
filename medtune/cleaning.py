"""Repairs texts: wrong encodings, HTML, invisible characters, blanks. Content and style stay."""

import functools
import re
import unicodedata
from collections.abc import Callable

import ftfy
from ftfy.fixes import unescape_html

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
    "a|abbr|b|big|body|cite|code|del|em|font|html|i|img|ins|kbd|li|mark|q|s|small|span|strike|strong|"
    "sub|sup|tbody|td|th|thead|tt|u|var|wbr"
)
# Only a known name and name=value attributes make a tag: "a <b and c> d" and "p < 0.05" stay.
TAG = re.compile(
    rf"</?({BLOCK_TAGS}|{INLINE_TAGS})"
    r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?>""",
    re.IGNORECASE,
)
BLOCK = re.compile(BLOCK_TAGS, re.IGNORECASE)
HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)

# Control characters, soft hyphens, zero-width and bidirectional marks, tags, noncharacters.
# Zero-width joiners stay where they have a meaning: behind Arabic or Indic letters and emoji.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
    "|(?<![\u0590-\u109f\u1780-\u18af\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
# The vowels that are no marks themselves but decompose into two.
TIBETAN_VOWELS = {0xF73: "\u0f71\u0f72", 0xF75: "\u0f71\u0f74", 0xF81: "\u0f71\u0f80"}
LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
BLANKS = re.compile(r"[^\S\n]+")
AROUND_BREAK = re.compile(" ?\n ?")
EMPTY_LINES = re.compile("\n{3,}")
# The fast path: ASCII without & and <, and signs that are common in good text, need no other rule.
PLAIN = re.compile(r"[\t\n\r !-%'-;=-~–—‘’“”•…°µ±×≤≥]*")


def clean_text(text: str) -> tuple[str, set[str]]:
    """Returns the repaired text and the names of the rules that changed it.

    Cleaning the result again changes nothing: the rules repeat until none applies, because one's
    result can be another's case (&lt;br&gt; becomes <br> becomes a line break).
    """
    rules = {"whitespace": normalise_whitespace} if PLAIN.fullmatch(text) else RULES
    changed: set[str] = set()
    before = None
    while text != before:
        before = text
        for name, rule in rules.items():
            repaired = rule(text)
            if repaired != text:
                changed.add(name)
                text = repaired
    return text, changed


def fix_encoding(text: str) -> str:
    return ftfy.fix_text(text, FTFY)


def remove_html(text: str) -> str:
    """Decodes entities and removes tags; a block's becomes a line break, <li> "- ", <sup> "^"."""
    return TAG.sub(_replace_tag, HIDDEN.sub("", unescape_html(text)))


def _replace_tag(match: re.Match[str]) -> str:
    name, opens = match[1].lower(), match[0][1] != "/"
    if BLOCK.fullmatch(name):
        return "\n"
    # Without its "^" a power of ten would read as another number: 10<sup>9</sup> is not 109.
    return {"li": "\n- ", "sup": "^", "td": " ", "th": " "}.get(name, "") if opens else ""


def remove_invisible(text: str) -> str:
    return INVISIBLE.sub("", text)


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
    """Sorts marks as NFC does, which needs time that is quadratic in the length of the run."""
    return "".join(sorted(match[0].translate(TIBETAN_VOWELS), key=unicodedata.combining))


def normalise_whitespace(text: str) -> str:
    """Makes one blank of each run; keeps line breaks, with at most one empty line between lines."""
    text = BLANKS.sub(" ", LINE_BREAK.sub("\n", text))
    return EMPTY_LINES.sub("\n\n", AROUND_BREAK.sub("\n", text)).strip()


RULES: dict[str, Callable[[str], str]] = {
    "encoding": fix_encoding,
    "html": remove_html,
    "invisible": remove_invisible,
    "unicode": compose,
    "whitespace": normalise_whitespace,
}
