"""Runs a command without a network, and with folders that it cannot write to.

``python -I -S isolation.py --read-only FOLDER COMMAND …`` makes a network namespace in which only
the loopback interface is, and a mount namespace in which the folders are read-only, with all that
is mounted in them; then it becomes the command. Both are what a container does at a hospital.
Where the machine forbids one of the two, the command runs all the same: a worker looks for itself
(:func:`has_network`, :func:`is_read_only`) and says so.

It imports little and starts no thread: only a process with one thread may make a user namespace,
which whoever is not root needs for this, and numpy starts threads when it is imported.
"""

import argparse
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
# From Linux's sched.h, mount.h, sockios.h and if.h.
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40
# What a mount was given besides and must keep: statvfs's flags, and those of mount(2).
_KEPT = {
    os.ST_NOSUID: 2,
    os.ST_NODEV: 4,
    os.ST_NOEXEC: 8,
    os.ST_NOATIME: 1024,
    os.ST_NODIRATIME: 2048,
    os.ST_RELATIME: 1 << 21,
}
_PROBED = ("network", "folders")


def has_network() -> bool:
    """Tell whether this process sees an interface other than the loopback."""
    return not {name for _, name in socket.if_nameindex()} <= {"lo"}


def is_read_only(folder: Path) -> bool:
    """Tell whether a folder is mounted read-only for this process."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def command(folders: Iterable[Path], wrapped: Sequence[str]) -> list[str]:
    """Return the command line that runs another without a network, with read-only folders."""
    options = [word for folder in folders for word in ("--read-only", str(folder))]
    return [sys.executable, "-I", "-S", __file__, *options, "--", *wrapped]


def probe(folder: Path) -> tuple[bool, bool]:
    """Tell whether this machine lets a command be run without network, and a folder read-only."""
    asked = [*command([folder], ())[:-1], "--probe"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return _PROBED[0] in said, _PROBED[1] in said


def isolate(folders: Sequence[Path]) -> None:
    """Move this process to namespaces of its own, as far as the machine allows."""
    both = _CLONE_NEWNS | _CLONE_NEWNET
    for flags in (both, _CLONE_NEWUSER | both, _CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        inside = folders if flags & _CLONE_NEWNS else ()
        if _succeeds(flags, inside):
            _enter(flags, inside)
            return


def _succeeds(flags: int, folders: Sequence[Path]) -> bool:
    """Try in a child what would leave this process half moved if it failed."""
    if (child := os.fork()) == 0:
        try:
            _enter(flags, folders)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _enter(flags: int, folders: Sequence[Path]) -> None:
    user, group = os.getuid(), os.getgid()
    _check(_LIBC.unshare(flags))
    if flags & _CLONE_NEWUSER:  # everybody stays who they were
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if flags & _CLONE_NEWNET:
        _raise_loopback()
    if flags & _CLONE_NEWNS:
        _mount(Path("/"), _MS_REC | _MS_PRIVATE)  # nothing of it is seen outside
        for folder in folders:
            _make_read_only(folder)


def _raise_loopback() -> None:
    """Bring ``lo`` up, as it is in a container: processes of one machine may speak over it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def _make_read_only(folder: Path) -> None:
    _mount(folder, _MS_BIND | _MS_REC, source=folder)
    for point in _mounted_in(folder):
        given = os.statvfs(point).f_flag
        kept = sum(flag for name, flag in _KEPT.items() if given & name)
        _mount(point, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _mounted_in(folder: Path) -> Iterator[Path]:
    """Yield the mount points at a folder and below it."""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        point = line.split()[4].decode("unicode_escape").encode("latin-1")  # \040 is a space
        path = Path(os.fsdecode(point))
        if path == folder or folder in path.parents:
            yield path


def _mount(target: Path, flags: int, source: Path | None = None) -> None:
    given = os.fsencode(source) if source else None
    _check(_LIBC.mount(given, os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _check(status: int) -> None:
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def main() -> None:
    """Isolate this process, then become the command, or print what is isolated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read-only", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--probe", action="store_true", help="print what this machine allows")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    folders = [folder.resolve() for folder in options.read_only]
    isolate(folders)
    if options.probe:
        found = (not has_network(), all(map(is_read_only, folders)))
        print(*(name for name, there in zip(_PROBED, found, strict=True) if there))
    else:
        os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main()
