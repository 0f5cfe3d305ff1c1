"""`python -m core …`: what it prints, and what it answers to wrong calls."""

import json
import sys

import pytest
import sqlalchemy as sa

from core import __main__ as command_line
from core.feedback.intake import take_in
from core.store import Store, keys
from core.store.tables import Batch
from tests.factories import CLASS_NAMES
from tests.history import add_batch, correct, fine_tuned
from tests.unit.feedback.imports.archives import picture, zipped
from tests.unit.registry.factories import promote, register


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


@pytest.fixture
def live(settings):
    """The home that commands work in, with something live in it."""
    with Store.open(settings) as store:
        promote(store, register(store, b"weights"), None)
    return settings


@pytest.fixture
def yolo_zip(tmp_path):
    """An image with a box of a live class and one of another, and an image without a label."""
    path = tmp_path / "summer.zip"
    label = "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.25 0.25"
    files = {"classes.txt": "Hot-Joint\nmoth", "a.jpg": picture(1), "a.txt": label, "b.jpg": picture(2)}
    path.write_bytes(zipped(files).getvalue())
    return path


def take_in_all(settings):
    with Store.open(settings) as store:
        with store.database.read() as session:
            batch_ids = list(session.scalars(sa.select(Batch.id)))
        for batch_id in batch_ids:
            take_in(
                store,
                batch_id,
                class_names=CLASS_NAMES,
                judging={},
                champion_id=None,
                on_progress=lambda done, total: None,
            )


def test_an_import_is_looked_at_then_taken_and_given_out_again(run, live, yolo_zip, tmp_path):
    status, output, shown = run("import", yolo_zip, "--dry-run")
    assert status == 0
    assert json.loads(output)["batch_id"] is None
    assert all(
        text in shown for text in ("Hot-Joint", "hot joint", "alike", "moth", "unknown", "b.jpg: No label")
    )

    status, output, told = run("import", yolo_zip)
    assert (status, output) == (1, "")
    assert "invalid_request" in told
    assert "moth" in told

    status, output, _ = run("import", yolo_zip, "--map", "moth=", "--trusted", "--note", "from the summer")
    report = json.loads(output)
    assert (status, report["images"], report["boxes"]) == (0, 1, 1)
    take_in_all(live)

    for format_name in ("yolo", "coco"):
        out = tmp_path / f"{format_name}.zip"
        assert run("export", out, "--format", format_name, "--batch", report["batch_id"])[0] == 0
        assert json.loads(run("import", out)[1])["boxes"] == 1
    assert list(tmp_path.glob("*.part")) == []


def test_an_export_never_overwrites(run, live, yolo_zip, tmp_path):
    status, _, told = run("export", yolo_zip, "--format", "yolo")
    assert (status, yolo_zip.is_file()) == (1, True)
    assert "exists already" in told
    out = tmp_path / "out.json"
    status, _, told = run("export", out, "--format", "coco", "--no-images", "--class", "overload")
    assert (status, out.exists()) == (1, False)
    assert "not_found" in told


@pytest.mark.parametrize("options", [["--map", "moth"], ["--map", "moth=insect"], ["--note", "x" * 2_001]])
def test_a_wrong_import_is_told_in_a_sentence(run, live, yolo_zip, options):
    status, output, told = run("import", yolo_zip, *options)
    assert (status, output) == (1, "")
    assert "invalid_request" in told


def test_a_file_that_is_not_there_is_told(run, live, tmp_path):
    status, _, told = run("import", tmp_path / "none.zip")
    assert status == 1
    assert "none.zip cannot be read" in told
