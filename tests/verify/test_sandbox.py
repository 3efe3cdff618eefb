"""The sandbox by itself: what comes back, what is ended, what is left, and what it says where it cannot be had."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from antiphon.verify.sandbox import MIB, Limits, Program, Sandbox, cgroup
from tests.verify.boxes import SMALL, none_left, run

from .leftovers import descendants, nothing_left

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["shut in", "unsafe"])
def any_sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox(unsafe=True) if request.param == "unsafe" else request.getfixturevalue("sandbox")


def descriptors() -> int:
    """How many are open in this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


# -- what comes back, also where programs are not shut in


def test_files_go_in_and_outputs_come_out(any_sandbox: Sandbox) -> None:
    script = "cat a.txt; cat; echo err >&2; exit 3"
    done = run(any_sandbox, "sh", "-c", script, files={"a.txt": b"file \xff\0"}, stdin=b"stdin")
    assert (done.status, done.stdout, done.stderr) == (3, b"file \xff\0stdin", b"err\n")
    assert (done.timed_out, done.out_of_memory, done.cut) == (False, False, False)
    assert 0 < done.seconds < SMALL.wall


def test_a_signal_is_told_as_a_shell_tells_it(any_sandbox: Sandbox) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup all that is started would ignore it
    try:
        for number in (signal.SIGHUP, signal.SIGKILL):
            assert run(any_sandbox, "sh", "-c", f"kill -{number} $$").status == 128 + number
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_that_is_not_there(any_sandbox: Sandbox) -> None:
    done = run(any_sandbox, "no-such-command")
    assert done.status == 127
    assert b"no-such-command" in done.stderr


def test_large_input_that_nobody_reads_and_large_output(any_sandbox: Sandbox) -> None:
    limits = Limits(output=4 * MIB)
    assert run(any_sandbox, "true", stdin=bytes(4 * MIB)).status == 0
    assert run(any_sandbox, "cat", stdin=bytes(4 * MIB), limits=limits).stdout == bytes(4 * MIB)


@pytest.mark.parametrize("stream", ["1", "2"])
def test_output_is_cut(any_sandbox: Sandbox, stream: str) -> None:
    done = run(any_sandbox, "sh", "-c", f"yes >&{stream}")
    assert (done.cut, done.status, done.timed_out) == (True, None, False)
    assert len(done.stdout + done.stderr) == SMALL.output


def test_output_at_the_limit_is_not_cut(any_sandbox: Sandbox) -> None:
    done = run(any_sandbox, "head", "-c", str(SMALL.output), "/dev/zero")
    assert (done.cut, done.status, len(done.stdout)) == (False, 0, SMALL.output)


def test_one_byte_too_many_is_cut_whoever_is_first_to_end(any_sandbox: Sandbox) -> None:
    """What so little is written by may be gone before it is read."""
    for _ in range(20):
        done = run(any_sandbox, "printf", "12", limits=Limits(output=1))
        assert (done.cut, done.status, done.stdout) == (True, None, b"1")


def test_the_clock_ends_what_waits(any_sandbox: Sandbox) -> None:
    done = run(any_sandbox, "sh", "-c", "echo before; exec sleep 1000", limits=Limits(wall=0.3))
    assert (done.timed_out, done.status, done.stdout) == (True, None, b"before\n")
    assert done.seconds >= 0.3


def test_processor_time_ends_what_loops(any_sandbox: Sandbox) -> None:
    done = run(any_sandbox, "sh", "-c", "while :; do :; done", limits=Limits(cpu=0.2))
    assert (done.timed_out, done.status) == (True, 128 + signal.SIGXCPU)


def test_cancelling_leaves_nothing(any_sandbox: Sandbox) -> None:
    async def cancel(after: float) -> None:
        running = asyncio.create_task(any_sandbox.run(Program(("sh", "-c", "sleep 1000 & sleep 1000"))))
        await asyncio.sleep(after)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    before = descriptors()
    with none_left(any_sandbox):
        for step in range(12):
            asyncio.run(cancel(step * 0.003))
    assert descriptors() == before
    assert run(any_sandbox, "true").status == 0  # and the place is free again


def test_no_more_than_jobs_at_once() -> None:
    sandbox = Sandbox(2, unsafe=True)

    async def all_of_them() -> float:
        began = time.monotonic()
        await asyncio.gather(*(sandbox.run(Program(("sleep", "0.1"))) for _ in range(6)))
        return time.monotonic() - began

    assert asyncio.run(all_of_them()) >= 0.3


