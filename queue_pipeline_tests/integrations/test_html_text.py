"""HTML that anybody may have written becomes the text that a reader sees, in time that grows with its length."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.integrations.html_text import text_of_html


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hello<br>you</p><script>no()</script>", "Hello\nyou"),
        ("<head><title>x</title><style>p{}</style><body><p>one</p><p>two</p>", "one\ntwo"),
        ("<head>no end of the head: Hello", "no end of the head: Hello"),
        ("Hello &amp; <b>you</b> &lt;x&gt; &#8212; &eacute;", "Hello & you <x> — é"),
        ("<p title='a > b' data-x=\"'\">in</p>", "in"),
        ("3 < 4 and 5 > 4 <3", "3 < 4 and 5 > 4 <3"),
        ("a<!-- not -->b<!--[if mso]>no<![endif]-->c<![if !mso]>d<![endif]><?xml x?>e", "abcde"),
        ("a<!-->b", "ab"),
        ("a<!-- never ends", "a"),
        ("a<script>never ends", "a"),
        ("a<SCRIPT>x</scripty>y</Script >b", "ab"),
        ("a<b never ends", "a"),
        ("<a href='x>Hello</a> you", "Hello you"),
        ("<div><div><p>a</p></div></div><p>b</p>", "a\nb"),
        ("a<br><br><br><br>b   c\t d", "a\n\nb c d"),
        ("&#" + "9" * 5000 + ";&#x" + "F" * 5000 + ";&#0;&#xD800;", "\ufffd" * 4),
        ("", ""),
    ],
)
def test_what_a_reader_sees_is_what_remains(markup: str, text: str) -> None:
    assert text_of_html(markup) == text


@given(st.text(alphabet="<>!-/ab'\"&;#x \n=", max_size=60))
def test_no_markup_whatever_raises(markup: str) -> None:
    text_of_html(markup)


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<a ", "<", "<script>", "<a b='", "</", "<a '>' ", "<a '\">", "<style></styl", "&#9", "\n \n", "<p>"],
)
def test_no_repetition_makes_it_slow(piece: str) -> None:
    markup = piece * (1_000_000 // len(piece))
    done = threading.Thread(target=text_of_html, args=(markup,), daemon=True)
    done.start()
    done.join(timeout=60)  # a reader that is quadratic would need hours
    assert not done.is_alive()
