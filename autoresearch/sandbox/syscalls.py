"""The system calls an experiment may make: one list for seccomp here and for Docker. Standard library only.

Everything else fails with EPERM: namespaces and mounts, tracing and other processes' memory, keys, BPF,
io_uring, System V and POSIX queues (they outlive a process), devices, modules, clocks, handles. Calls
newer than the list, and clone3 (its flags lie in memory, where no filter sees them), fail with ENOSYS,
so that programs fall back.
"""

from __future__ import annotations

import json
import struct

TYPE_CHECKING = False  # importing `typing` would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any

# name:number on x86_64:number on aarch64, "-" where the architecture has no such call
_NUMBERS = """
read:0:63 write:1:64 open:2:- close:3:57 stat:4:- fstat:5:80 lstat:6:- poll:7:- lseek:8:62
mmap:9:222 mprotect:10:226 munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135
rt_sigreturn:15:139 ioctl:16:29 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 access:21:-
pipe:22:- select:23:- sched_yield:24:124 mremap:25:216 msync:26:227 mincore:27:232 madvise:28:233
dup:32:23 dup2:33:- pause:34:- nanosleep:35:101 getitimer:36:102 alarm:37:- setitimer:38:103
getpid:39:172 sendfile:40:71 socket:41:198 connect:42:203 accept:43:202 sendto:44:206
recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 shutdown:48:210 bind:49:200 listen:50:201
getsockname:51:204 getpeername:52:205 socketpair:53:199 setsockopt:54:208 getsockopt:55:209
clone:56:220 fork:57:- vfork:58:- execve:59:221 exit:60:93 wait4:61:260 kill:62:129 uname:63:160
fcntl:72:25 flock:73:32 fsync:74:82 fdatasync:75:83 truncate:76:45 ftruncate:77:46 getdents:78:-
getcwd:79:17 chdir:80:49 fchdir:81:50 rename:82:- mkdir:83:- rmdir:84:- creat:85:- link:86:-
unlink:87:- symlink:88:- readlink:89:- chmod:90:- fchmod:91:52 chown:92:- fchown:93:55 lchown:94:-
umask:95:166 gettimeofday:96:169 getrlimit:97:163 getrusage:98:165 sysinfo:99:179 times:100:153
getuid:102:174 getgid:104:176 setuid:105:146 setgid:106:144 geteuid:107:175 getegid:108:177
setpgid:109:154 getppid:110:173 getpgrp:111:- setsid:112:157 setreuid:113:145 setregid:114:143
getgroups:115:158 setgroups:116:159 setresuid:117:147 getresuid:118:148 setresgid:119:149
getresgid:120:150 getpgid:121:155 setfsuid:122:151 setfsgid:123:152 getsid:124:156 capget:125:90
capset:126:91 rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigqueueinfo:129:138
rt_sigsuspend:130:133 sigaltstack:131:132 utime:132:- statfs:137:43 fstatfs:138:44
getpriority:140:141 setpriority:141:140 sched_setparam:142:118 sched_getparam:143:121
sched_setscheduler:144:119 sched_getscheduler:145:120 sched_get_priority_max:146:125
sched_get_priority_min:147:126 sched_rr_get_interval:148:127 mlock:149:228 munlock:150:229
mlockall:151:230 munlockall:152:231 prctl:157:167 arch_prctl:158:- setrlimit:160:164 sync:162:81
gettid:186:178 readahead:187:213 setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 getxattr:191:8
lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11 llistxattr:195:12 flistxattr:196:13
removexattr:197:14 lremovexattr:198:15 fremovexattr:199:16 tkill:200:130 time:201:- futex:202:98
sched_setaffinity:203:122 sched_getaffinity:204:123 epoll_create:213:- getdents64:217:61
set_tid_address:218:96 restart_syscall:219:128 fadvise64:221:223 timer_create:222:107
timer_settime:223:110 timer_gettime:224:108 timer_getoverrun:225:109 timer_delete:226:111
clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 exit_group:231:94
epoll_wait:232:- epoll_ctl:233:21 tgkill:234:131 utimes:235:- mbind:237:235 set_mempolicy:238:237
get_mempolicy:239:236 waitid:247:95 ioprio_set:251:30 ioprio_get:252:31 inotify_init:253:-
inotify_add_watch:254:27 inotify_rm_watch:255:28 openat:257:56 mkdirat:258:34 fchownat:260:54
futimesat:261:- newfstatat:262:79 unlinkat:263:35 renameat:264:38 linkat:265:37 symlinkat:266:36
readlinkat:267:78 fchmodat:268:53 faccessat:269:48 pselect6:270:72 ppoll:271:73
set_robust_list:273:99 get_robust_list:274:100 splice:275:76 tee:276:77 sync_file_range:277:84
utimensat:280:88 epoll_pwait:281:22 signalfd:282:- timerfd_create:283:85 eventfd:284:-
fallocate:285:47 timerfd_settime:286:86 timerfd_gettime:287:87 accept4:288:242 signalfd4:289:74
eventfd2:290:19 epoll_create1:291:20 dup3:292:24 pipe2:293:59 inotify_init1:294:26 preadv:295:69
pwritev:296:70 rt_tgsigqueueinfo:297:240 recvmmsg:299:243 prlimit64:302:261 syncfs:306:267
sendmmsg:307:269 getcpu:309:168 sched_setattr:314:274 sched_getattr:315:275 renameat2:316:276
getrandom:318:278 memfd_create:319:279 execveat:322:281 membarrier:324:283 mlock2:325:284
copy_file_range:326:285 preadv2:327:286 pwritev2:328:287 pkey_mprotect:329:288 pkey_alloc:330:289
pkey_free:331:290 statx:332:291 rseq:334:293 pidfd_send_signal:424:424 pidfd_open:434:434
close_range:436:436 openat2:437:437 faccessat2:439:439 epoll_pwait2:441:441
landlock_create_ruleset:444:444 landlock_add_rule:445:445 landlock_restrict_self:446:446
futex_waitv:449:449 cachestat:451:451 fchmodat2:452:452 futex_wake:454:454 futex_wait:455:455
futex_requeue:456:456 mseal:462:462
"""
NUMBERS = {
    name: {"x86_64": numbers[0], "aarch64": numbers[1]}
    for name, *numbers in (each.split(":") for each in _NUMBERS.split())
}
NEWEST = 462
CLONE3 = 435

