"""The diagnostics bundle: whole, and without anything that opens a door."""

import io
import json
import zipfile
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import __main__ as command_line
from core.jobs import diagnostics
from core.jobs.redaction import Redactor
from core.registry import webhooks
from core.store import Store, keys, runs
from core.trainer import accept
from tests.factories import image, make_settings, request

PASSWORD = 'p"ss/wörd-of-the-database'
SIGNED = "https://cdn.example/a.png?sig=SIGNATURE&user=ada"


def _files(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def _fail_run(store: Store, note: str, detail: str) -> str:
    put_aside = [{"index": 0, "image_url": SIGNED, "code": "fetch_failed"}]
    extra = {"exception": "ValueError", "last_log_lines": [detail], "quarantined": put_aside}
    with store.database.write() as session:
        run_id = accept(session, request(image(SIGNED), note=note), source="api", actor="ada").id
    error = {"code": "training_failed", "title": "Training failed", "detail": detail, "extra": extra}
    runs.fail(store, run_id, error)
    return run_id


def test_it_tells_versions_settings_workers_runs_and_logs(store: Store) -> None:
    run_id = _fail_run(store, "a note", "The loss is not a number.")
    store.settings.log_path(run_id).write_text("epoch 3\n")
    (store.settings.logs_dir / "worker.log").write_text("a worker's line\n")
    found = _files(diagnostics.bundle(store))
    assert set(found) == {
        *(f"{name}.json" for name in ("versions", "settings", "hosts", "runs", "ledger")),
        "logs/worker.log",
        f"logs/{run_id}.log",
    }
    versions = json.loads(found["versions.json"])
    assert versions["database"] == "sqlite"
    assert versions["packages"]["ultralytics"]
    settings = {one["name"]: one for one in json.loads(found["settings.json"])}
    assert settings["TMS_HOME"]["value"] == str(store.settings.home)
    assert settings["TMS_DATABASE_URL"]["value"] == "not set"
    (told,) = json.loads(found["runs.json"])["newest"]
    assert (told["id"], told["error"]["detail"]) == (run_id, "The loss is not a number.")
    assert json.loads(found["hosts.json"])["room"]["disk_free_bytes"] > 0
    assert found[f"logs/{run_id}.log"] == "epoch 3\n"


@pytest.fixture
def everywhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Secrets of every kind, in every place that the bundle is made of; gives what must not be in it."""
    key = keys.create_key(store, "feed-1", "feed")
    hook = webhooks.create(store, "https://93.184.216.34/hook?token=HOOKTOKEN", ["promoted"], actor="ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-0815")
    secrets = [key, hook.secret, "aws-secret-0815", "SIGNATURE", "user=ada", "HOOKTOKEN", "swordfish"]
    said = " ".join(
        [
            f"GET {SIGNED} failed",
            "https://ada:swordfish@images.example/1.png",
            "https://93.184.216.34/hook?token=HOOKTOKEN",
            f"Authorization: Bearer {key}",
            hook.secret,
            "aws-secret-0815",
        ]
    )
    run_id = _fail_run(store, said, said)
    for log in ("api.log", "worker.log", f"{run_id}.log"):
        (store.settings.logs_dir / log).write_text(f"{said}\n{json.dumps({'event': said})}\n")
    return secrets


def test_no_secret_no_key_and_no_query_string_is_in_it(store: Store, everywhere: list[str]) -> None:
    found = _files(diagnostics.bundle(store))
    assert len(found) == 8
    for name, text in found.items():
        assert [secret for secret in everywhere if secret in text] == [], name
    assert "https://cdn.example/a.png?…" in found["logs/api.log"]
    assert "a note" not in found["runs.json"]


@pytest.mark.parametrize("form", [str, lambda secret: json.dumps(secret)[1:-1], lambda one: quote(one, "")])
def test_the_password_of_the_database_is_known_however_it_is_written(
    store: Store, form: Callable[[str], str]
) -> None:
    url = f"postgresql+psycopg://tms:{quote(PASSWORD, '')}@db.example/tms?sslpassword=of-the-certificate"
    other = Store(make_settings(store.settings.home, database_url=url), store.database, store.blobs)
    (store.settings.logs_dir / "api.log").write_text(
        f"failed for user tms with {form(PASSWORD)} {url} of-the-certificate\n"
    )
    found = _files(diagnostics.bundle(other))
    for text in found.values():
        assert form(PASSWORD) not in text
        assert "of-the-certificate" not in text
    assert json.loads(found["settings.json"])
    assert "postgresql+psycopg://…@db.example/tms?…" in found["logs/api.log"]


def test_only_the_end_of_a_long_log_is_in_it_and_no_half_address(store: Store) -> None:
    line = f"{SIGNED} {'x' * 80}\n"
    (store.settings.logs_dir / "api.log").write_text(line * (2 * diagnostics.LOG_TAIL_BYTES // len(line)))
    text = _files(diagnostics.bundle(store))["logs/api.log"]
    assert len(text) < diagnostics.LOG_TAIL_BYTES
    assert {one.partition(" ")[0] for one in text.splitlines()} == {"https://cdn.example/a.png?…"}


_WORD = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1)


@given(
    before=st.text(),
    host=st.text(st.characters(categories=("L", "N")), min_size=1),
    path=_WORD.filter(lambda text: not set("?#@") & set(text)),
    query=_WORD,
)
def test_no_query_string_is_left_of_any_address(before: str, host: str, path: str, query: str) -> None:
    text = Redactor([]).text(f"{before} https://{host}/{path}?sig=§{query}§")
    assert f"§{query}§" not in text
    assert "sig=" not in text.removeprefix(before)


def test_the_command_writes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = store.settings.home / "bundle.zip"
    monkeypatch.setenv("TMS_HOME", str(store.settings.home))
    monkeypatch.setattr("sys.argv", ["core", "diagnostics", str(target)])
    assert command_line.main() == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert "versions.json" in _files(target.read_bytes())
    monkeypatch.setattr("sys.argv", ["core", "diagnostics", str(target / "in a file")])
    assert command_line.main() == 1
