"""Prints the path of a Chromium that starts, for the tests that drive a browser; gets one when there is none.

Prints an empty line, and says so on stderr, when none can be had: the tests then skip, or fail under CI.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools import host

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 30
DOWNLOAD_SECONDS = 300


def main() -> None:
    """Prints what was found or got."""
    path = _find_or_get()
    if not path:
        host.say("No Chromium, so no browser tests: install one (Debian: apt-get install chromium).")
    print(path)


def _find_or_get() -> str:
    """Looks, then tries each way of getting one and looks again."""
    if missing := host.missing_libraries(host.PLAYWRIGHT):
        host.say(f"Playwright cannot load {', '.join(missing)} (Debian: apt-get install libatomic1).")
        return ""
    ways: list[Callable[[], bool]] = [lambda: _playwright("install", "chromium")]
    if host.can_apt_install():
        ways += [lambda: host.apt_install("chromium"), lambda: _playwright("install-deps", "chromium")]
    path = _first_that_starts()
    while ways and not path:
        ways.pop(0)()
        path = _first_that_starts()
    return path


def _first_that_starts() -> str:
    return next((path for path in _candidates() if _starts(path)), "")


def _candidates() -> Iterator[str]:
    yield from filter(None, map(shutil.which, NAMES))
    with sync_playwright() as playwright:
        yield playwright.chromium.executable_path


def _starts(path: str) -> bool:
    # Ubuntu's /usr/bin/chromium-browser may be a stub that only advises, and a download may lack libraries.
    if not Path(path).exists():
        return False
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=START_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwright(*arguments: str) -> bool:
    command = [sys.executable, "-m", "playwright", *arguments]
    try:
        return subprocess.run(command, stdout=sys.stderr, timeout=DOWNLOAD_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        host.say(f"playwright {arguments[0]} did not finish in {DOWNLOAD_SECONDS} s")
        return False


if __name__ == "__main__":
    main()