EQUAL, MASKED = "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"
Condition = tuple[int, str, int, int]  # argument, comparison, value (or mask), masked value

# Calls that are allowed when all conditions of one alternative hold.
_THIS_PROCESS: tuple[tuple[Condition, ...], ...] = (((0, EQUAL, 0, 0),),)
_PROCESS, _GROUP = 0, 1  # and not the user, whose other processes are not the experiment's
_OWN_PRIORITY: tuple[tuple[Condition, ...], ...] = tuple(
    ((0, EQUAL, which, 0), (1, EQUAL, 0, 0)) for which in (_PROCESS, _GROUP)
)
_OWN_DISK_PRIORITY: tuple[tuple[Condition, ...], ...] = tuple(
    ((0, EQUAL, which + 1, 0), (1, EQUAL, 0, 0)) for which in (_PROCESS, _GROUP)
)
_NEW_NAMESPACES = 0x7E020000
_CONDITIONS: dict[str, tuple[tuple[Condition, ...], ...]] = {
    "clone": (((0, MASKED, _NEW_NAMESPACES, 0),),),
    "prlimit64": _THIS_PROCESS,
    "sched_setparam": _THIS_PROCESS,
    "sched_setscheduler": _THIS_PROCESS,
    "sched_setattr": _THIS_PROCESS,
    "setpriority": _OWN_PRIORITY,
    "ioprio_set": _OWN_DISK_PRIORITY,
}
_UNIX, _INTERNET, _INTERNET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQUENTIAL = 1, 5
# With a network of its own it may talk to itself.
_PRIVATE_NETWORK: dict[str, tuple[tuple[Condition, ...], ...]] = {
    "socket": (
        ((0, EQUAL, _UNIX, 0),),
        ((0, EQUAL, _INTERNET, 0),),
        ((0, EQUAL, _INTERNET6, 0),),
        ((0, EQUAL, _NETLINK, 0), (2, EQUAL, 0, 0)),
    ),
    "socketpair": (((0, EQUAL, _UNIX, 0),),),
}
# Without, only pairs that are connected to each other for good: others could reach by path what
# listens on this machine.
_NO_NETWORK: dict[str, tuple[tuple[Condition, ...], ...]] = {
    "socketpair": tuple(
        ((0, EQUAL, _UNIX, 0), (1, MASKED, 0xF, kind)) for kind in (_STREAM, _SEQUENTIAL)
    ),
}
_ONLY_PRIVATE = """
socket connect bind listen accept accept4 inotify_init inotify_init1 inotify_add_watch
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
# Where memory is counted and not bounded by a control group: nobody sees whose it is.
_HIDES_MEMORY = {"memfd_create"}
_BUFFERS = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF and their FORCE forms: `watch.SOCKET` relies on it
# Here without a control group the processors are the experiment's for good; asking for others does nothing.
_KEPT = {"sched_setaffinity"}
# Landlock lets these through, and without a private view of files they would reach the user's own:
# they do nothing and say it worked, because copying a file is not worth failing for.
_PRETENDED = """
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat
utimensat
"""


def docker_profile() -> str:
    """The same list as Docker's JSON, as text: for `security_opt=["seccomp=" + ...]`."""
    conditions = _CONDITIONS | _PRIVATE_NETWORK
    rules: list[dict[str, Any]] = [
        {"names": sorted(NUMBERS.keys() - conditions), "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ]
    for name, alternatives in conditions.items():
        for alternative in alternatives:
            arguments = [
                {"index": index, "op": op, "value": value, "valueTwo": second}
                for index, op, value, second in alternative
            ]
            rules.append({"names": [name], "action": "SCMP_ACT_ALLOW", "args": arguments})
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": rules,
        }
    )


