"""Who a child process is: PostgreSQL refuses to run as root and wants a name for its user."""

from __future__ import annotations

import functools
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

from metergate.adapters.embedded.errors import EmbeddedError
from metergate.adapters.embedded.process import run


@dataclass(frozen=True)
class Identity:
    """How launch.py is told to change itself, and who then owns the files that the child writes."""

    argument: str
    owner_uid: int
    owner_gid: int

    def give(self, folder: Path) -> None:
        """Make this identity the owner of `folder` and all in it; free of cost when it is so already."""
        status = folder.lstat()
        if (status.st_uid, status.st_gid) == (self.owner_uid, self.owner_gid) or os.geteuid() != 0:
            return
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent) / name, self.owner_uid, self.owner_gid, follow_symlinks=False)
        # Last: an interrupted walk is begun again.
        os.chown(folder, self.owner_uid, self.owner_gid)


def same_identity() -> Identity:
    """The child is who we are."""
    return Identity("same", os.geteuid(), os.getegid())


def postgres_identity() -> Identity:
    """Ourselves; for root, or a user without a name, a named user in a namespace, else a system account.

    Raises EmbeddedError when there is no way.
    """
    uid = os.geteuid()
    if uid != 0 and _has_name(uid):
        return same_identity()
    account = _some_account()
    if namespaces_work():
        return Identity(f"map:{account.pw_uid}:{account.pw_gid}", uid, os.getegid())
    if uid != 0:
        raise EmbeddedError(f"user {uid} has no name on this machine, and PostgreSQL wants one: add it to /etc/passwd")
    return Identity(f"drop:{account.pw_uid}:{account.pw_gid}", account.pw_uid, account.pw_gid)


@functools.cache
def namespaces_work() -> bool:
    """True when this machine lets us make a user namespace (containers and hardened kernels may not)."""
    if sys.platform != "linux":
        return False
    account = _some_account()
    return run([sys.executable, "-I", "-S", "-c", ""], f"map:{account.pw_uid}:{account.pw_gid}").returncode == 0


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _some_account() -> pwd.struct_passwd:
    """An account that is not root: nobody, else the first one that the machine has."""
    accounts = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not accounts:
        raise EmbeddedError("PostgreSQL does not run as root, and this machine has no other user: add one")
    return next((entry for entry in accounts if entry.pw_name == "nobody"), accounts[0])
