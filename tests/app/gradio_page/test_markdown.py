import re

import pytest

from app.gradio_page.markdown import html_of

TAGS = re.compile(r"</?([a-z0-9]+)")


def test_lists_emphasis_code_and_tables_are_shown() -> None:
    assert (
        html_of("**Gout** is *painful*.") == "<p><strong>Gout</strong> is <em>painful</em>.</p>\n"
    )
    assert html_of("- a\n- b") == "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"
    assert "<td>1</td>" in html_of("|a|\n|-|\n|1|") and "<code>x</code>" in html_of("`x`")
    assert html_of("one\ntwo") == "<p>one<br />\ntwo</p>\n"


def test_headings_come_after_that_of_the_page() -> None:
    assert html_of("# One\n### Three") == "<h2>One</h2>\n<h2>Three</h2>\n"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "text <img src=x onerror=alert(1)>",
        "![x](http://example.com/x.png)",
        "[a](javascript:alert(1))",
        "[a](http://example.com)",
        "<http://example.com>",
        "[a][1]\n\n[1]: http://example.com",
        "http://example.com",
        "`<b>`",
        "```\n<b>\n```",
        "```<img src=x>\nx\n```",
        "|<b>|\n|-|\n|<i>|",
    ],
)
def test_html_links_and_pictures_stay_text(text: str) -> None:
    html = html_of(text)
    allowed = {"p", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "br"}
    assert set(TAGS.findall(html)) <= allowed
    assert not re.search(r"<[^>]*(src|href|onerror)\s*=[^>]*>", html)


def test_an_empty_answer_is_empty() -> None:
    assert html_of("") == ""
