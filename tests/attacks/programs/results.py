"""What it leaves for the host to read."""

from collections.abc import Iterator

from autoresearch.records import Ended
from tests.attacks.attack import Attack, Shot

KIND = "results"
DOOR = (Ended.refused, Ended.exited, Ended.disk, Ended.memory)


def nothing_came(shot: Shot) -> Iterator[str]:
    """Either it could not be made inside, or all of it is refused at the door."""
    if shot.execution.succeeded or shot.execution.files:
        yield f"taken: {shot.execution.files[:5]}"
    if shot.seconds > 60:
        yield f"the host was held up for {shot.seconds:.0f} s"


def not_late(shot: Shot) -> Iterator[str]:
    found = [path.read_text() for path in shot.outputs.glob("predictions*")]
    if found != ["honest"]:
        yield f"predictions read {found}"


def door(name: str, must_not: str, program: str, seconds: float = 12.0) -> Attack:
    program = "os.chdir(OUT)\n" + program + "\nopen('good.txt', 'w').close()\n"
    limits = {"timeout": seconds}
    return Attack(name, must_not, program, nothing_came, limits, ends=DOOR, fails=True)


ATTACKS = (
    door(
        "a link to the labels",
        "have the host read a file that it could not read itself",
        "os.symlink(FACTS['labels'], 'predictions.csv')",
    ),
    door(
        "a folder that is a link",
        "lead the host out of $OUT",
        "os.symlink(os.path.dirname(FACTS['labels']), 'deep')",
    ),
    door(
        "a second name for an input",
        "hand back a file of the host under another name",
        "os.link(os.environ['DATA'] + '/rows.txt', 'predictions.csv')",
    ),
    door(
        "a file with two names",
        "have one file counted twice, or changed after it was checked",
        "open('one', 'w').write('x'); os.link('one', 'two')",
    ),
    door("a FIFO", "hold up the host's reader for ever", "os.mkfifo('predictions.csv')"),
    door(
        "a socket",
        "hold up or confuse the host's reader",
        "socket.socket(socket.AF_UNIX).bind('predictions.csv')",
    ),
    door(
        "device files",
        "have the host read a device",
        """
made = 0
for kind, numbers in ((stat.S_IFCHR, (1, 5)), (stat.S_IFCHR, (1, 9)), (stat.S_IFBLK, (8, 0)), (stat.S_IFBLK, (254, 0))):
    try:
        os.mknod(f"device-{made}", 0o666 | kind, os.makedev(*numbers))
        made += 1
        achieved("a device was made")
    except OSError:
        pass
if not made:
    os._exit(1)
""",
    ),
    door(
        "names with line breaks and escapes",
        "write to a terminal or a log through the name of a file",
        "open('a\\n\\x1b[2Jb', 'w').close()",
    ),
    door("names that are no text", "break the record", "open(b'\\xff\\xfe', 'w').close()"),
    door(
        "names that run backwards", "look like another name", "open('a\\u202egpj.exe', 'w').close()"
    ),
    door(
        "11,000 small files",
        "drown the host in entries",
        "for number in range(11000):\n    os.close(os.open(str(number), os.O_CREAT))",
        seconds=60.0,  # a busy disk takes a millisecond for each
    ),
    door("deep folders", "have the host recurse without end", "os.makedirs('d/' * 60)"),
    Attack(
        "a writer that stays",
        "change the predictions after the command has ended",
        """
path = OUT + "/predictions"
with open(path, "w") as file:
    file.write("honest")
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    time.sleep(0.8)
    while True:
        with open(path, "w") as file:
            file.write("forged")
        time.sleep(0.01)
""",
        not_late,
    ),
    Attack(
        "a program for root",
        "leave a file with the set-user-id bit, or one that can be run, on the host",
        """
import shutil
shutil.copy("/bin/true", OUT + "/root-shell")
for mode in (0o7777, 0o4755, 0o2755, 0o1777):
    tried(os.chmod, OUT + "/root-shell", mode)
for mode in (0o4755, 0o2755):
    os.close(os.open(f"{OUT}/made-{mode}", os.O_CREAT, mode))
""",
    ),
)