def test_descriptors_are_all_given_back(any_sandbox: Sandbox) -> None:
    async def many() -> None:
        for _ in range(2):
            before = descriptors()
            await asyncio.gather(*(any_sandbox.run(Program(("true",), {"a": b"b"}, b"c")) for _ in range(10)))
            assert descriptors() == before

    asyncio.run(many())


# -- two side by side


def test_two_talk_through_a_socket(any_sandbox: Sandbox) -> None:
    talk = "import socket; s = socket.socket(fileno=0); "
    leader = Program((any_sandbox.python, "-c", talk + "s.send(b'ask'); print(s.recv(9)); print(s.recv(9))"))
    follower = Program((any_sandbox.python, "-c", talk + "s.send(s.recv(9) + b'ed')"))
    with none_left(any_sandbox):
        led, followed = asyncio.run(any_sandbox.run_beside(leader, follower))
    assert (led.status, led.stdout) == (0, b"b'asked'\nb''\n"), led
    assert followed.status in (0, None)  # ended, where the leader was quicker


def test_the_follower_ends_with_the_leader(any_sandbox: Sandbox) -> None:
    with none_left(any_sandbox):
        led, followed = asyncio.run(
            any_sandbox.run_beside(Program(("true",)), Program(("sh", "-c", "trap '' TERM PIPE; sleep 1000")))
        )
    assert led.status == 0
    assert (followed.status, followed.timed_out) == (None, False)


def test_two_side_by_side_are_cancelled_together(any_sandbox: Sandbox) -> None:
    async def cancel() -> None:
        sleeper = Program(("sleep", "1000"))
        task = asyncio.create_task(any_sandbox.run_beside(sleeper, sleeper))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with none_left(any_sandbox):
        asyncio.run(cancel())


# -- shut in


def test_what_a_program_sees(sandbox: Sandbox) -> None:
    done = run(sandbox, "sh", "-c", "env; id -u; hostname; pwd; ls -A; ls /proc | grep -c '^[0-9]'; ls -A / /etc")
    said = done.stdout.decode().split("\n")
    environment = {line.split("=")[0] for line in said if "=" in line}
    assert environment == {"PATH", "HOME", "LANG", "PYTHONHASHSEED", "OMP_NUM_THREADS", "PWD"}
    assert "sandbox" in said
    assert "1000" in said
    assert "home" not in said
    assert "root" not in said
    assert "passwd" not in said


def test_unsafe_it_finds_what_we_find_and_gets_no_more_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET", "open-sesame")
    (tmp_path / "ours").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "ours").chmod(0o755)
    done = run(Sandbox(unsafe=True), "ours")
    assert done.status == 0 and b"open-sesame" not in done.stdout


