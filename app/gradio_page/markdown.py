"""Turns the Markdown of a model's answer into HTML that cannot do harm.

HTML in an answer is shown as text. So are links and pictures: a model invents addresses, and a
picture would tell another host that it was looked at.
"""

from functools import lru_cache

from markdown_it import MarkdownIt

UNSAFE = ["html_block", "html_inline", "image", "link", "autolink", "reference"]
HEADING = "h2"  # of every level, because the page itself has the heading above
_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
_markdown.enable("table").disable([*UNSAFE, "code"])  # indented text of a model is no code


@lru_cache(512)  # while an answer grows, those above it are shown again and again
def html_of(text: str) -> str:
    """Returns Markdown as HTML, with everything but its own tags escaped."""
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = HEADING
    return str(_markdown.renderer.render(tokens, _markdown.options, {}))
