"""What every sandbox promises, tried against each one that can be had here."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.records import Ended
from autoresearch.sandbox import Stop
from autoresearch.sandbox.confine import closed_folder
from autoresearch.sandbox.probe import probe
from autoresearch.sandbox.scratch import remove_abandoned
from tests.sandbox.conftest import Backend

HERE = Path(__file__)


def listing() -> set[str]:
    """The command lines of all processes of this machine, by process."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                found.add(b" ".join(words).decode(errors="replace").strip())
    return found


def eventually(condition, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


# --- what comes in and what comes out -----------------------------------------------------------


def test_a_program_reads_its_inputs_and_its_files_come_back(backend: Backend) -> None:
    execution = backend.run(
        """
        import os, pathlib, sys
        out = pathlib.Path(os.environ["OUT"])
        rows = pathlib.Path(os.environ["DATA"], "rows.txt").read_text()
        (out / "deep" / "er").mkdir(parents=True)
        (out / "deep" / "er" / "rows.txt").write_text(rows)
        (out / "sum.txt").write_text(str(sum(map(int, rows.split()))))
        print("said", os.path.samefile(".", os.environ["WORK"]))
        print("complained", file=sys.stderr)
    """.replace("\n        ", "\n")
    )
    assert execution.succeeded, execution
    assert (execution.stdout, execution.stderr) == ("said True\n", "complained\n")
    assert execution.files == ("deep/er/rows.txt", "sum.txt")
    assert (backend.outputs / "sum.txt").read_text() == "6"
    assert (backend.outputs / "deep/er/rows.txt").read_text() == "1 2 3\n"
    assert execution.sandbox == backend.sandbox.name
    assert execution.cpu_seconds and execution.peak_memory and execution.peak_memory > 2**20


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_codes_are_reported(backend: Backend, code: int) -> None:
    execution = backend.run("import sys; sys.exit(int(sys.argv[1]))", str(code))
    assert (execution.ended, execution.exit_code) == (Ended.exited, code)
    assert execution.succeeded == (code == 0)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_signals_are_reported(backend: Backend, number: signal.Signals) -> None:
    execution = backend.run(
        "import os, sys; os.kill(os.getpid(), int(sys.argv[1]))", str(int(number))
    )
    assert (execution.ended, execution.signal) == (Ended.signalled, number)
    assert execution.exit_code is None and number.name in execution.reason


def test_a_command_that_is_not_there_is_exit_code_127_and_says_so(backend: Backend) -> None:
    job = backend.job("")
    execution = backend.sandbox.run(type(job)(**{**vars(job), "command": ("no-such-command", "x")}))
    assert (execution.ended, execution.exit_code) == (Ended.exited, 127)
    assert "no-such-command" in execution.stderr


def test_variables_of_the_job_arrive_and_those_of_the_host_do_not(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY_OF_THE_HOST", "do-not-tell")
    job = backend.job("import os; print(dict(os.environ))")
    execution = backend.sandbox.run(type(job)(**{**vars(job), "variables": {"SEED": "7"}}))
    assert "'SEED': '7'" in execution.stdout
    assert "do-not-tell" not in execution.stdout and "SECRET" not in execution.stdout


def test_long_output_keeps_its_head_and_its_tail_and_says_what_is_left_out(
    backend: Backend,
) -> None:
    execution = backend.run("print('first'); print('x' * 400_000); print('last')")
    assert execution.succeeded
    assert execution.stdout.startswith("first\n") and execution.stdout.endswith("last\n")
    assert "bytes left out" in execution.stdout and len(execution.stdout) < 200_000


# --- the wall -----------------------------------------------------------------------------------


def test_the_probe_finds_the_wall(backend: Backend) -> None:
    found = probe(backend.sandbox, backend.environment)
    assert found.holds, [each for each in found.findings if not each.ok]
    assert len(found.findings) > 10


def test_there_is_no_network(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        execution = backend.run(
            "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3)",
            str(listener.getsockname()[1]),
        )
        assert not execution.succeeded and "Error" in execution.stderr
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_unix_socket_of_the_host_cannot_be_reached(backend: Backend) -> None:
    place = Path("/tmp") / f"contract-{os.getpid()}.socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        try:
            place.chmod(0o777)
            listener.listen()
            listener.settimeout(0.2)
            execution = backend.run(
                "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])", str(place)
            )
            assert not execution.succeeded
            with pytest.raises(TimeoutError):
                listener.accept()
        finally:
            place.unlink()


def test_nothing_can_be_written_but_the_results_and_the_temporary_folder(backend: Backend) -> None:
    (backend.folder / "data").chmod(0o777)
    (backend.folder / "data" / "rows.txt").chmod(0o666)
    execution = backend.run("""
import os, tempfile
def attempt(path):
    try:
        open(path, "w").close()
        return True
    except OSError:
        return False
data, work, out = os.environ["DATA"], os.environ["WORK"], os.environ["OUT"]
beside = os.path.dirname(out)
print([p for p in (data + "/rows.txt", data + "/new", work + "/new", beside + "/new", "/tmp/../new",
    "/etc/new", "/usr/new", "/var/tmp/new", "/dev/new") if attempt(p)])
print([attempt(out + "/new"), attempt(tempfile.gettempdir() + "/new")])
for change in (os.unlink, lambda p: os.truncate(p, 0), lambda p: os.chmod(p, 0o600)):
    try:
        change(data + "/rows.txt")
    except OSError:
        pass
""")
    assert execution.stdout == "[]\n[True, True]\n", execution
    rows = backend.folder / "data" / "rows.txt"
    assert rows.read_text() == "1 2 3\n" and rows.stat().st_mode & 0o777 == 0o666


def test_another_folder_of_the_host_is_not_read(backend: Backend, tmp_path: Path) -> None:
    secret = tmp_path / "labels.csv"
    secret.write_text("the labels")
    execution = backend.run("import sys; print(open(sys.argv[1]).read())", str(secret))
    assert not execution.succeeded and "the labels" not in execution.stdout


# --- the limits ---------------------------------------------------------------------------------


def test_time_ends_it_and_what_it_said_is_kept(backend: Backend) -> None:
    started = time.monotonic()
    execution = backend.run("import time; print('begun', flush=True); time.sleep(60)", timeout=1.0)
    assert (execution.ended, execution.exit_code) == (Ended.timeout, None)
    assert execution.stdout == "begun\n" and "1 s" in execution.reason
    assert 0.9 < execution.seconds < 5 and time.monotonic() - started < 15


def test_memory_ends_it(backend: Backend) -> None:
    execution = backend.run(
        "kept = []\nwhile True: kept.append(bytearray(b'x' * 2**20))", memory=2**27
    )
    assert execution.ended is Ended.memory, execution
    assert "128.0 MiB of memory" in execution.reason


def test_memory_of_all_its_processes_together_ends_it(backend: Backend) -> None:
    execution = backend.run(
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = bytearray(b"x" * 40 * 2**20)
        time.sleep(60)
os._exit(1 if os.wait()[1] else 0)
""",
        memory=2**27,
    )
    assert execution.ended is Ended.memory, execution


def test_output_ends_it(backend: Backend) -> None:
    execution = backend.run("while True: print('x' * 1000)", output=2**18)
    assert execution.ended is Ended.output and "256.0 KiB of output" in execution.reason
    assert len(execution.stdout) < 2**18


def test_disk_ends_it(backend: Backend) -> None:
    execution = backend.run(
        """
import os, time
for number in range(64):
    with open(f"{os.environ['OUT']}/{number}", "wb") as file:
        file.write(bytes(2**20) + b"x")
time.sleep(30)
""",
        disk=2**23,
    )
    assert execution.ended is Ended.disk or "No space left" in execution.stderr, execution
    assert not execution.succeeded and execution.seconds < 15


def test_disk_in_deleted_files_ends_it(backend: Backend) -> None:
    execution = backend.run(
        """
import os, time
files = []
for number in range(32):
    path = f"{os.environ['OUT']}/{number}"
    files.append(open(path, "wb"))
    os.unlink(path)
    files[-1].write(os.urandom(2**20))
    files[-1].flush()
time.sleep(30)
""",
        disk=2**23,
    )
    assert execution.ended is Ended.disk or "No space left" in execution.stderr, execution
    assert execution.seconds < 15


def test_one_large_file_ends_it(backend: Backend) -> None:
    execution = backend.run(
        "import os; open(os.environ['OUT'] + '/large', 'wb').write(bytes(2**21))", file=2**20
    )
    assert not execution.succeeded
    assert execution.ended is Ended.disk or "File too large" in execution.stderr


def test_processes_are_bounded_and_the_rest_of_the_machine_does_not_notice(
    backend: Backend,
) -> None:
    execution = backend.run(
        """
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(30)
        made += 1
except BlockingIOError:
    pass
print(made)
""",
        processes=32,
    )
    assert execution.succeeded, execution
    assert 8 < int(execution.stdout) < 60
    assert execution.left_behind == int(execution.stdout)
    subprocess.run(["true"], check=True)


def test_a_fork_bomb_ends_with_its_time(backend: Backend) -> None:
    started = time.monotonic()
    execution = backend.run(
        """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        timeout=1.0,
        processes=32,
    )
    assert execution.ended is Ended.timeout, execution
    assert time.monotonic() - started < 20


# --- the end of everything ----------------------------------------------------------------------

STUBBORN = """
import os, signal, sys, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 100)
        os.execvp("sleep", ["sleep", sys.argv[1]])
print("begun", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_what_daemonised_and_ignores_signals_is_gone_and_was_counted(backend: Backend) -> None:
    mark = f"7{os.getpid()}1"
    execution = backend.run(STUBBORN, mark, "0.3")
    assert execution.succeeded and execution.left_behind == 3, execution
    assert not [line for line in listing() if mark in line]


def test_a_limit_ends_the_whole_tree(backend: Backend) -> None:
    mark = f"7{os.getpid()}2"
    execution = backend.run(STUBBORN, mark, "60", timeout=1.0)
    assert execution.ended is Ended.timeout
    assert not [line for line in listing() if mark in line]


def test_the_tree_dies_with_the_orchestrator(backend: Backend, tmp_path: Path) -> None:
    mark = f"7{os.getpid()}3"
    runner = tmp_path / "orchestrator.py"
    job = backend.job(STUBBORN, mark, "60")
    inputs = {name: str(path) for name, path in job.inputs.items()}
    runner.write_text(f"""
import pathlib
from autoresearch.records import Limits
from autoresearch.sandbox import Environment, Job
from tests.sandbox.conftest import restore
environment = Environment.model_validate_json({job.environment.model_dump_json()!r})
inputs = dict((name, pathlib.Path(path)) for name, path in {inputs!r}.items())
limits = Limits.model_validate_json({job.limits.model_dump_json()!r})
outputs = pathlib.Path({str(job.outputs)!r})
restore({backend.sandbox.name!r}).run(Job(environment, {job.command!r}, inputs, outputs, limits))
""")
    root = str(HERE.parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
    with subprocess.Popen([sys.executable, str(runner)], env=environment, cwd=root) as orchestrator:
        marked = [f"sleep {mark}"]
        assert eventually(lambda: set(marked) <= listing(), 15)
        orchestrator.send_signal(signal.SIGKILL)
        orchestrator.wait()
    assert eventually(lambda: not [line for line in listing() if mark in line], 10)
    remove_abandoned()  # as at the next start
    assert not [name for name in os.listdir("/tmp") if f":{orchestrator.pid}:" in name]


def test_nothing_is_left_behind_on_the_host(backend: Backend) -> None:
    def places() -> set[str]:
        own = {p for p in os.listdir("/tmp") if "autoresearch-" in p and f":{os.getpid()}:" in p}
        return own | set(os.listdir("/dev/shm"))

    before = places()
    backend.run("""
import os, tempfile
top = os.environ["TMPDIR"]
os.makedirs(top + "/closed/inside")
open(top + "/closed/inside/file", "w").close()
os.chmod(top + "/closed/inside", 0)
os.chmod(top + "/closed", 0)
""")
    assert places() <= before


# --- results ------------------------------------------------------------------------------------

LEAVE = {
    "a link": "os.symlink('/etc/passwd', 'thing')",
    "a link to a folder": "os.symlink('/etc', 'thing')",
    "a second name": "open('one', 'w').close(); os.link('one', 'thing')",
    "a FIFO": "os.mkfifo('thing')",
    "a socket": "import socket; socket.socket(socket.AF_UNIX).bind('thing')",
    "a device": "os.mknod('thing', 0o600 | stat.S_IFCHR, os.makedev(1, 3))",
    "a giant with a hole": "open('thing', 'w').truncate(2**23 - 1); open('two', 'w').truncate(2**23 - 1)"
    "; open('three', 'w').truncate(2**23 - 1)",
    "a name that is not text": "open(b'\\xff\\xfe', 'w').close()",
    "a name with a newline": "open('a\\nb', 'w').close()",
    "a file too deep": "os.makedirs('d/' * 40)",
}


@pytest.mark.parametrize("what", LEAVE)
def test_only_plain_files_come_through_the_door(backend: Backend, what: str) -> None:
    program = (
        f"import os, stat; os.chdir(os.environ['OUT']); {LEAVE[what]}; open('good', 'w').close()"
    )
    execution = backend.run(program)
    # Either it could not be made in there, or it is refused at the door.
    assert execution.ended is Ended.refused or execution.exit_code == 1, execution
    assert execution.files == () and not execution.succeeded
    assert not list(backend.outputs.rglob("*"))


def test_printing_a_status_does_not_make_one(backend: Backend) -> None:
    execution = backend.run("""
import json, os, struct, sys
status = {"nonce": "0" * 32, "why": "exited", "exit_code": 0, "signal": None, "detail": "",
    "seconds": 1, "cpu_seconds": 1, "peak_memory": 1, "left_behind": 0}
data = json.dumps(status).encode()
frame = b"s" + struct.pack(">I", len(data)) + data
for place in (1, 2, *range(3, 50)):
    try:
        os.write(place, frame)
    except OSError:
        pass
for process in (1, os.getppid()):
    for descriptor in range(3):
        try:
            with open(f"/proc/{process}/fd/{descriptor}", "wb", 0) as file:
                file.write(frame)
        except OSError:
            pass
sys.exit(5)
""")
    assert (execution.ended, execution.exit_code) == (Ended.exited, 5), execution
    assert '"exit_code": 0' in execution.stdout and '"exit_code": 0' in execution.stderr


def test_the_supervisor_cannot_be_stopped_or_looked_into(backend: Backend) -> None:
    execution = backend.run(
        """
import os, resource, signal, time
above = os.getppid()
for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
    for process in (above, 1, -1 if above == 1 else above):
        try:
            if process != -1:
                os.kill(process, number)
        except OSError:
            pass
try:
    resource.prlimit(above, resource.RLIMIT_NOFILE, (0, 0))
    print("limited")
except OSError:
    pass
for name in ("environ", "mem", "maps", "fd/0"):
    try:
        open(f"/proc/{above}/{name}", "rb").read(1)
        print("read", name)
    except OSError:
        pass
time.sleep(60)
""",
        timeout=1.0,
    )
    assert (execution.ended, execution.stdout) == (Ended.timeout, ""), execution


def test_runs_at_the_same_time_do_not_disturb_each_other(backend: Backend) -> None:
    program = """
import os, sys, tempfile, time
tag = sys.argv[1]
mine = os.path.join(tempfile.gettempdir(), "shared")
open(mine, "a").write(tag)
open(os.environ["OUT"] + "/tag", "w").write(tag)
try:
    os.kill(-1, 0)
except OSError:
    pass
time.sleep(0.5)
print(open(mine).read())
sys.exit(int(tag))
"""
    jobs = []
    for number in range(4):
        job = backend.job(program, str(number))
        jobs.append(type(job)(**{**vars(job), "outputs": backend.folder / f"outputs-{number}"}))
    with ThreadPoolExecutor(4) as pool:
        executions = list(pool.map(backend.sandbox.run, jobs))
    assert [each.exit_code for each in executions] == [0, 1, 2, 3], executions
    assert [each.stdout for each in executions] == ["0\n", "1\n", "2\n", "3\n"]
    for number in range(4):
        assert (backend.folder / f"outputs-{number}" / "tag").read_text() == str(number)


def test_what_an_experiment_says_holds_no_path_of_the_host(backend: Backend) -> None:
    program = "import json, os, sys\nprint(*sys.path, *os.environ.values(), sys.executable)\njson.loads('{')"
    execution = backend.run(program)
    said = execution.stdout + execution.stderr
    assert "JSONDecodeError" in execution.stderr
    hosts = (str(backend.folder), str(Path.home()), sys.prefix, sys.base_prefix)
    for place in (path for path in hosts if path not in ("/", "/usr")):
        assert place not in said, said


# --- the same for a plain user ------------------------------------------------------------------


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder of user 65534, outside of pytest's own, which other users cannot pass."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-user-") as folder:
        os.chown(folder, 65534, 65534)
        yield Path(folder)


def test_the_local_sandboxes_keep_the_contract_for_a_plain_user(users_folder: Path) -> None:
    if os.geteuid() != 0:
        return  # everything above ran as one
    here = os.path.realpath(sys.executable)
    python = here if closed_folder(here) is None else "/usr/bin/python3"
    same = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True
    )
    if same.stdout.split() != [str(part).encode() for part in sys.version_info[:2]]:
        pytest.skip("NO PYTHON OF THIS VERSION THAT A PLAIN USER CAN RUN")
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        python,
        "-m",
        "pytest",
    ]
    command += ["-p", "no:cacheprovider", "-k", "not docker and not plain_user", str(HERE)]
    command += [f"--basetemp={users_folder}/run"]
    packages = os.pathsep.join(filter(None, sys.path))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": packages, "HOME": str(users_folder)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "AUTORESEARCH_REQUIRE_LANDLOCK": "1"}
    ran = subprocess.run(
        command, env=environment, cwd=HERE.parents[2], capture_output=True, text=True, timeout=250
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


# --- ended by whoever reads along ---------------------------------------------------------------


def test_a_job_is_ended_when_its_follower_says_so(backend: Backend) -> None:
    seen = bytearray()

    def follow(data: bytes) -> Stop | None:
        seen.extend(data)
        return (Ended.behind, "stopped: too slow") if b"line 3\n" in seen else None

    program = """
        import os, time
        if os.fork() == 0:
            time.sleep(60)
        for number in range(600):
            print("line", number, flush=True)
            time.sleep(0.05)
    """
    began = time.monotonic()
    execution = backend.sandbox.run(replace(backend.job(program), follow=follow))
    assert (execution.ended, execution.reason) == (Ended.behind, "stopped: too slow")
    assert not execution.succeeded and execution.exit_code is None
    assert execution.stdout.startswith("line 0\nline 1\nline 2\nline 3\n")
    assert 0.1 < execution.seconds < 10 and time.monotonic() - began < 20
    assert execution.cpu_seconds is not None
    assert execution.files == () and backend.run("print(1)").succeeded


def test_a_job_that_has_ended_by_itself_was_not_ended_by_its_follower(backend: Backend) -> None:
    job = replace(backend.job("print('over')"), follow=lambda data: (Ended.behind, "too late"))
    executions = [backend.sandbox.run(job) for _ in range(5)]
    for execution in executions:
        assert execution.ended in (Ended.exited, Ended.behind)
        assert execution.stdout == "over\n"
