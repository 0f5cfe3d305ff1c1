"""Starts API and dashboard together: one Ctrl-C stops both, and neither is left running without the other."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVERS = {
    "API": ["-m", "api.app"],
    "dashboard": ["-m", "streamlit", "run", "app.py"],
}
LOOK_EVERY_SECONDS = 0.2
GRACE_SECONDS = 10


def main() -> int:
    """Returns the exit code: 0 after Ctrl-C, else that of the part that failed."""
    # `kill` and a service manager mean what Ctrl-C means; a shell that starts us with & has us ignore Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        prepared = subprocess.run([sys.executable, "-m", "core", "prepare"], cwd=ROOT)
        return prepared.returncode or _serve()
    except KeyboardInterrupt:
        return 0


def _serve() -> int:
    print("Starting API and dashboard. Ctrl-C stops both.", flush=True)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in SERVERS.items():
            processes[name] = subprocess.Popen([sys.executable, *arguments], cwd=ROOT)
        return _first_exit(processes)
    finally:
        _stop(processes)


def _first_exit(processes: dict[str, subprocess.Popen[bytes]]) -> int:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                print(f"The {name} ended with exit code {process.returncode}; its last lines say why.")
                return process.returncode or 1
        time.sleep(LOOK_EVERY_SECONDS)


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C must not leave one running
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
