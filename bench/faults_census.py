"""Which processes of the product live while some are killed, and what each of them works on."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.repeated import Repeated
from core.config import Settings

_ROLES = {"core.jobs.worker": "worker", "core.jobs.runner": "runner", "core.jobs.chores": "chores"}
# A process that was just forked still bears the name of its parent, and one that is just replaced bears none.
_NAME_IS_FIRM_AFTER_S = 5.0


@dataclass
class Member:
    """A process, what it is to the product, and the run it works on as soon as that is known."""

    process: psutil.Process
    loads_images: bool
    met_s: float = field(default_factory=time.monotonic)
    role: str | None = None
    run_id: str | None = None


class Census(Repeated):
    """Knows who lives, and whether two processes ever work on one run.

    A runner works on the run whose log it holds open. The processes that load its images hold the log too,
    but from their first moment, as they are forked off it: no runner does, which begins as another program.
    """

    def __init__(self, settings: Settings) -> None:
        self._home, self._logs = str(settings.home), settings.logs_dir
        self._members: dict[int, Member] = {}
        self.twice: dict[str, str] = {}
        self.begun_warm: set[str] = set()
        self.looks, self.longest_pause_s, self._looked_s = 0, 0.0, 0.0

    def look(self) -> None:
        """See who came and who went."""
        self._note_pause()
        known = self._members
        members = {pid: member for pid in psutil.pids() if (member := known.get(pid) or self._meet(pid))}
        for member in members.values():
            self._inspect(member)
        self._members = members
        self._find_two_on_one_run()

    def living(self, *roles: str) -> list[psutil.Process]:
        """The processes that have one of these roles, and live."""
        return [m.process for m in self._members.values() if m.role in roles and lives(m.process)]

    def all_of_home(self) -> list[psutil.Process]:
        """Every process of this home, those that only load images included."""
        return [process for process in psutil.process_iter() if self._is_of_home(process) and lives(process)]

    def _note_pause(self) -> None:
        now = time.monotonic()
        if self.looks:
            self.longest_pause_s = max(self.longest_pause_s, now - self._looked_s)
        self.looks, self._looked_s = self.looks + 1, now

    def _meet(self, pid: int) -> Member | None:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            return Member(process, loads_images=self._log_held_by(process) is not None)
        return None

    def _inspect(self, member: Member) -> None:
        if member.loads_images:
            return
        if time.monotonic() - member.met_s < _NAME_IS_FIRM_AFTER_S:
            member.role = self._role(member.process)
        if member.role == "runner" and member.run_id is None:
            member.run_id = self._log_held_by(member.process)
            if member.run_id and _is_warm(member.process):
                self.begun_warm.add(member.run_id)

    def _role(self, process: psutil.Process) -> str | None:
        with suppress(psutil.Error):
            command = process.cmdline()[1:3]
            if command[:1] == ["-m"] and self._is_of_home(process):
                return _ROLES.get(command[-1])
        return None

    def _is_of_home(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("TMS_HOME") == self._home
        return False

    def _log_held_by(self, process: psutil.Process) -> str | None:
        with suppress(psutil.Error):
            logs = [Path(file.path) for file in process.open_files() if Path(file.path).parent == self._logs]
            return next((log.stem for log in logs if log.stem.startswith("run-")), None)
        return None

    def _find_two_on_one_run(self) -> None:
        working: dict[str, list[psutil.Process]] = {}
        for member in self._members.values():
            if member.run_id:
                working.setdefault(member.run_id, []).append(member.process)
        for run_id, processes in working.items():
            # All have been seen at work before the first is asked whether it still lives.
            alive = [process.pid for process in processes if len(processes) > 1 and lives(process)]
            if len(alive) > 1:
                self.twice.setdefault(run_id, f"processes {alive} worked on {run_id} at once")


def _is_warm(runner: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "--warm" in runner.cmdline()
    return False


def lives(process: psutil.Process) -> bool:
    """Whether a process can still do anything."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
