"""`python -m core …`: what it prints, and what it answers to wrong calls."""

import sys

import pytest

from core import __main__ as command_line
from core.store import Store, keys
from tests.history import add_batch, correct, fine_tuned


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


def test_keys_are_made_shown_once_listed_and_revoked(run, settings):
    status, secret, hint = run("keys", "create", "feed-1", "--scope", "feed")
    assert status == 0
    assert "only its hash is stored" in hint
    with Store.open(settings) as store:
        assert keys.find_key(store, secret.strip()).name == "feed-1"
    _, listed, _ = run("keys", "list")
    assert listed.startswith("feed-1\tfeed\t")
    assert secret.strip() not in listed
    assert run("keys", "revoke", "feed-1")[0] == 0
    assert "revoked" in run("keys", "list")[1]


@pytest.mark.parametrize("content", [None, "{", '{"images": []}', '{"image": 1}', "[]"])
def test_a_payload_that_cannot_be_used_is_told_in_a_sentence(run, tmp_path, content):
    path = tmp_path / "payload.json"
    if content is not None:
        path.write_text(content)
    status, output, error = run("finetune", path)
    assert (status, output) == (1, "")
    assert "Traceback" not in error
    assert "invalid_request" in error


def test_a_missing_baseline_is_told_with_what_to_do(run):
    status, _, error = run("prepare")
    assert status == 1
    assert "baseline_missing" in error
    assert "TMS_PRETRAINED_WEIGHTS" in error


def test_provenance_of_a_checkpoint_and_of_an_image(run, settings, tmp_path):
    with Store.open(settings) as store:
        first, second = add_batch(store, "a", "b")
        older = fine_tuned(store)
        correct(store, second, class_id=1)
        newer = fine_tuned(store, parent=older)
    _, output, _ = run("provenance", newer.id)
    learned = [line.split("\t") for line in output.splitlines()]
    assert [(line[0], *line[2:]) for line in learned] == [
        (second, "feedback", "boxes: 1, version 2 by ben", "directly"),
        (first, "feedback", "boxes: 1, version 1 by feed", f"through {older.id}"),
        (second, "feedback", "boxes: 1, version 1 by feed", f"through {older.id}"),
    ]
    image = tmp_path / "a.png"
    image.write_bytes(b"a")
    _, output, _ = run("provenance", image)
    assert [line.split("\t") for line in output.splitlines()] == [
        [newer.id, "feedback", f"through {older.id}", "was live"],
        [older.id, "feedback", "directly", "was live"],
    ]


def test_provenance_of_what_nobody_has_seen_or_made(run, tmp_path):
    image = tmp_path / "new.png"
    image.write_bytes(b"new")
    assert run("provenance", image)[:2] == (0, "")
    for unknown in ("ckpt-none", "no-such-file.png"):
        status, output, error = run("provenance", unknown)
        assert (status, output) == (1, "")
        assert "not_found" in error
        assert unknown in error