def test_of_the_system_it_sees_what_commands_need(sandbox: Sandbox) -> None:
    done = run(sandbox, "sh", "-c", "ls -A /; echo; ls -A /etc")
    system, settings = (set(part.split()) for part in done.stdout.decode().split("\n\n"))
    there = {name for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64") if Path("/", name).exists()}
    assert there <= system
    needed = {name for name in ("ld.so.cache", "alternatives") if Path("/etc", name).exists()}
    assert settings == needed | {path.name for path in Path("/etc").glob("java*")}


def test_memory_is_counted_over_all_processes(sandbox: Sandbox) -> None:
    if "memory of each" in sandbox.holds():
        pytest.skip("no cgroup can be made here")
    eater = "import sys, time; kept = bytearray(40 << 20); time.sleep(1)"
    done = run(sandbox, "sh", "-c", f"for n in 1 2 3 4 5; do {sandbox.python} -c '{eater}' & done; wait")
    assert done.out_of_memory
    again = run(sandbox, "true")
    assert not again.out_of_memory


def test_memory_of_each_process_without_a_cgroup(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "make", lambda: None)
    assert "memory of each process only" in sandbox.holds()
    done = run(sandbox, sandbox.python, "-c", "kept = bytearray(200 << 20)")
    assert done.status == 1
    assert b"MemoryError" in done.stderr


def test_no_cgroup_is_left(sandbox: Sandbox) -> None:
    def groups() -> set[Path]:
        return {
            path
            for parent, _ in cgroup._parents()
            for path in parent.glob(f"antiphon-{os.getpid()}-*")
            if path.is_dir()
        }

    before = groups()
    sandbox = Sandbox()
    asyncio.run(sandbox.run(Program(("true",))))
    used = groups()
    assert used - before or before or "memory of each" in sandbox.holds()
    del sandbox
    assert groups() <= before


def test_a_sandbox_that_goes_takes_no_other_with_it(sandbox: Sandbox) -> None:
    first, second = Sandbox(), Sandbox()
    assert first.holds() == second.holds()  # each has made its group
    del first
    assert run(second, "true").status == 0


def test_groups_of_killed_processes_are_swept() -> None:
    parents = list(cgroup._parents())
    if not parents:
        pytest.skip("no cgroup can be made here")
    process = subprocess.Popen(["true"])
    process.wait()
    left = parents[0][0] / f"antiphon-{process.pid}-0"
    try:
        left.mkdir()
    except OSError:
        pytest.skip("no cgroup can be made here")
    group = cgroup.make()
    assert group is not None
    group.remove()
    assert not left.exists()


def test_a_group_of_the_unified_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On folders that look like cgroups of version 2; a real one is not to be had on every machine."""
    own = tmp_path / "user.slice" / "session"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("\n")
    (own.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    told = tmp_path / "told"
    told.write_text("1:name=systemd:/\n0::/user.slice/session\n")
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", told)
    assert list(cgroup._parents()) == [(own.parent, True), (tmp_path, True)]
    monkeypatch.setattr(cgroup, "_NUMBERS", itertools.count(7))
    folder = own.parent / f"antiphon-{os.getpid()}-7"
    folder.mkdir()
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    group = cgroup.make()
    assert group is not None
    assert group.enter == folder / "cgroup.procs"
    assert group.enter.read_text() == "0\n"
    assert (folder / "memory.max").read_text() == str(Limits().memory)
    assert group.kills() == 2


def test_a_group_of_the_older_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On folders that look like cgroups of version 1, seen from the machine and from within a container."""
    told = tmp_path / "told"
    told.write_text("7:cpu,cpuacct:/docker/abc\n5:hugetlb,memory:/docker/abc\n0::/\n")
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", told)
    own = tmp_path / "memory" / "docker" / "abc"
    assert list(cgroup._parents()) == [(tmp_path / "memory", False)]
    own.mkdir(parents=True)
    assert list(cgroup._parents()) == [(own, False)]
    monkeypatch.setattr(cgroup, "_NUMBERS", itertools.count(7))
    folder = own / f"antiphon-{os.getpid()}-7"
    folder.mkdir()
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 1\noom_kill 3\n")
    group = cgroup.make()
    assert group is not None
    assert group.enter == folder / "cgroup.procs"
    assert group.kills() == 3
    for limit in (Limits(), Limits(memory=64 * MIB)):
        group.limit(limit)
        for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
            assert (folder / name).read_text() == str(limit.memory)
    assert (folder / "memory.force_empty").read_text() == "0"
    assert not (folder / "memory.max").exists()


def test_no_group_where_nothing_tells_of_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", tmp_path / "told")
    assert cgroup.make() is None
    (tmp_path / "told").write_text("5:cpu:/\n0::/../outside\n0::/slice\n")
    assert cgroup.make() is None


KILLED = """
import asyncio, sys
from antiphon.verify.sandbox import Program, Sandbox
async def main():
    sandbox = Sandbox(2)
    sleeper = Program(("sh", "-c", "setsid sleep 1000 & sleep 1000"))
    sleepers = [asyncio.ensure_future(sandbox.run(sleeper)) for _ in range(2)]
    await asyncio.sleep(0.5)
    print("running", flush=True)
    await asyncio.gather(*sleepers)
asyncio.run(main())
"""


def test_nothing_outlives_a_kill_of_ours(sandbox: Sandbox) -> None:
    with nothing_left(patience=10):
        process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        assert len(descendants()) > 4
        process.kill()
        process.wait()
        process.stdout.close()


def test_outputs_that_are_closed_are_not_read_over_and_over(
    any_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = os.read

    def counted(descriptor: int, length: int) -> bytes:
        reads.append(descriptor)
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", counted)
    assert run(any_sandbox, "sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 3").status == 3
    assert len(reads) < 50
