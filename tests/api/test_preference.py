import pytest

from api.preference import parse_prefer


@pytest.mark.parametrize(
    ("lines", "wait_s", "applied"),
    [
        ([], None, ""),
        (["respond-async"], 0, "respond-async"),
        (["respond-async, wait=10"], 10, "respond-async, wait=10"),
        (["respond-async", "wait=10"], 10, "respond-async, wait=10"),
        (["wait=5"], 5, "wait=5"),
        (["Respond-Async; foo=bar"], 0, "respond-async"),
        (['wait="7"'], 7, "wait=7"),
        (["wait=1, wait=9"], 1, "wait=1"),
        (["handling=lenient, return=minimal"], None, ""),
        (["wait=-1"], None, ""),
        (["wait=soon"], None, ""),
        (["wait=" + "9" * 400], None, ""),
        (["respond-async, wait=1.5"], 0, "respond-async"),
        (["=;,,"], None, ""),
    ],
)
def test_prefer_is_read_as_the_rfc_says(lines, wait_s, applied):
    preference = parse_prefer(lines)
    assert (preference.wait_s, preference.applied) == (wait_s, applied)
