"""The sandbox itself: bubblewrap's command line, what holds on this machine, and what to do where it cannot be had."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from antiphon.errors import UsageError
from antiphon.verify.sandbox.base import Limits

HOME = "/tmp"
"""Where programs start, and the only place with `/dev/shm` to which they can write."""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # the same answer has the same verdict
    "OMP_NUM_THREADS": "1",  # as many threads as a large machine has processors are too many
}
UID = 1000
"""Who a program is, as it sees it."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# The linker's cache, where commands of Debian point to, and the settings that a Java machine cannot start without.
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", *(str(path) for path in Path("/etc").glob("java*")))
_ASK = "import sys, importlib.util as u; print(u.MAGIC_NUMBER.hex()); sys.exit(sys.version_info < (3, 10))"
_JOIN = '{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null; [ -z "$0" ] || echo 0 >"$0" || exit; exec "$@"'
"""Before anything else a process offers itself to the kernel as the first to go, and joins its cgroup."""
_FIRST_UID = 0x7E000000
"""Above the ranges that people, services and containers are given."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """How programs are shut in on this machine.

    Attributes:
        uids: the first of the user ids that programs run as, one for each place; None: they run as who we are.
        proc: whether they have a `/proc` of their own (some containers forbid it; most programs do without).
        python: the interpreter for programs in Python.
        magic: the number that its compiled code begins with.
        folders: what is shown inside beside the system, for that interpreter.
    """

    uids: int | None
    proc: bool
    python: str = "/usr/bin/python3"
    magic: bytes = b""
    folders: tuple[str, ...] = ()

    def command(
        self,
        program: Sequence[str],
        *,
        place: int = 0,
        limits: Limits,
        files: Mapping[str, int] = {},
        joins: Path | None = None,
        status: int | None = None,
    ) -> list[str]:
        """The command that runs `program` shut in.

        Args:
            place: its number among those that run at once.
            files: descriptors from which the files in its folder are written.
            joins: the file through which it joins its cgroup.
            status: the descriptor to which bubblewrap tells what it does.
        """
        command = ["/bin/sh", "-c", _JOIN, "" if joins is None else str(joins)]
        if self.uids is not None:
            own = str(self.uids + place)
            command += [_path("setpriv"), "--reuid", own, "--regid", own, "--clear-groups"]
        command += [_path("bwrap"), "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        command += ["--uid", str(UID), "--gid", str(UID), "--hostname", "sandbox", "--die-with-parent", "--new-session"]
        if status is not None:
            command += ["--json-status-fd", str(status)]
        for path in (*_SYSTEM, *_SETTINGS, *self.folders):
            if Path(path).is_symlink():
                command += ["--symlink", str(Path(path).readlink()), path]
            elif Path(path).exists():
                command += ["--ro-bind", path, path]
        disk = str(limits.disk)
        command += ["--dev", "/dev", "--size", disk, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        command += ["--proc", "/proc"] if self.proc else []
        command += ["--size", disk, "--tmpfs", HOME, "--chdir", HOME]
        for name, descriptor in files.items():
            command += ["--perms", "0755", "--file", str(descriptor), f"{HOME}/{name}"]
        return [*command, "--remount-ro", "/", "--", *restrained(limits, memory=joins is None), *program]


def restrained(limits: Limits, *, memory: bool, processes: bool = True) -> list[str]:
    """The command that sets the limits of each process; `memory`: on its address space too; `processes`: on how many
    its user has (which must be no one else's)."""
    cpu = math.ceil(limits.cpu)
    return [
        _path("prlimit"),
        f"--cpu={cpu}:{cpu + 1}",
        *([f"--nproc={limits.processes}"] if processes else []),
        f"--fsize={limits.disk}",
        "--nofile=256",
        "--core=0",
        *([f"--as={limits.memory}"] if memory else []),
        "--",
    ]


@cache
def isolation() -> Isolation:
    """What can be had on this machine.

    Raises:
        UsageError: nothing can; the message says what to install or to allow.
    """
    for name, package in (("bwrap", "bubblewrap"), ("setpriv", "util-linux"), ("prlimit", "util-linux")):
        if shutil.which(name) is None:
            raise UsageError(
                f"programs that models wrote run only in a sandbox, which needs {name}; install it with: "
                f"apt-get install {package} (or your system's package manager)"
            )
    first = ""
    for uids in _uids():
        for proc in (True, False):
            found = Isolation(uids, proc)
            fault, _ = _tried(found, "/bin/true")
            if not fault:
                return _with_python(found)
            first = first or fault
    raise UsageError(_advice(first or "root cannot take another user id here, and is bound by no limit on processes"))


def _uids() -> list[int | None]:
    """Who programs could run as. Root is bound by no limit on processes, so it takes other ids where it can."""
    if os.geteuid() != 0:
        return [None]
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    first, _, length = max(ranges, key=lambda each: each[2])
    if first <= _FIRST_UID < first + length - 1024:
        return [_FIRST_UID]
    spare = [first + length - 1024] if length > 2048 else []
    real = any(outside == 0 for _, outside, _ in ranges)
    return [*spare, *([] if real else [None])]


def _with_python(found: Isolation) -> Isolation:
    """With this interpreter, if programs can have it too (a home is closed to other users), else the system's."""
    own = str(Path(sys.executable).resolve())
    prefix = str(Path(sys.base_prefix).resolve())
    inside = Path(prefix).is_relative_to("/usr")
    too_much = prefix in ("/", os.environ.get("HOME"))
    tried = [] if too_much else [replace(found, python=own, folders=() if inside else (prefix,))]
    for each in (*tried, found):
        fault, magic = _tried(each, each.python, "-c", _ASK)
        if not fault:
            return replace(each, magic=bytes.fromhex(magic))
    raise UsageError(
        f"the sandbox works, but has no Python: neither {own} nor {found.python} is 3.10 or newer and can be read by "
        f"another user ({fault}); install it with: apt-get install python3"
    )


def _tried(isolation: Isolation, *program: str) -> tuple[str, str]:
    """Why `program` does not run, "" if it does; and what it prints."""
    limits = Limits()
    try:
        done = subprocess.run(
            isolation.command(program, limits=limits),
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limits.wall,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it does not answer", ""
    if done.returncode == 0:
        return "", done.stdout
    return " ".join(done.stderr.split()) or f"exit status {done.returncode}", ""


def _advice(fault: str) -> str:
    """What to do about a sandbox that does not start."""
    said = f"the sandbox for programs that models wrote does not start here ({fault})"
    if "nknown option" in fault:
        return f"{said}; it needs bubblewrap 0.8 or newer"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        return (
            f"{said}; this container forbids namespaces: start it with --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined (Kubernetes: seccompProfile and appArmorProfile of type Unconfined)"
        )
    return (
        f"{said}; allow user namespaces: sysctl user.max_user_namespaces=10000, and where they exist "
        "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0"
    )


def _path(name: str) -> str:
    return shutil.which(name) or name
