"""Runs a command in the virtual environment of this checkout's lock, which it builds when there is none yet.

    python -m tools.environment runtime|dev|uv COMMAND [ARGUMENT ...]

An environment lives in the user's cache under a name made from its lock, the Python and the platform, so that
a second clone with the same lock starts at once and a changed lock never meets an old environment. `runtime`
holds requirements.txt, `dev` holds requirements-dev.txt, which contains it; `uv` holds only the installer.

Standard library only: this runs before anything is installed.
"""

import argparse
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tools import host

ROOT = Path(__file__).resolve().parent.parent
RUNTIME_LOCK = ROOT / "requirements.txt"
DEV_LOCK = ROOT / "requirements-dev.txt"
OTHER_SETUP_SECONDS = 3600
COMPLETE, COMPILED = "complete", "compiled"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def main() -> None:
    """Turns this process into the asked command, inside the asked environment."""
    parser = argparse.ArgumentParser(description="Runs a command in the environment of this checkout's lock.")
    parser.add_argument("kind", choices=["runtime", "dev", "uv"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    folder = _environment(asked.kind)
    os.environ["VIRTUAL_ENV"] = str(folder)
    os.environ["PATH"] = os.pathsep.join([str(folder / SCRIPTS), os.environ.get("PATH", os.defpath)])
    if os.name == "nt":
        sys.exit(subprocess.call(asked.command))
    os.execvp(asked.command[0], asked.command)


def _environment(kind: str) -> Path:
    if kind == "uv":
        return _uv()
    host.require_opencv_libraries()
    dev = _folder("dev", DEV_LOCK.read_bytes())
    if kind == "dev" or _is_complete(dev):
        return _built(dev, lambda: _install(dev, DEV_LOCK))
    runtime = _folder("runtime", RUNTIME_LOCK.read_bytes())
    return _built(runtime, lambda: _install(runtime, RUNTIME_LOCK))


def _uv() -> Path:
    """Environment of the installer alone, at the version and hashes that the dev lock pins."""
    pin = re.search(r"^uv==(?:.*\\\n)+.*", DEV_LOCK.read_text(), re.MULTILINE)
    if pin is None:
        sys.exit(f"{DEV_LOCK} pins no uv: restore it from git, then run this again.")
    folder = _folder("uv", pin.group().encode())
    return _built(folder, lambda: _install_pin(folder, pin.group()))


def _install_pin(folder: Path, pin: str) -> None:
    lock = folder / "requirements.txt"
    lock.write_text(pin)
    _pip_install(folder, lock)


def _install(folder: Path, lock: Path) -> None:
    """Installs the lock with uv, several times as fast, else with pip."""
    host.say(f"Installing what {lock.name} pins (about 6 GB on Linux) into {folder}")
    try:
        uv = _uv() / SCRIPTS / "uv"
        _run(uv, "pip", "install", "--python", _python(folder), "--require-hashes", "-r", lock)
    except (OSError, subprocess.CalledProcessError):
        host.say("That did not work with uv. Trying pip, which takes some minutes.")
        _pip_install(folder, lock)


def _pip_install(folder: Path, lock: Path) -> None:
    _run(_python(folder), "-m", "pip", "install", "--require-hashes", "-r", lock)


def _run(*command: str | Path) -> None:
    # stdout is kept for what the asked command itself prints.
    subprocess.run([str(part) for part in command], stdout=sys.stderr, check=True)


def _folder(kind: str, lock: bytes) -> Path:
    host_python = f"{sys.implementation.cache_tag} {sys.base_prefix} {sysconfig.get_platform()}"
    digest = hashlib.sha256(lock + host_python.encode()).hexdigest()
    return _cache() / f"{kind}-{digest[:16]}"


def _cache() -> Path:
    default = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    parent = os.environ.get("XDG_CACHE_HOME") or default or Path.home() / ".cache"
    return Path(parent) / "tms-finetune"


def _python(folder: Path) -> Path:
    return folder / SCRIPTS / ("python.exe" if os.name == "nt" else "python")


def _is_complete(folder: Path) -> bool:
    # The interpreter is a link to the host's Python, which may have been removed since.
    return (folder / COMPLETE).exists() and _python(folder).exists()


def _built(folder: Path, install: Callable[[], None]) -> Path:
    """Returns the folder with everything in it; one that an interrupted set-up left behind is built anew."""
    if _is_complete(folder) and (folder / COMPILED).exists():
        return folder
    with _only_one_at_a_time(folder):
        if not _is_complete(folder):
            host.require_ensurepip()
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True, symlinks=os.name != "nt")
            install()
            (folder / COMPLETE).touch()
        if not (folder / COMPILED).exists():
            _compile(folder)
    return folder


def _compile(folder: Path) -> None:
    """Compiles every module, for uv does not, and Python does not everywhere keep what it compiles by itself.

    Without it each process that loads torch compiles two thousand modules, which takes as long as all else.
    """
    host.say(f"Compiling what is in {folder}, once")
    # Some packages bring files for a newer Python; those fail, and are not needed.
    subprocess.run([str(_python(folder)), "-m", "compileall", "-qq", "-j", "0", str(folder)])
    (folder / COMPILED).touch()


@contextmanager
def _only_one_at_a_time(folder: Path) -> Iterator[None]:
    """Holds a lock that the system drops when this process dies, whatever the platform: SQLite's."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder.with_suffix(".lock"), timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            host.say(f"Another set-up is building {folder}; waiting for it")
            lock.execute(f"PRAGMA busy_timeout = {OTHER_SETUP_SECONDS * 1000}")
            lock.execute("BEGIN EXCLUSIVE")
        yield


if __name__ == "__main__":
    try:
        main()
    except (OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
        sys.exit(
            f"Set-up failed: {error}\nThe lines above say why. What was half built is built anew next time."
        )
