"""The warm spare: ready before a run comes, used once, renewed, and never more than wanted."""

import psutil
import pytest

from core.jobs import crew, service
from core.jobs.crew import Crew
from core.store import Store, claims, run_views, runs, states
from tests.processes import child_of, wait_until


def _is_ready(settings, times=1):
    log = settings.logs_dir / "worker.log"
    return log.exists() and log.read_text().count("The spare runner is ready") >= times


@pytest.fixture
def product(product):
    """The small product, with a spare."""
    return product.model_copy(update={"warm_runner": True})


@pytest.fixture
def runners(product):
    with Store.open(product):
        pass
    crew_ = Crew(product)
    yield crew_
    crew_.dismiss_spare()


def _spare_of(runners):
    return runners._spare


def test_a_run_goes_to_the_spare_and_another_takes_its_place(product, feedback):
    first_runner = _runner_of_run(product, feedback, times=1)
    second_runner = _runner_of_run(product, feedback, times=2)
    assert first_runner != second_runner


def _runner_of_run(product, feedback, times):
    """The process that worked on a run which was posted when the spare was ready for it."""
    with Store.open(product) as store:
        if times == 1:
            # The first run makes the champion that a spare steps with.
            _ended(store, service.submit(store, feedback(), source="api", actor="t").run_id)
        wait_until(lambda: _is_ready(product, times))
        (worker,) = service.live_workers(store)
        spare = child_of(psutil.Process(worker.pid), "core.jobs.runner")
        run_id = service.submit(store, feedback(epochs=4), source="api", actor="t").run_id
        log = str(product.log_path(run_id))
        wait_until(lambda: any(file.path == log for file in spare.open_files()))
        assert _ended(store, run_id).status == "succeeded"
        wait_until(lambda: not spare.is_running())
        return spare.pid


def _ended(store, run_id):
    return wait_until(lambda: (run := run_views.get_run(store, run_id)).status in states.ENDED and run)


def test_without_the_setting_there_is_none(product):
    runners = Crew(product.model_copy(update={"warm_runner": False}))
    runners.keep_spare()
    assert _spare_of(runners) is None


def test_a_spare_that_grew_too_large_is_ended_and_not_followed_by_another(runners, monkeypatch):
    runners.keep_spare()
    spare = _spare_of(runners)
    monkeypatch.setattr(crew, "MOST_SPARE_BYTES", 1)
    runners.keep_spare()
    assert spare.poll() is not None
    runners.keep_spare()
    assert _spare_of(runners) is None


def test_a_spare_that_died_does_not_lose_the_run_it_was_to_get(product, runners, feedback):
    with Store.open(product) as store:
        run_id = _queued(store, feedback())
        runners.keep_spare()
        _spare_of(runners).kill()
        _spare_of(runners).wait()
        claim = claims.take_next(store, "test")
        runner = runners.hand_over(claim)
        assert runner.wait(timeout=300) == 0
        crew.end(runner)
        assert runs.get_row(store, run_id).status == "succeeded"


class _Stillborn(Crew):
    """Its runners are killed before they can be handed anything."""

    def _start(self, *options):
        runner = super()._start(*options)
        runner.kill()
        runner.wait()
        return runner


def test_a_runner_that_died_before_it_was_handed_its_run_is_found_dead(product, feedback):
    with Store.open(product) as store:
        _queued(store, feedback())
        runner = _Stillborn(product).hand_over(claims.take_next(store, "test"))
        assert runner.poll() is not None
        crew.end(runner)


def _queued(store, asked):
    from core.trainer import accept

    with store.database.write() as session:
        return accept(session, asked, source="test", actor="t").id


def test_a_spare_ends_with_its_worker(product, runners):
    runners.keep_spare()
    spare = _spare_of(runners)
    wait_until(lambda: _is_ready(product) or (product.logs_dir / "worker.log").exists())
    # What the operating system does when a worker dies: it closes its pipes.
    spare.stdin.close()
    assert spare.wait(timeout=300) == 0
