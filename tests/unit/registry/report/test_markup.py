from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from core.registry.report.charts import interval_chart, line_chart
from core.registry.report.markup import Html, element, joined, table


class Reader(HTMLParser):
    """What a browser would find."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


HOSTILE = st.text() | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "&lt;b&gt;",
        "</p><iframe>",
        "' onload='x",
    ]
)


@given(HOSTILE, HOSTILE)
def test_text_stays_text_wherever_it_stands(text, value):
    seen = read(element("p", text, title=value))
    assert seen.tags == ["p"]
    # Parsers take carriage returns and NUL for something else; no text becomes a tag by that.
    assert [name for name, _ in seen.attributes] == ["title"]
    plain = str.maketrans("", "", "\r\0")
    if not set(value) & {"\r", "\0"}:
        assert seen.attributes[0][1] == value
    assert "".join(seen.texts).translate(plain) == text.translate(plain)


@given(st.lists(st.lists(HOSTILE, min_size=1, max_size=3), max_size=3))
def test_a_table_has_a_cell_for_each_value(rows):
    seen = read(table(["a"], rows))
    assert seen.tags.count("td") == sum(len(row) - 1 for row in rows)
    assert set(seen.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_what_is_html_already_is_taken_as_it_is():
    inner = element("b", "x & y")
    assert isinstance(inner, Html)
    assert element("p", inner, None, 3) == "<p><b>x &amp; y</b>3</p>"
    assert joined([inner, "<"]) == "<b>x &amp; y</b>&lt;"
    assert element("p", class_="a", stroke_width=2, hidden=None) == '<p class="a" stroke-width="2"></p>'


POINTS = st.lists(st.tuples(st.integers(1, 50), st.floats(-1e6, 1e6)), max_size=8)


@given(st.dictionaries(HOSTILE, POINTS, max_size=4), HOSTILE)
def test_a_chart_draws_each_line_that_has_points(lines, title):
    seen = read(line_chart(title, lines, x_label="epoch"))
    drawn = [points for points in lines.values() if points]
    assert seen.tags.count("polyline") == sum(len(points) > 1 for points in drawn)
    assert seen.tags.count("circle") == sum(len(points) == 1 for points in drawn)
    assert "nan" not in "".join(value or "" for name, value in seen.attributes if name == "points")
    assert "script" not in seen.tags


ENDS = st.none() | st.floats(-1, 1)


@given(st.lists(st.tuples(HOSTILE, st.floats(-1, 1), ENDS, ENDS), max_size=5))
def test_an_interval_chart_has_a_dot_for_each_row(rows):
    seen = read(interval_chart("Change", rows))
    assert seen.tags.count("circle") == len(rows)


def test_points_lie_where_they_should():
    html = line_chart("Loss", {"box": [(1, 2.0), (2, 1.0), (3, 0.0)]}, x_label="epoch")
    assert 'points="56.0,12.0 252.0,109.0 448.0,206.0"' in html
