"""The process that trains: `python -m core.jobs.runner`, started by a worker, which hands it a run by a pipe.

It ends when the run ends, or when the pipe closes: it must not outlive the worker that would start it again.
With `--warm` it gets everything ready before it is handed a run.
"""

import gc

# Nothing that is imported here becomes garbage; looking for it would take a fifth of a cold start.
gc.disable()

import argparse
import json
import logging
import os
import sys
import threading
from importlib import import_module

from core import trainer
from core.config import get_settings
from core.errors import ClaimLost, RunCancelled
from core.jobs.warm import warm_up
from core.store import Store
from core.store.claims import Claim
from core.training import isolation

CANCELLED_STATUS = 3
CLAIM_LOST_STATUS = 4
_INPUT = 0


def main() -> int:
    """Wait for a run and take it to its end; what goes wrong is written into the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", action="store_true", help="Get ready before a run comes.")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    is_warm = parser.parse_args().warm
    _import_libraries()
    with Store.open() as store:
        if is_warm:
            warm_up(store)
        claim = _wait_for_run()
        if claim is None:
            return 0
        _write_to_log_of(store, claim.run_id)
        _end_with_worker()
        return _walk(store, claim)


def _import_libraries() -> None:
    # Now, and not while images are fetched: two threads, one that imports, take turns and both longer.
    isolation.isolate(get_settings().create_folders())
    for name in ("core.training.engine", "core.evaluation.predict"):
        import_module(name)
    gc.freeze()
    gc.enable()


def _walk(store: Store, claim: Claim) -> int:
    try:
        trainer.walk(store, claim)
    except RunCancelled:
        return CANCELLED_STATUS
    except ClaimLost:
        return CLAIM_LOST_STATUS
    except Exception:  # noqa: BLE001 - `walk` has written it into the run
        return 1
    return 0


def _wait_for_run() -> Claim | None:
    """The run that the worker hands over as a line of JSON; None if the pipe closes instead."""
    line = b""
    # Not through Python's buffers, which would keep what comes behind the line.
    while not line.endswith(b"\n"):
        if not (byte := os.read(_INPUT, 1)):
            return None
        line += byte
    return Claim(**json.loads(line))


def _write_to_log_of(store: Store, run_id: str) -> None:
    # The run's own handler writes there already.
    logging.getLogger().handlers.clear()
    log = os.open(store.settings.log_path(run_id), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    os.close(log)


def _end_with_worker() -> None:
    def wait_for_end_of_input() -> None:
        while os.read(_INPUT, 1):
            pass
        os.write(sys.stderr.fileno(), b"The worker is gone; so am I. The next worker takes the run up.\n")
        os._exit(1)

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
