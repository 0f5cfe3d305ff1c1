"""Carries a run's news to the store and its orders back, so that training never waits for the database."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy.orm import Session

from core.config import Settings
from core.errors import BlobStoreUnavailable, RunCancelled, TmsError
from core.store import Store, claims, runs
from core.store.claims import BEAT_INTERVAL_S, SILENT_BEFORE_PAUSE_S, Claim
from core.store.database import AWAY, patiently
from core.store.tables import Run
from core.training.isolation import PRODUCT_LOGGER
from core.training.load import LoadMeter
from core.training.weights import STATES_LISTED

Report = Callable[[str, dict[str, Any]], None]
"""Takes an event's kind and payload; docs/api.md lists both."""

EVENT_INTERVAL_S = 0.5
_REST_S = 0.2
_MOST_LOG_LINES = 200

log = logging.getLogger(PRODUCT_LOGGER)


@dataclass(frozen=True)
class News:
    """An event on its way to the store, with the state that was put away before it, if it ends an epoch."""

    kind: str
    payload: dict[str, Any]
    state_sha256: str | None = None


class Courier:
    """Reports events, gives signs of life, and knows how the run was told to end.

    Use it in a `with` block, around all work on a claimed run. Calling it reports an event: steps of one
    phase, and batches, are thinned to two a second; their last one always goes through. Each call is also a
    place where the work ends if it was told to.

    While the database is away, events and epochs are gathered and the work goes on. If it stays away for so
    long that another host might take the run, the work pauses until the claim is known to hold.
    """

    def __init__(self, store: Store, claim: Claim, also: Report | None = None) -> None:
        """Take the store, the claim to work under, and who else is told of each event."""
        self.store = claims.under(store, claim)
        self.order: runs.Wish | None = None
        self.run_id = claim.run_id
        self._claim, self._also = claim, also
        self._outbox: deque[News] = deque()
        self._log_lines: deque[str] = deque(maxlen=_MOST_LOG_LINES)
        self._last_told_s: dict[str, float] = {}
        self._heard_s = time.monotonic()
        self._load_meter = LoadMeter()
        self._load_due_s = self._beaten_s = 0.0
        self._failure: Exception | None = None
        self._exchanged = threading.Condition()
        # Only for the exchange itself: who works must not wait for a database that is away.
        self._exchanging = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="courier", daemon=True)
        self._handler = _LogLines(self._log_lines)

    def __enter__(self) -> Self:
        for name in (PRODUCT_LOGGER, "ultralytics"):
            logging.getLogger(name).addHandler(self._handler)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in (PRODUCT_LOGGER, "ultralytics"):
            logging.getLogger(name).removeHandler(self._handler)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout=SILENT_BEFORE_PAUSE_S)

    def __call__(self, kind: str, payload: dict[str, Any]) -> None:
        """Report an event, or raise as `check` does."""
        self.check()
        topic = str(payload.get("phase", kind))
        if _is_step(payload) and time.monotonic() - self._last_told_s.get(topic, 0.0) < EVENT_INTERVAL_S:
            return
        self._last_told_s[topic] = time.monotonic()
        self._send(News(kind, payload))

    def _send(self, news: News) -> None:
        log.info("%s", _sentence(news.kind, news.payload), extra={"is_event": True})
        self._outbox.append(news)
        self._wake.set()
        if self._also is not None:
            self._also(news.kind, news.payload)

    def detached(self) -> "DetachedCourier":
        """One like this for another process."""
        return DetachedCourier(self.store.settings, self._claim)

    def check(self) -> None:
        """Return while the work may go on; wait while that is not known.

        Raises:
            RunCancelled: If the run was cancelled.
            ClaimLost: If it has passed to another owner.
        """
        with self._exchanged:
            self._exchanged.wait_for(self._may_decide)
        if self._failure is not None:
            raise self._failure
        if self.order == "cancel":
            raise RunCancelled(f"The run {self.run_id} was cancelled.", run_id=self.run_id)

    def _may_decide(self) -> bool:
        return self._failure is not None or time.monotonic() - self._heard_s < SILENT_BEFORE_PAUSE_S

    def enter(self, status: Any, **changes: Any) -> None:
        """Move the run to a state, after all events of the state before; raises as `check` does."""
        self.check()
        patiently(self._exchange)
        patiently(lambda: runs.enter(self.store, self.run_id, status, **changes))

    def fail(self, error: TmsError) -> None:
        """End the run as failed, after all events of before; raises as `check` does."""
        patiently(self._exchange)
        patiently(lambda: runs.fail(self.store, self.run_id, error.as_dict()))

    def say(self, phase: str, share: float = 0.0) -> None:
        """Report what is being done, and how much of it is done if that is known, from 0 to 1."""
        self("phase", {"phase": phase, "done": round(share * 100), "total": 100 if share else 0})

    def keep_epoch(self, state: Path, payload: dict[str, Any]) -> None:
        """Keep the state after an epoch where every host finds it, and report the epoch with it.

        Args:
            state: File of the state.
            payload: Of the `epoch` event.
        """
        put = partial(self.store.blobs.put_file, state, "the state after the epoch")
        sha256 = patiently(put, away=(BlobStoreUnavailable,))
        # Until the database has noted it, nobody else knows of it.
        with (state.parent / STATES_LISTED).open("a", encoding="utf-8") as listed:
            listed.write(f"{sha256}\n")
        self._send(News("epoch", payload, sha256))
        self.check()

    def _carry(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(EVENT_INTERVAL_S)
            self._wake.clear()
            if not self._carry_once():
                return
            self._closing.wait(_REST_S)
        # What the last moments had to tell; if the database is away now, the run's log has it.
        self._carry_once()

    def _carry_once(self) -> bool:
        try:
            self._exchange()
        except AWAY as error:
            log.warning("The database does not answer; the work goes on. %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - handed to the thread that works
            self._failure = error
        with self._exchanged:
            self._exchanged.notify_all()
        return self._failure is None

    def _exchange(self) -> None:
        with self._exchanging:
            asked_s = time.monotonic()
            if self._has_news(asked_s):
                self._deliver(asked_s)
            else:
                self.order = runs.get_row(self.store, self.run_id).wanted  # type: ignore[assignment]

    def _has_news(self, now_s: float) -> bool:
        return bool(self._outbox or self._log_lines) or now_s - self._beaten_s >= BEAT_INTERVAL_S

    def _deliver(self, asked_s: float) -> None:
        """Everything there is to tell, in one transaction; what could not be written is kept."""
        events, lines = list(self._outbox), list(self._log_lines)
        news = [*events, *([News("log", {"lines": lines})] if lines else [])]
        if asked_s >= self._load_due_s:
            news.append(News("load", self._load_meter.read()))
            self._load_due_s = asked_s + BEAT_INTERVAL_S
        with self.store.database.write() as session:
            run = claims.beat(session, self._claim)
            outdated = [_write(session, run, one) for one in news]
            self.order = run.wanted  # type: ignore[assignment]
        for box, delivered in ((self._outbox, events), (self._log_lines, lines)):
            for _ in delivered:
                box.popleft()
        self._heard_s = self._beaten_s = asked_s
        self._drop(filter(None, outdated))

    def _drop(self, outdated: Iterable[str]) -> None:
        for sha256 in outdated:
            with suppress(BlobStoreUnavailable):
                self.store.blobs.delete(sha256)


def _write(session: Session, run: Run, news: News) -> str | None:
    """Write one event; gives the sha256 of the state that its own makes worthless."""
    runs.append_event(session, run, news.kind, news.payload)
    if news.state_sha256 is None:
        return None
    return runs.keep_state(session, run, news.state_sha256, news.payload["epoch"])


class _LogLines(logging.Handler):
    """Gathers what is logged, but for the sentences that are events already."""

    def __init__(self, lines: deque[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "is_event", False):
            self._lines.append(f"{record.levelname} {record.getMessage()}")


def _is_step(payload: dict[str, Any]) -> bool:
    done, total = (
        payload.get(*names) for names in (("step", payload.get("done")), ("steps", payload.get("total")))
    )
    return total is not None and done != total


def _sentence(kind: str, payload: dict[str, Any]) -> str:
    if kind == "phase":
        return (
            f"{payload['phase']} {payload['done']}/{payload['total']}"
            if payload["total"]
            else payload["phase"]
        )
    return f"{kind} " + " ".join(f"{name}={value}" for name, value in payload.items())


class DetachedCourier:
    """A courier for the first process of a multi-GPU run: pickled, it opens the store where it wakes up."""

    def __init__(self, settings: Settings, claim: Claim) -> None:
        """Take what is needed to open the store elsewhere."""
        self._settings, self._claim = settings, claim
        self._courier: Courier | None = None

    def __call__(self, kind: str, payload: dict[str, Any]) -> None:
        """As `Courier`."""
        self._awake()(kind, payload)

    @property
    def order(self) -> runs.Wish | None:
        """As `Courier.order`."""
        return self._awake().order

    def keep_epoch(self, state: Path, payload: dict[str, Any]) -> None:
        """As `Courier.keep_epoch`."""
        self._awake().keep_epoch(state, payload)

    def _awake(self) -> Courier:
        if self._courier is None:
            self._courier = Courier(Store.open(self._settings), self._claim).__enter__()
        return self._courier