# --- the same for the kernel, as a program of classic BPF ---------------------------------------

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _MASK, _RETURN, _IF_EQUAL, _IF_AT_LEAST, _IF_ABOVE = 0x20, 0x54, 0x06, 0x15, 0x35, 0x25
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000
_NO_PERMISSION, _NO_SUCH_CALL = 1, 38
_X32 = 0x40000000


def program(machine: str, namespaces: bool) -> bytes:
    """The filter for an architecture, eight bytes an instruction. Raises OSError for an unknown one."""
    if machine not in _AUDIT:
        raise OSError(f"no system call filter for {machine}, only for {', '.join(_AUDIT)}")
    conditions = _CONDITIONS | (_PRIVATE_NETWORK if namespaces else _NO_NETWORK)
    pretended = _KEPT | (set() if namespaces else set(_PRETENDED.split()))
    refused = pretended | _HIDES_MEMORY | (set() if namespaces else set(_ONLY_PRIVATE.split()))
    here = {name: int(at[machine]) for name, at in NUMBERS.items() if at[machine] != "-"}
    code = _step(_LOAD, 4) + _step(_IF_EQUAL, _AUDIT[machine], 1) + _step(_RETURN, _KILL)
    code += _step(_LOAD, 0)
    if machine == "x86_64":
        code += _step(_IF_AT_LEAST, _X32, 0, 1) + _step(_RETURN, _KILL)
    plain = sorted(
        at for name, at in here.items() if name not in {*conditions, *refused, "setsockopt"}
    )
    code += b"".join(_range(first, last) for first, last in _runs(plain))
    for name, alternatives in conditions.items():
        code += _conditional(here[name], alternatives)
    for number in sorted(here[name] for name in here.keys() & pretended):
        code += _step(_IF_EQUAL, number, 0, 1) + _step(_RETURN, _REFUSE)
    code += _buffers_stay(here["setsockopt"])
    code += _step(_IF_EQUAL, CLONE3, 1) + _step(_IF_ABOVE, NEWEST, 0, 1)
    return code + _step(_RETURN, _REFUSE | _NO_SUCH_CALL) + _step(_RETURN, _REFUSE | _NO_PERMISSION)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _range(first: int, last: int) -> bytes:
    return _step(_IF_AT_LEAST, first, 0, 2) + _step(_IF_ABOVE, last, 1) + _step(_RETURN, _ALLOW)


def _buffers_stay(number: int) -> bytes:
    """Setting the size of a socket's buffers does nothing and says it worked; other options work."""
    body = _step(_LOAD, 16 + 8 * 2)
    for option in _BUFFERS:
        body += _step(_IF_EQUAL, option, 0, 1) + _step(_RETURN, _REFUSE)
    body += _step(_RETURN, _ALLOW)
    return _step(_IF_EQUAL, number, 0, len(body) // 8) + body


def _conditional(number: int, alternatives: tuple[tuple[Condition, ...], ...]) -> bytes:
    """Allow the call in any of the alternatives. Arguments are compared in their lower 32 bits,
    which is all that the kernel takes of them here."""
    body = b""
    for alternative in alternatives:
        after = _step(_RETURN, _ALLOW)
        for argument, op, value, second in reversed(alternative):
            wanted, masking = (value, b"") if op == EQUAL else (second, _step(_MASK, value))
            otherwise = _step(_IF_EQUAL, wanted, 0, len(after) // 8)
            after = _step(_LOAD, 16 + 8 * argument) + masking + otherwise + after
        body += after
    body += _step(_RETURN, _REFUSE | _NO_PERMISSION)
    return _step(_IF_EQUAL, number, 0, len(body) // 8) + body
