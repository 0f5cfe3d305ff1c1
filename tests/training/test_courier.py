"""The courier: events thinned and in order, orders heard, no wait for a database that is away."""

import logging
import threading

import pytest
import sqlalchemy as sa

from core.errors import ClaimLost, RunCancelled
from core.store import Store, claims, runs
from core.training import courier as courier_module
from core.training.courier import Courier
from core.training.isolation import PRODUCT_LOGGER
from tests.processes import wait_until
from tests.training.conftest import a_courier


def _batch(step, steps=1_000):
    return {"epoch": 1, "epochs": 1, "step": step, "steps": steps}


def _told(courier, *kinds):
    return runs.events_after(courier.store, courier.run_id, kinds=kinds)


def test_steps_are_thinned_and_the_last_one_goes_through(any_settings):
    heard = []
    with a_courier(any_settings, lambda kind, payload: heard.append((kind, payload))) as courier:
        for step in range(1, 1_001):
            courier("batch", _batch(step))
        courier("resumed", {"epochs_done": 1})
        wait_until(lambda: _told(courier, "resumed"))
        told = [event.payload["step"] for event in _told(courier, "batch")]
    assert told[0] == 1
    assert told[-1] == 1_000
    assert len(told) < 500
    assert [kind for kind, _ in heard] == ["batch"] * len(told) + ["resumed"]


def test_each_phase_is_told_when_it_begins_and_ends(settings):
    with a_courier(settings) as courier:
        for phase in ("one", "two"):
            for done in range(6):
                courier("phase", {"phase": phase, "done": done, "total": 5})
        courier.enter("training")
        told = [(event.payload["phase"], event.payload["done"]) for event in _told(courier, "phase")]
    assert told == [("one", 0), ("one", 5), ("two", 0), ("two", 5)]


def test_a_state_is_told_after_all_that_came_before_it(any_settings):
    with a_courier(any_settings) as courier:
        courier("batch", _batch(1_000))
        courier.enter("training")
        kinds = [event.kind for event in _told(courier, "batch", "status")]
    assert kinds == ["status", "batch", "status"]


def test_what_is_logged_is_told_once_and_events_are_not_told_twice(settings):
    logging.getLogger(PRODUCT_LOGGER).setLevel(logging.INFO)
    with a_courier(settings) as courier:
        logging.getLogger("ultralytics").warning("a remark")
        courier("batch", _batch(1_000))
        courier.enter("training")
        lines = [line for event in _told(courier, "log") for line in event.payload["lines"]]
    assert lines == ["WARNING a remark"]


def test_signs_of_life_come_with_the_load_of_the_machine(any_settings):
    with a_courier(any_settings) as courier:
        first = wait_until(lambda: _told(courier, "load"))[0].payload
        assert runs.get_row(courier.store, courier.run_id).beats >= 1
    assert first["memory_bytes"] > 1_000_000
    assert 0 < first["host_memory_percent"] <= 100
    assert isinstance(first["gpus"], list)


def test_orders_are_heard_while_nothing_is_told(any_settings):
    with a_courier(any_settings) as courier:
        courier.enter("training")
        runs.ask_to_end(courier.store, courier.run_id, "stop", "ada")
        wait_until(lambda: courier.order == "stop")
        courier.check()
        with Store.open(any_settings) as other:
            runs.ask_to_end(other, courier.run_id, "cancel", "ada")
        with pytest.raises(RunCancelled):
            wait_until(courier.check)


def test_a_courier_whose_run_was_taken_over_stops_the_work(any_settings):
    with a_courier(any_settings) as courier, Store.open(any_settings) as other:
        claims.put_back_runs_of(other, "test")
        with pytest.raises(ClaimLost):
            wait_until(lambda: courier("batch", _batch(1_000)))


@pytest.mark.postgres
def test_while_the_database_is_away_work_goes_on_and_all_is_told_later(settings, postgres_url):
    with_postgres = settings.model_copy(update={"database_url": postgres_url})
    database = sa.make_url(postgres_url).database
    with a_courier(with_postgres) as courier:
        courier("batch", _batch(1))
        wait_until(lambda: _told(courier, "batch"))
        with _closed_to_everybody(postgres_url, database):
            for step in range(2, 12):
                # Nothing of this waits for the database: it would wait for ever.
                courier("phase", {"phase": f"step {step}", "done": 0, "total": 0})
        courier.enter("training")
        told = [event.payload["phase"] for event in _told(courier, "phase")]
    assert told == [f"step {step}" for step in range(2, 12)]


class _closed_to_everybody:  # noqa: N801 - reads as what it does
    """A database that lets nobody in, and has thrown everybody out."""

    def __init__(self, url, database):
        self._admin = sa.create_engine(
            url.replace(f"/{database}?", "/postgres?"), isolation_level="AUTOCOMMIT"
        )
        self._database = database

    def _run(self, *statements):
        with self._admin.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def __enter__(self):
        self._run(
            f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database}'",
        )

    def __exit__(self, *_):
        self._run(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")
        self._admin.dispose()


def test_work_pauses_while_the_claim_may_be_lost_and_goes_on_when_it_holds(settings, monkeypatch):
    monkeypatch.setattr(courier_module, "SILENT_BEFORE_PAUSE_S", 0.5)
    monkeypatch.setattr(courier_module, "BEAT_INTERVAL_S", 0.1)
    with a_courier(settings) as courier:
        wait_until(lambda: _told(courier, "load"))
        lock = courier.store.database.engine.raw_connection()
        lock.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: not courier._may_decide())
        passed = threading.Event()
        work = threading.Thread(target=lambda: (courier.check(), passed.set()))
        work.start()
        assert not passed.wait(0.3)
        lock.execute("COMMIT")
        lock.close()
        work.join(timeout=300)
        assert passed.is_set()


@pytest.mark.slow
def test_what_a_multi_gpu_run_hands_to_its_processes_arrives_there(bench, settings, tmp_path):
    import cloudpickle

    from core.training.engine import FineTuner, Progress

    with a_courier(settings) as courier:
        progress = Progress(courier.detached(), time_budget_s=None)
        trainer_class, callback = cloudpickle.loads(cloudpickle.dumps((FineTuner, progress._epoch)))
        assert trainer_class is FineTuner
        state = tmp_path / "resume.pt"
        state.write_bytes(b"state")

        class AtEndOfEpoch:
            epoch, epochs, fitness, best_fitness, state_path, stop = 0, 2, 0.5, 0.5, state, False
            metrics, tloss = {"metrics/mAP50(B)": 0.7}, {"box_loss": 1.0}

            class optimizer:  # noqa: N801 - the name Ultralytics' trainer has
                param_groups = ({"lr": 0.1},)

        callback(AtEndOfEpoch())
        (event,) = wait_until(lambda: _told(courier, "epoch"))
        kept = runs.get_row(courier.store, courier.run_id)
        assert courier.store.blobs.get(kept.resume_sha256) == b"state"
    assert event.payload["metrics"] == {"metrics/mAP50(B)": 0.7, "fitness": 0.5}
    assert event.payload["is_best"]
    assert kept.resume_epoch == 1


def test_a_courier_leaves_no_thread_behind(settings):
    before = threading.active_count()
    with a_courier(settings) as courier:
        assert isinstance(courier, Courier)
    assert threading.active_count() <= before
