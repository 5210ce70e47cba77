"""What the kernel is asked to withhold from the parser process: network, files, programs, other processes, its user.

Each layer holds by itself and is left out where the kernel or the machine does not have it; `Confinement` says which
hold. They are for native code that a document has taken over, which Python's own guards do not see.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# From linux/sched.h, linux/prctl.h, linux/capability.h, linux/seccomp.h, linux/audit.h and asm/unistd.h.
_CLONE_NEWNET, _CLONE_NEWUSER, _CLONE_THREAD = 0x40000000, 0x10000000, 0x00010000
_PR_SET_KEEPCAPS, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 8, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3, _CAP_DAC_READ_SEARCH = 0x20080522, 2
_NOBODY = 65534
# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_MAKE_SOCKET, _REMOVE_FILE = 1 << 9, 1 << 5
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_TCP = 0b11  # from version 4: bind and connect
_ALL_SCOPES = 0b11  # from version 6: abstract sockets and signals
# What libraries read while they work: themselves, fonts, time zones, what the processor can do.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/fonts",
    "/usr/share/zoneinfo",
    "/usr/share/mime",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/fonts",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
)

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7
_ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}
_CLONE = {_X86_64: 56, _AARCH64: 220}
_CLONE3 = 435
_X32 = 0x40000000
# Sockets, new programs and processes, other processes' memory, kernel interfaces that parsers have no use for, what
# would stay in the kernel after the process has gone (System V and POSIX queues), and what changes a file without
# opening it, which Landlock does not see.
_SAME_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 434, 438, 452)
"""io_uring_*, open_tree, move_mount, fs*, pidfd_open, pidfd_getfd, fchmodat2."""
_REFUSED = {
    # socket connect accept sendto sendmsg bind listen socketpair, fork vfork execve, shmget semget msgget, ptrace,
    # personality pivot_root chroot mount umount2 init_module mq_open kexec_load add_key request_key keyctl unshare
    # accept4 perf_event_open *_handle_at sendmmsg setns process_vm_* finit_module bpf execveat userfaultfd, truncate
    # *chmod* *chown* *utime* *setxattr *removexattr
    _X86_64: (
        *(41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 59, 29, 64, 68, 101, 135, 155, 161, 165, 166, 175, 240, 246, 248),
        *(249, 250, 272, 288, 298, 303, 304, 307, 308, 310, 311, 313, 321, 322, 323, 76, 90, 91, 92, 93, 94, 132, 188),
        *(189, 190, 197, 198, 199, 235, 260, 261, 268, 280),
    ),
    _AARCH64: (
        *(198, 203, 202, 206, 211, 200, 201, 199, 221, 194, 190, 186, 117, 92, 41, 51, 40, 39, 105, 180, 104, 217, 218),
        *(219, 97, 242, 241, 264, 265, 269, 268, 270, 271, 273, 280, 281, 282, 45, 52, 53, 54, 55, 5, 6, 7, 14, 15, 16),
        *(88,),
    ),
}
_EPERM, _ENOSYS = 1, 38


@dataclass(frozen=True)
class Confinement:
    """Which layers hold in a parser process."""

    network: bool
    """It is in a network namespace without interfaces."""
    files: bool
    """It reads its own libraries and nothing else, and changes nothing (Landlock)."""
    calls: bool
    """It opens no socket, and starts no program and no process (seccomp)."""
    own_user: bool
    """It runs as another user than root."""


def close_network() -> bool:
    """Move to a network namespace without interfaces, where the kernel lets us."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def confine(*, network: bool) -> Confinement:
    """Give up what the kernel can take, once all libraries are loaded. One thread runs by then, and it is this one."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    readable = readable_paths()
    files = _close_files(libc, readable)
    # No other process may read this one's memory, and the documents in it.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _leave_root(libc, readable, files_closed=files)
    return Confinement(network, files, _close_calls(libc), os.geteuid() != 0)


def confine_files(readable: Iterable[str], writable: Iterable[str], sockets: Iterable[str] = ()) -> bool:
    """For a program that this process becomes: it reads and runs what lies below `readable`, writes nowhere but below
    `writable`, and makes and removes sockets in the folders `sockets`; False where the kernel does not have that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return _close_files(libc, readable, writable, sockets)


