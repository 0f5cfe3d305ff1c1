"""`python -m core compare | promote | rollback | report | export-onnx`."""

import json
import sys

import pytest

from core import __main__ as command_line
from core.registry import judging, publish
from core.trainer import accept
from tests.factories import image, request, write_base_set
from tests.unit.registry.factories import judged, proven, scored


@pytest.fixture
def run(monkeypatch, settings, capsys):
    """Calls the command line on a temporary home; gives exit status, output and error output."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["core", *map(str, arguments)])
        status = command_line.main()
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def champions(store):
    """Two checkpoints, the first of which is live."""
    first, second = proven(store, b"1"), proven(store, b"2")
    publish.promote(store, first, instead_of=None, actor="system", reason="baseline")
    return first, second


def test_a_champion_is_promoted_and_taken_back(run, store, champions):
    first, second = champions
    status, output, told = run("promote", second.id, "--instead-of", first.id, "--reason", "better")
    assert (status, json.loads(output)["id"]) == (0, second.id)
    assert f"{second.id} is live." in told
    status, output, _ = run("rollback", "--instead-of", second.id, "--reason", "worse")
    assert (status, json.loads(output)["action"]) == (0, "rollback")
    assert publish.champion(store).id == first.id
    status, output, _ = run("rollback", "--to", second.id, "--instead-of", first.id, "--reason", "well")
    assert (status, json.loads(output)["id"]) == (0, second.id)
    assert [entry.actor for entry in publish.ledger(store)] == ["local", "local", "local", "system"]


def test_who_saw_another_champion_is_told_which_is_live(run, champions):
    first, second = champions
    status, output, told = run("promote", second.id, "--instead-of", second.id, "--reason", "better")
    assert (status, output) == (1, "")
    assert "champion_changed" in told
    assert first.id in told


def test_a_failed_candidate_needs_the_word(run, store, champions):
    first, _ = champions
    worse = judged(store, b"worse", "fail")
    asked = ("promote", worse.id, "--instead-of", first.id, "--reason", "the test set is wrong")
    status, _, told = run(*asked)
    assert (status, "override_needed" in told) == (1, True)
    assert run(*asked, "--override", "override")[0] == 0
    assert publish.champion(store).id == worse.id


@pytest.mark.parametrize("missing", ["--reason", "--instead-of"])
def test_a_promotion_needs_a_reason_and_what_was_seen(run, champions, missing):
    asked = {"--reason": "better", "--instead-of": champions[0].id}
    del asked[missing]
    with pytest.raises(SystemExit) as ended:
        run("promote", champions[1].id, *(word for pair in asked.items() for word in pair))
    assert ended.value.code == 2


def test_two_checkpoints_are_held_against_each_other(run, store, champions):
    first, second = champions
    write_base_set(store.settings.base_set_root, images={"train": 2, "valid": 2, "test": 4})
    (images,) = judging.judging_sets(store, second)
    scored(store, first, images, found_share=0.5)
    scored(store, second, images, found_share=1)
    status, output, told = run("compare", first.id, second.id)
    assert status == 0, told
    changes = {line.split("\t")[1]: line.split("\t")[2:4] for line in output.splitlines()}
    assert changes["recall"] == ["0.5", "1.0"]
    assert "+50.0" in told
    assert "not_enough_evidence" in told
    assert "not_found" in run("compare", first.id, "ckpt-none")[2]


def test_a_report_is_written_once(run, store, tmp_path):
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="t", actor="t").id
    out = tmp_path / "report.html"
    status, output, _ = run("report", run_id, out)
    assert (status, output) == (0, "")
    assert run_id in out.read_text()
    before = out.read_bytes()
    status, _, told = run("report", run_id, out)
    assert (status, "exists already" in told) == (1, True)
    assert out.read_bytes() == before
    status, _, told = run("report", "run-none", tmp_path / "other.html")
    assert (status, "not_found" in told, (tmp_path / "other.html").exists()) == (1, True, False)


@pytest.mark.parametrize("size", ["16", "100", "-32"])
def test_an_image_size_that_no_export_takes_is_told(run, champions, tmp_path, size):
    status, _, told = run("export-onnx", champions[0].id, tmp_path / "x.onnx", "--image-size", size)
    assert (status, "no multiple of 32" in told) == (1, True)


def test_an_export_needs_a_checkpoint(run, tmp_path):
    status, _, told = run("export-onnx", "ckpt-none", tmp_path / "x.onnx")
    assert (status, "not_found" in told) == (1, True)
    assert not (tmp_path / "x.onnx").exists()
