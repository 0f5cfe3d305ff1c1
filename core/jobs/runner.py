"""The process that trains: `python -m core.jobs.runner RUN_ID STAGE...`, started by a worker."""

import argparse
import logging
import os
import sys
import threading

from core import trainer
from core.store import Store
from core.training.isolation import PRODUCT_LOGGER
from core.training.progress import reporter

_STAGES = {
    "adopt": lambda store, run_id, report: trainer.adopt(store, report),
    "learn": trainer.learn,
    "judge": trainer.judge,
}


def main() -> int:
    """Do the stages; the exit status is 0 if all went through. Failures are written into the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_id")
    parser.add_argument("stages", nargs="+", choices=sorted(_STAGES))
    asked = parser.parse_args()
    _end_with_worker()
    with Store.open() as store:
        report = reporter(store, asked.run_id)
        try:
            with trainer.attempt(store, asked.run_id):
                for stage in asked.stages:
                    _STAGES[stage](store, asked.run_id, report)
        except Exception:  # noqa: BLE001 - `attempt` has written it into the run
            return 1
    return 0


def _end_with_worker() -> None:
    def wait_for_end_of_input() -> None:
        # Below Python's buffers, whose lock a waiting thread would hold while the interpreter shuts down.
        while os.read(sys.stdin.fileno(), 1):
            pass
        logging.getLogger(PRODUCT_LOGGER).error(
            "The worker is gone; so am I. The next worker takes the run up."
        )
        os._exit(1)

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