def readable_paths() -> list[str]:
    """Where the interpreter and the libraries lie, and of ours the packages that are loaded; no home, no blobs."""
    kept = {os.path.realpath(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    kept |= {os.path.realpath(Path(sys.base_prefix, "lib"))}
    for name, module in list(sys.modules.items()):
        if "." in name:
            continue
        places = [module.__file__] if getattr(module, "__file__", None) else []
        if hasattr(module, "__path__"):
            places = list(module.__path__)
        kept |= {os.path.realpath(place) for place in places if place}
    return sorted(_outermost(kept)) + [path for path in _SYSTEM if Path(path).exists()]


def _outermost(paths: Iterable[str]) -> set[str]:
    known = set(paths)
    return {path for path in known if not any(str(parent) in known for parent in Path(path).parents)}


def _close_files(
    libc: ctypes.CDLL,
    readable: Iterable[str],
    writable: Iterable[str] | None = None,
    sockets: Iterable[str] = (),
) -> bool:
    """Landlock: reading below `readable` and nothing else of any file; of a later kernel, no TCP and no signals.

    With `writable`, what is readable may be run as well.
    """
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    fields = [_ALL_FILES[min(version, 5)], _ALL_TCP if version >= 4 else 0, _ALL_SCOPES if version >= 6 else 0]
    attributes = struct.pack("=QQQ", *fields)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        rights_of_files = _READ_FILE | (0 if writable is None else _EXECUTE)
        rules = [(path, rights_of_files, _READ_DIR) for path in readable]
        rules += [
            (path, _ALL_FILES[min(version, 5)] & _OF_FILES, _ALL_FILES[min(version, 5)]) for path in writable or ()
        ]
        rules += [(path, 0, _MAKE_SOCKET | _REMOVE_FILE) for path in sockets]
        for path, of_files, of_folders in rules:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                rights = of_files | (of_folders if Path(path).is_dir() else 0)
                libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
            finally:
                os.close(place)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _leave_root(libc: ctypes.CDLL, readable: Iterable[str], *, files_closed: bool) -> None:
    """Become nobody, if this is root and can still load what it needs as that.

    Where a library lies in a folder of root's alone, reading is kept as the one capability, provided that Landlock
    bounds what is read; else the process stays what it is.
    """
    if os.geteuid() != 0:
        return
    try:
        os.setresuid(-1, _NOBODY, -1)
        can_read = all(os.access(path, os.R_OK, effective_ids=True) for path in readable)
        os.setresuid(-1, 0, -1)
        if not can_read and not files_closed:
            return
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        # A namespace without such a user.
        return
    kept = 0 if can_read else 1 << _CAP_DAC_READ_SEARCH
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be given up")


def _close_calls(libc: ctypes.CDLL) -> bool:
    """seccomp: system calls that a parser never makes are refused, on the processors whose numbers we know."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None or struct.calcsize("P") != 8:
        return False
    program = _filter(architecture)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) == 0)


def _filter(architecture: int) -> bytes:
    """A program in classic BPF (linux/filter.h): each test jumps to one of three ends."""
    load, equal, is_set, at_least, give = 0x20, 0x15, 0x45, 0x35, 0x06
    number, machine, first_argument = 0, 4, 16  # struct seccomp_data
    allow, refuse, absent, kill = 0x7FFF0000, 0x00050000 | _EPERM, 0x00050000 | _ENOSYS, 0x80000000
    tests: list[tuple[int, int, int]] = []  # code, operand, what is given where it holds
    for refused in (*_REFUSED[architecture], *_SAME_EVERYWHERE):
        tests.append((equal, refused, refuse))
    lines = [(load, 0, 0, machine), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, number)]
    if architecture == _X86_64:
        # The same calls under other numbers.
        lines += [(at_least, 0, 1, _X32), (give, 0, 0, refuse)]
    for code, operand, end in tests:
        lines += [(code, 0, 1, operand), (give, 0, 0, end)]
    # The C library takes the older call where this one is not there; threads are made with it, processes are not.
    lines += [(equal, 0, 1, _CLONE3), (give, 0, 0, absent)]
    lines += [(equal, 0, 3, _CLONE[architecture]), (load, 0, 0, first_argument)]
    lines += [(is_set, 1, 0, _CLONE_THREAD), (give, 0, 0, refuse), (give, 0, 0, allow)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
