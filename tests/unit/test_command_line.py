"""`python -m core …`: what it prints, and what it answers to wrong calls."""

import sys

import pytest

from core import __main__ as command_line
from core.store import Store, keys


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
