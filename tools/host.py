"""System packages: says which are missing, and installs them where that is allowed (root with apt-get)."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys

APT_LOCK_SECONDS = 300
APT_SECONDS = 900

# Shared libraries that Linux wheels load from the host (`ldd`), and the Debian package of each.
OPENCV = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
}
PLAYWRIGHT = {"libatomic.so.1": "libatomic1"}


def say(text: str) -> None:
    """Prints to stderr: stdout belongs to what the caller asked for."""
    print(text, file=sys.stderr, flush=True)


def require_opencv_libraries() -> None:
    """Exits with what to install when the host lacks a library without which `import cv2` fails."""
    if missing := missing_libraries(OPENCV):
        sys.exit(
            f"OpenCV cannot load {', '.join(missing)} from this machine. Install them, then run this again:\n"
            "  Debian, Ubuntu:  sudo apt-get install -y libgl1 libglib2.0-0 libxcb1\n"
            "  Fedora, RHEL:    sudo dnf install -y mesa-libGL glib2 libxcb"
        )


def missing_libraries(packages: dict[str, str]) -> list[str]:
    """Returns the libraries that this host lacks, after having installed what it may.

    Args:
        packages: Name of each shared library and the Debian package that holds it.
    """
    if not sys.platform.startswith("linux"):
        return []
    missing = [library for library in packages if not _loads(library)]
    if missing and can_apt_install():
        apt_install(*sorted({packages[library] for library in missing}))
        missing = [library for library in missing if not _loads(library)]
    return missing


def require_ensurepip() -> None:
    """Exits with what to install when this Python cannot make an environment with pip: Debian's at first."""
    package = f"python3.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") or (can_apt_install() and apt_install(package)):
        return
    sys.exit(f"{sys.executable} lacks ensurepip. Run: sudo apt-get install -y {package}, then this again.")


def can_apt_install() -> bool:
    """Whether this process may install Debian packages."""
    return sys.platform.startswith("linux") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> bool:
    """Installs Debian packages without a question; False, with apt's own words on stderr, when it fails."""
    say(f"Installing from apt: {' '.join(packages)}")
    # A failed update is not yet a failure: one dead mirror of several, or lists that are good enough.
    _apt("update", "-qq")
    return _apt("install", "-y", "-qq", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> bool:
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}", *arguments]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=quiet, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=APT_SECONDS
        )
    except subprocess.TimeoutExpired:
        say(f"apt-get {arguments[0]} did not finish in {APT_SECONDS} s")
        return False
    return done.returncode == 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
