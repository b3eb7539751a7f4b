"""Run a command that dies with its parent, without root's identity where asked.

A script of its own, run as `python -I -S launch.py PARENT_PID DEATH_SIGNAL IDENTITY COMMAND…`: it replaces itself by
the command, so the process id stays the same. It needs nothing but the standard library.
"""

import ctypes
import os
import signal
import sys

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
REFUSED = 125
NOT_FOUND = 127


def main(argv: list[str]) -> None:
    """Take on the identity, tie our life to the parent's, become the command."""
    parent, death_signal, identity, command = int(argv[1]), int(argv[2]), argv[3], argv[4:]
    try:
        if identity == "namespace":
            _enter_user_namespace()
        elif identity == "drop":
            _become_nobody()
        if sys.platform == "linux":
            # After the identity: a change of credentials clears the setting.
            _check(_libc().prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "prctl")
        if os.getppid() != parent:  # it died before the setting could take effect
            sys.exit(REFUSED)
    except OSError as error:
        sys.stderr.write(f"launch: cannot run as {identity}: {error}\n")
        sys.exit(REFUSED)
    # Python ignores SIGPIPE for itself; ignored signals are inherited through exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the command is the purpose
    except OSError as error:
        sys.stderr.write(f"launch: cannot run {command[0]}: {error}\n")
        sys.exit(NOT_FOUND)


def _enter_user_namespace() -> None:
    """Be uid 65534 inside, still the owner of our files outside: binaries below /root stay readable."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc().unshare(CLONE_NEWUSER), "unshare")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {uid} 1"), ("gid_map", f"{NOBODY} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs start-up time
            file.write(line)


def _become_nobody() -> None:
    """Change to uid 65534; keep only the right to pass directories such as /root, where it can be kept."""
    libc = _libc()
    # Without it access(2) leaves capabilities out, and initdb would not see its own binary below /root.
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, data) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv)
