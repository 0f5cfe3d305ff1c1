"""How numbers, times and names are said on every screen."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MISSING = "–"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>$:~^-])")
# What makes a bare web or mail address a link although it is escaped; an invisible character ends that.
_ADDRESS = re.compile(r"(//|www|@)", re.IGNORECASE)
_WORD_JOINER = "\N{WORD JOINER}"
_GIB = 1024**3


def plain(text: str) -> str:
    """The text with all Markdown switched off, so that data cannot draw links or load images."""
    escaped = _MARKDOWN.sub(r"\\\1", text).replace("\n", " ")
    return _ADDRESS.sub(rf"\1{_WORD_JOINER}", escaped)


def short_id(identifier: str) -> str:
    """`run-0192…4f2a9c` as `run-4f2a9c`: the head of an id is its time, only the tail tells two apart."""
    kind, _, rest = identifier.partition("-")
    return f"{kind}-{rest[-6:]}" if rest else identifier


def points(share: float | None) -> str:
    """A score between 0 and 1 in points with one decimal: 0.4123 is 41.2."""
    return MISSING if share is None else f"{100 * share:.1f}"


def points_change(new: float | None, old: float | None) -> str:
    """The change from old to new in points, always with its sign."""
    if new is None or old is None:
        return MISSING
    change = round(100 * (new - old), 1)
    return "±0.0" if change == 0 else f"{change:+.1f}".replace("-", "\N{MINUS SIGN}")


def small_number(value: float) -> str:
    """A small positive number with two significant digits and no exponent: 0.00005."""
    return f"{Decimal(f'{value:.2g}').normalize():f}"


def count(number: int, thing: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def boxes_in_words(number: int) -> str:
    """`1 box`, `2 boxes`."""
    return f"{number:,} {'box' if number == 1 else 'boxes'}"


def duration(seconds: float) -> str:
    """A length of time in its two largest useful units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago an aware moment was."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    return f"{seconds // 86_400:.0f} d ago"


def local_time(moment: datetime, timezone: str | None, now: datetime | None = None) -> str:
    """An aware moment on the viewer's clock; UTC, and said so, where their zone is unknown.

    Args:
        moment: Any aware time.
        timezone: IANA name, such as `Europe/Vienna`.
        now: Its year is left out; the current time if not given.
    """
    try:
        there = moment.astimezone(ZoneInfo(timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        timezone, there = None, moment.astimezone(UTC)
    year = "" if there.year == (now or datetime.now(UTC)).year else f" {there.year}"
    return f"{there.day} {there:%b}{year}, {there:%H:%M}{'' if timezone else ' UTC'}"


def moment(text: str) -> datetime:
    """The aware time that a wire type carries as ISO 8601."""
    return datetime.fromisoformat(text)


def size(size_bytes: float) -> str:
    """A size in its largest useful unit: 812 B, 3.4 KiB, 120 MiB, 61.2 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if round(size_bytes) < 1024:
            return f"{size_bytes:.{1 if unit != 'B' and size_bytes < 10 else 0}f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} GiB"


def gibibytes(size_bytes: float) -> str:
    """A size in GiB with one decimal."""
    return f"{size_bytes / _GIB:,.1f} GiB"
