"""Becomes another program that never outlives its parent and, where asked, does not run as root.

Run as a script (`python -I -S launch.py SIGNAL PARENT IDENTITY PROGRAM ARGUMENT...`), so that the server itself, which
has threads, never runs Python between fork and exec. Standard library only, to start in a few hundredths of a second.

IDENTITY is one of
  same           stay who we are
  map:UID:GID    a user namespace in which we are UID and GID; outside, files still belong to us (nothing is chowned)
  drop:UID:GID   become UID and GID for good, keeping only the right to walk into folders such as /root
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def call(name: str, *arguments: object) -> None:
    """Call the C library's `name`; raises OSError when it answers with an error."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def map_identity(uid: int, gid: int) -> None:
    """Enter a user namespace where our user and group are called `uid` and `gid`; raises OSError when refused."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    # The kernel lets a process map its own group only after it gave up setgroups().
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1")


def drop_identity(uid: int, gid: int) -> None:
    """Become `uid` and `gid`, keeping CAP_DAC_OVERRIDE: the checkout and the data may lie under a 0700 home."""
    call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    only = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
    call("capset", header, effective_permitted_inheritable)
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    """Take the identity, tie our life to the parent's, and become the program."""
    signal_number, parent, identity, *program = sys.argv[1:]
    kind, *numbers = identity.split(":")
    if kind == "map":
        map_identity(*map(int, numbers))
    elif kind == "drop":
        drop_identity(*map(int, numbers))
    if sys.platform == "linux":
        # After the change of identity, which would clear it.
        call("prctl", PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the parent was gone before its child could be tied to it")
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
