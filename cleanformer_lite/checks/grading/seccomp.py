"""Restrict a process to the system calls that Python and torch need, by seccomp.

It lists the allowed calls, so that calls which Linux gains later stay closed.
Sockets, other processes, namespaces, shared memory, keyrings, priorities, and the modes and owners
of files are not on it.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence

# name:number on x86_64:number on aarch64, where it has one.
ALLOWED = """
    read:0:63 write:1:64 open:2 openat:257:56 close:3:57 stat:4 fstat:5:80 lstat:6
    newfstatat:262:79 statx:332:291 lseek:8:62 mmap:9:222 mprotect:10:226 munmap:11:215
    brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 sigaltstack:131:132
    pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 access:21 faccessat:269:48
    faccessat2:439:439 pipe:22 pipe2:293:59 select:23 pselect6:270:72 poll:7 ppoll:271:73
    epoll_create:213 epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232 epoll_pwait:281:22
    sched_yield:24:124 mremap:25:216 msync:26:227 mincore:27:232 madvise:28:233 dup:32:23 dup2:33
    dup3:292:24 pause:34 nanosleep:35:101 clock_nanosleep:230:115 getitimer:36:102
    setitimer:38:103 alarm:37 getpid:39:172 getppid:110:173 gettid:186:178 exit:60:93
    exit_group:231:94 uname:63:160 flock:73:32 fsync:74:82 fdatasync:75:83 truncate:76:45
    ftruncate:77:46 getdents:78 getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 rename:82
    renameat:264:38 renameat2:316:276 mkdir:83 mkdirat:258:34 rmdir:84 creat:85 unlink:87
    unlinkat:263:35 symlink:88 symlinkat:266:36 readlink:89 readlinkat:267:78 umask:95:166
    gettimeofday:96:169 time:201 getrlimit:97:163 getrusage:98:165 sysinfo:99:179 times:100:153
    getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getgroups:115:158
    getresuid:118:148 getresgid:120:150 getpgrp:111 getpgid:121:155 getsid:124:156 capget:125:90
    arch_prctl:158 futex:202:98 futex_waitv:449:449 sched_getaffinity:204:123
    sched_getparam:143:121 sched_getscheduler:145:120 set_tid_address:218:96
    set_robust_list:273:99 clock_gettime:228:113 clock_getres:229:114 getrandom:318:278
    getcpu:309:168 rseq:334:293 membarrier:324:283 statfs:137:43 fstatfs:138:44 wait4:61:260
    waitid:247:95 sendfile:40:71 copy_file_range:326:285 fadvise64:221:223 fallocate:285:47
    restart_syscall:219:128 get_mempolicy:239:236 getpriority:140:141 rt_sigsuspend:130:133
    rt_sigpending:127:136 rt_sigtimedwait:128:137"""
# Calls of which one argument (by its place) decides: its values that are allowed.
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # ask a terminal, close on exec, block
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # duplicate, flags, locks
PRCTL = (3, 15, 16, 21, 23, 39, 0x53564D41)  # names, and questions
NUMBERS = {
    "x86_64": {
        **{"ioctl": 16, "fcntl": 72, "prctl": 157, "prlimit64": 302, "kill": 62, "tgkill": 234},
        **{"clone": 56, "clone3": 435, "fork": 57, "vfork": 58},
    },
    "aarch64": {
        **{"ioctl": 29, "fcntl": 25, "prctl": 167, "prlimit64": 261, "kill": 129, "tgkill": 131},
        **{"clone": 220, "clone3": 435},
    },
}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LARGEST_KNOWN = 450  # newer calls "do not exist": a C library then does without
LOAD, JUMP_IF_EQUAL, JUMP_IF_ABOVE, RETURN = 0x20, 0x15, 0x25, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # places in what the filter is shown
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
SET_SECCOMP, GET_SECCOMP, FILTER, NO_NEW_PRIVILEGES = 22, 21, 2, 38

Step = tuple[int, int, int, int]


def available() -> bool:
    """Say whether this system can filter calls, and its call numbers are known."""
    if os.uname().sysname != "Linux" or os.uname().machine not in ARCHITECTURES:
        return False
    return int(ctypes.CDLL(None, use_errno=True).prctl(GET_SECCOMP, 0, 0, 0, 0)) >= 0


def restrict(processes: int = 0) -> bool:
    """Restrict this process, for good, to the calls that an answer needs, and say if it worked.

    `processes` above 0 allows the calls that start processes. Signals may only go to this process.

    Raises: OSError if the system offers filters but refuses this one.

    Source: seccomp(2).
    """
    if not available():
        return False
    install(program(os.uname().machine, os.getpid(), processes))
    return True


def install(steps: Sequence[Step]) -> None:
    """Have the system ask a filter, for good, about each call of this process.

    Raises: OSError if the system refuses it.
    """
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SET_SECCOMP, FILTER, described, 0, 0)):
        if libc.prctl(*arguments) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def program(machine: str, process: int, processes: int) -> list[Step]:
    """Write the filter as BPF instructions: operation, two jumps, a number."""
    numbers = NUMBERS[machine]
    starting = [numbers[name] for name in ("clone", "fork", "vfork") if name in numbers]
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        *_answer(ARCHITECTURES[machine], None, otherwise=KILL),
        (LOAD, 0, 0, NUMBER),
        *(step for number in allowed(machine) for step in _answer(number, ALLOW)),
        *_by_argument(numbers["ioctl"], 1, IOCTL),
        *_by_argument(numbers["fcntl"], 1, FCNTL),
        *_by_argument(numbers["prctl"], 0, PRCTL),
        *_by_argument(numbers["prlimit64"], 0, (0, process)),
        *_by_argument(numbers["kill"], 0, (process,)),
        *_by_argument(numbers["tgkill"], 0, (process,)),
        *_answer(numbers["clone3"], REFUSE | errno.ENOSYS),  # its flags cannot be seen
        *(
            step
            for number in starting
            for step in _answer(number, ALLOW if processes else REFUSE | errno.EAGAIN)
        ),
        (JUMP_IF_ABOVE, 0, 1, LARGEST_KNOWN),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
    ]


def allowed(machine: str) -> list[int]:
    """Return the numbers of the calls that are allowed with any arguments."""
    column = list(ARCHITECTURES).index(machine) + 1
    entries = [entry.split(":") for entry in ALLOWED.split()]
    return [int(entry[column]) for entry in entries if len(entry) > column]


def _answer(value: int, result: int | None, otherwise: int | None = None) -> list[Step]:
    """Return one result if the loaded number is `value`, and another if not."""
    if result is None:
        assert otherwise is not None
        return [(JUMP_IF_EQUAL, 1, 0, value), (RETURN, 0, 0, otherwise)]
    return [(JUMP_IF_EQUAL, 0, 1, value), (RETURN, 0, 0, result)]


def _by_argument(number: int, position: int, values: Iterable[int]) -> list[Step]:
    """Allow a call if the lower half of one argument is among `values`, refuse it if not."""
    tests = [step for value in values for step in _answer(value, ALLOW)]
    block = [
        (LOAD, 0, 0, FIRST_ARGUMENT + 8 * position),
        *tests,
        (RETURN, 0, 0, REFUSE | errno.EPERM),
    ]
    return [(JUMP_IF_EQUAL, 0, len(block), number), *block]
