"""What the author's code may ask of the kernel: not what only administrators and debuggers need.

A container shares the machine's kernel. Docker refuses its containers most of these calls, unless
its settings or an older version say otherwise; here the worker refuses them to itself, by a filter
(seccomp) that it cannot take off and that its children inherit. Nothing that trains a model needs
them: other processes' memory, new namespaces and mounts, the kernel's keys, modules and programs
(BPF), io_uring, and sockets of other kinds than those within the machine and of the Internet, of
which the worker has no network. A socket to a virtual machine's host (AF_VSOCK) is in no network
namespace.

The numbers of the calls are those of x86-64 (Linux's ``syscall_64.tbl``), on which the images run.
Filters: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterator

REFUSED = {
    # other processes
    **{"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312},
    **{"pidfd_getfd": 438, "perf_event_open": 298},
    # namespaces, mounts and roots
    **{"unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155},
    **{"chroot": 161, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431},
    **{"fsmount": 432, "fspick": 433, "mount_setattr": 442},
    **{"name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300},
    # keys, programs and modules of the kernel
    **{"add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "userfaultfd": 323},
    **{"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    **{"init_module": 175, "delete_module": 176, "finit_module": 313},
    **{"kexec_load": 246, "kexec_file_load": 320},
    # the machine's settings
    **{"syslog": 103, "acct": 163, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159},
    **{"clock_adjtime": 305, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170},
    **{"setdomainname": 171, "iopl": 172, "ioperm": 173, "quotactl": 179, "quotactl_fd": 443},
    **{"modify_ldt": 154},
}
"""System calls that fail with EPERM, by name."""

_CLONE, _CLONE3, _SOCKET, _IOCTL = 56, 435, 41, 16
# From sched.h: a cgroup, mount, UTS, IPC, user, PID or network namespace of its own.
_NEW_NAMESPACES = 0x7E020000
_TIOCSTI = 0x5412  # types into a terminal, from termios.h
# From socket.h: AF_UNIX, AF_INET, AF_INET6; and AF_NETLINK, by which a process lists interfaces.
_FAMILIES = (1, 2, 10, 16)
_X86_64, _X32 = 0xC000003E, 0x40000000  # from audit.h, and unistd.h's bit of another ABI

# From bpf_common.h, filter.h and seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # places in seccomp_data, low halves

_SET_FILTER, _ALL_THREADS, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 1, 317, 38

Step = tuple[int, int, int, int]
"""A BPF instruction: its code, how many to skip if it holds, and if not, and its operand."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def restrict() -> bool:
    """Refuse these calls to this process, its threads and its children from now on.

    Returns:
        Whether it is so: not on another machine than x86-64, or where the kernel has no filters.
    """
    if platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    steps = b"".join(struct.pack("=HBBI", *step) for step in _steps())
    program = _Program(len(steps) // 8, steps)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.syscall(_SECCOMP, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def _steps() -> Iterator[Step]:
    """Yield the filter: it looks at one call, and ends with what becomes of it."""
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    yield from ((_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _X86_64), refuse)
    yield from ((_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), refuse)
    for number in REFUSED.values():
        yield from ((_EQUAL, 0, 1, number), refuse)
    # Its flags are in memory, where a filter cannot look: glibc then uses clone.
    yield from ((_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS))
    yield from ((_EQUAL, 0, 3, _CLONE), (_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _NEW_NAMESPACES))
    yield from (refuse, (_LOAD, 0, 0, _NUMBER))
    yield from ((_EQUAL, 0, 3, _IOCTL), (_LOAD, 0, 0, _SECOND), (_EQUAL, 0, 1, _TIOCSTI))
    yield from (refuse, (_LOAD, 0, 0, _NUMBER))
    yield from ((_EQUAL, 0, len(_FAMILIES) + 2, _SOCKET), (_LOAD, 0, 0, _FIRST))
    for left, family in zip(range(len(_FAMILIES), 0, -1), _FAMILIES, strict=True):
        yield (_EQUAL, left, 0, family)
    yield from ((_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW))
