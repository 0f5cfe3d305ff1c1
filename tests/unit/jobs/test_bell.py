"""The bell: whoever sleeps is woken, a ring is never lost, and nobody needs to be there."""

import threading
from time import monotonic

from core.config import Settings
from core.jobs import bell
from core.jobs.bell import Listener, Sleeper

FOR_EVER_S = 600.0


def test_who_sleeps_is_woken(settings: Settings) -> None:
    with Sleeper(settings) as sleeper:
        woken = threading.Thread(target=sleeper.sleep, args=(FOR_EVER_S,))
        woken.start()
        bell.ring(settings)
        woken.join(60)
        assert not woken.is_alive()


def test_a_ring_while_nobody_sleeps_is_heard_at_the_next_sleep_and_once(settings: Settings) -> None:
    with Sleeper(settings) as sleeper:
        for _ in range(3):
            bell.ring(settings)
        sleeper.sleep(FOR_EVER_S)
        started_s = monotonic()
        sleeper.sleep(0.2)
        assert monotonic() - started_s >= 0.15


def test_it_may_be_rung_where_nobody_ever_slept_and_where_somebody_did(settings: Settings) -> None:
    listener = Listener(settings)
    assert not listener.has_rung()
    bell.ring(settings)
    assert listener.has_rung()
    with Sleeper(settings):
        pass
    listener.has_rung()
    bell.ring(settings)
    assert listener.has_rung()


def test_who_sleeps_after_another_one_died_is_woken(settings: Settings) -> None:
    died = Sleeper(settings).__enter__()
    died._socket.close()
    bell.ring(settings)
    with Sleeper(settings) as sleeper:
        bell.ring(settings)
        sleeper.sleep(FOR_EVER_S)
