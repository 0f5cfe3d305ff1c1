"""The diagnostics bundle: one zip with what somebody elsewhere needs to know when something goes wrong.

It holds no image, no weights, no note of a user, and nothing that opens a door: all text goes through a
`Redactor`.
"""

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import sqlalchemy as sa

import core
from core.config import in_force
from core.jobs.hosts import list_workers, room_of
from core.jobs.redaction import Redactor
from core.registry import ledger
from core.schemas import RunView
from core.store import Store
from core.store.run_views import count_by_status, list_runs
from core.store.tables import utc_now

RUNS_TOLD = 20
LOG_TAIL_BYTES = 256 * 1024
_RUN_LOGS = 5
_LEDGER_ENTRIES = 20
_PACKAGES = (
    "torch",
    "ultralytics",
    "streamlit",
    "fastapi",
    "uvicorn",
    "pydantic",
    "sqlalchemy",
    "psycopg",
    "fsspec",
    "s3fs",
    "numpy",
    "pillow",
    "opencv-python",
    "hotcoco",
    "onnxruntime",
)


def file_name() -> str:
    """A name for the bundle that tells when it was made, in UTC."""
    return f"tms-diagnostics-{utc_now():%Y%m%d-%H%M%S}.zip"


def bundle(store: Store) -> bytes:
    """The zip, in well under a second: nothing in it is measured by walking through folders.

    Args:
        store: What it tells of. Logs are those of this host.

    Returns:
        `versions.json`, `settings.json`, `hosts.json`, `runs.json`, `ledger.json`, and under `logs/` the ends
        of those of the API, the worker, and the newest runs that failed.
    """
    redactor, content = Redactor.of(store), BytesIO()
    runs = list_runs(store, limit=RUNS_TOLD)
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for name, facts in _facts(store, runs):
            text = json.dumps(redactor.value(facts), indent=2, ensure_ascii=False, default=str)
            archive.writestr(name, text)
        for log in _logs(store, runs):
            archive.writestr(f"logs/{log.name}", redactor.text(_tail(log)))
    return content.getvalue()


def _facts(store: Store, runs: list[RunView]) -> Iterator[tuple[str, Any]]:
    yield "versions.json", _versions(store)
    yield "settings.json", [asdict(setting) for setting in in_force(store.settings)]
    yield (
        "hosts.json",
        {
            "made_at": utc_now().isoformat(),
            "made_on": platform.node(),
            "room": room_of(store.settings),
            "workers": [asdict(worker) for worker in list_workers(store)],
        },
    )
    yield "runs.json", {"counts": count_by_status(store), "newest": [_run(run) for run in runs]}
    yield "ledger.json", [entry.model_dump() for entry in ledger.entries(store, limit=_LEDGER_ENTRIES)]


def _versions(store: Store) -> dict[str, Any]:
    with store.database.read() as session:
        migration = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return {
        "product": core.__version__,
        "python": sys.version,
        "system": platform.platform(),
        "database": store.database.engine.dialect.name,
        "migration": migration,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _run(run: RunView) -> dict[str, Any]:
    """What became of a run; without its note, and without the images that it put aside."""
    told = run.model_dump(exclude={"note", "summary", "error"})
    if run.summary:
        told["summary"] = run.summary.model_dump(mode="json", exclude={"quarantined"})
    if run.error:
        extra = {name: part for name, part in run.error["extra"].items() if name != "quarantined"}
        told["error"] = {**run.error, "extra": extra}
    return told


def _logs(store: Store, runs: list[RunView]) -> Iterator[Path]:
    folder = store.settings.logs_dir
    failed = [run.id for run in runs if run.status == "failed"][:_RUN_LOGS]
    for path in (folder / "api.log", folder / "worker.log", *map(store.settings.log_path, failed)):
        if path.is_file():
            yield path


def _tail(log: Path) -> str:
    """The newest whole lines: half a line could be the end of an address, whose beginning tells it is one."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return text.partition("\n")[2] if size > LOG_TAIL_BYTES else text
