"""The door lets in plain files and nothing else, from a folder and from an archive alike."""

import io
import os
import socket
import stat
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.records import Limits
from autoresearch.sandbox.results import MOST_FILES, Refused, collect, collect_tar, read_json

LIMITS = Limits(disk=2**20, file=2**19)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as written:
        for member, data in members:
            written.addfile(member, io.BytesIO(data))
    stream.seek(0)
    return stream


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def test_files_in_folders_are_copied_and_named_in_order(root: Path, target: Path) -> None:
    (root / "b").mkdir()
    (root / "b" / "two.bin").write_bytes(bytes(range(256)))
    (root / "a.txt").write_text("one")
    (root / "empty").mkdir()
    assert collect(root, target, LIMITS) == ("a.txt", "b/two.bin")
    assert (target / "b" / "two.bin").read_bytes() == bytes(range(256))
    assert stat.S_IMODE((target / "a.txt").stat().st_mode) & 0o111 == 0


def test_a_file_from_an_earlier_run_is_replaced_not_written_through(
    root: Path, target: Path
) -> None:
    target.mkdir()
    victim = target.parent / "victim"
    victim.write_text("untouched")
    (target / "a.txt").symlink_to(victim)
    (root / "a.txt").write_text("new")
    assert collect(root, target, LIMITS) == ("a.txt",)
    assert victim.read_text() == "untouched" and not (target / "a.txt").is_symlink()


def deep(root: Path, name: str, times: int) -> None:
    (root / "/".join([name] * times)).mkdir(parents=True)


def hole(thing: Path) -> None:
    thing.touch()
    os.truncate(thing, 2**40)


PLANTED: dict[str, Callable[[Path], object]] = {
    "link": lambda root: (root / "zzz").symlink_to("/etc/passwd"),
    "linked folder": lambda root: (root / "zzz").symlink_to("/etc"),
    "dangling link": lambda root: (root / "zzz").symlink_to("nowhere"),
    "hard link": lambda root: os.link(root / "good", root / "zzz"),
    "fifo": lambda root: os.mkfifo(root / "zzz"),
    "socket": lambda root: socket.socket(socket.AF_UNIX).bind("zzz"),
    "hole": lambda root: hole(root / "zzz"),
    "too much together": lambda root: [(root / n).write_bytes(bytes(2**19 - 1)) for n in "xyz"],
    "newline": lambda root: (root / "a\nb").touch(),
    "escape": lambda root: (root / "a\x1b[2Jb").touch(),
    "bytes": lambda root: (root / os.fsdecode(b"\xff")).touch(),
    "depth": lambda root: deep(root, "d", 40),
    "long": lambda root: deep(root, "d" * 200, 6),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_not_a_plain_file_is_refused_with_all_the_rest(
    root: Path, target: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)  # a socket's path is short
    (root / "good").write_text("good")
    PLANTED[what](root)
    with pytest.raises(Refused) as refused:
        collect(root, target, LIMITS)
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)
    assert not [path for path in target.rglob("*") if path.is_file()]


def test_a_device_is_refused_without_being_opened(root: Path, target: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a device")
    os.mknod(root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(Refused, match="null: is not a regular file"):
        collect(root, target, LIMITS)


def test_too_many_files_are_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        root = Path(folder, "root")
        root.mkdir()
        for number in range(10_001):
            (root / str(number)).touch()
        with pytest.raises(Refused, match="more than 10000"):
            collect(root, Path(folder, "target"), LIMITS)


def test_results_that_are_a_link_themselves_are_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(Refused):
        collect(tmp_path / "out", target, LIMITS)


def test_an_archive_gives_the_same(target: Path) -> None:
    stream = archive(
        member("./", type=tarfile.DIRTYPE), member("./b/two", b"2"), member("one", b"1")
    )
    assert collect_tar(stream, target, LIMITS) == ("b/two", "one")
    assert (target / "b" / "two").read_bytes() == b"2"


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside", b"x"),
        member("/absolute", b"x"),
        member("a/../../outside", b"x"),
        member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("hard", type=tarfile.LNKTYPE, linkname="good"),
        member("fifo", type=tarfile.FIFOTYPE),
        member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("large", bytes(2**19 + 1)),
        member("line\nbreak", b"x"),
        member("/".join("d" * 40), b"x"),
    ],
    ids=lambda each: each[0].name[:12],
)
def test_an_archive_with_anything_else_is_refused(
    target: Path, bad: tuple[tarfile.TarInfo, bytes]
) -> None:
    with pytest.raises(Refused):
        collect_tar(archive(member("good", b"good"), bad), target, LIMITS)
    assert not [path for path in target.parent.rglob("*") if path.is_file()]


def test_too_many_members_are_refused_before_one_is_written(target: Path) -> None:
    target.mkdir(exist_ok=True)
    before = target.stat().st_mtime_ns
    many = archive(*(member(str(number), b"") for number in range(MOST_FILES + 1)))
    with pytest.raises(Refused, match="more than"):
        collect_tar(many, target, LIMITS)
    assert target.stat().st_mtime_ns == before


def test_an_archive_that_is_cut_or_endless_is_refused(target: Path) -> None:
    whole = archive(member("one", b"1" * 5000)).getvalue()
    with pytest.raises(Refused):
        collect_tar(io.BytesIO(whole[:3000]), target, LIMITS)

    class Endless(io.RawIOBase):
        given = 0

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes([120]) * size if self.given > 512 else member("x")[0].tobuf()[:size]

    endless = Endless()
    with pytest.raises(Refused):
        collect_tar(endless, target, LIMITS)
    assert endless.given < 2**27


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        '{"a": 1, "a": 2}',
        "[" * 40 + "]" * 40,
        "[" * 200_000,
        '{"a":' * 50_000,
        '"\\ud800"',
        '["\\ud800"]',
        "",
        "{",
        "1 2",
        "9" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_not_strict_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(Refused):
        read_json(tmp_path / "x.json")


def test_strict_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, 2.5, "[{\\"]}", null, true], "b": {"é": ""}}')
    read = read_json(tmp_path / "x.json")
    assert read == {"a": [1, 2.5, '[{"]}', None, True], "b": {"é": ""}}


def test_json_behind_a_link_in_a_fifo_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("1")
    (tmp_path / "link.json").symlink_to("real.json")
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "bytes.json").write_bytes(b'"\xff"')
    (tmp_path / "large.json").write_text('"' + "x" * 100 + '"')
    for name in ("link", "fifo", "bytes", "missing"):
        with pytest.raises(Refused):
            read_json(tmp_path / f"{name}.json")
    with pytest.raises(Refused, match="more than 50 bytes"):
        read_json(tmp_path / "large.json", max_bytes=50)
