"""Where the server is and which key to use: arguments, then the environment, then a profile."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metergate_client.errors import MetergateConfigError

_TLS = {"https": True, "grpcs": True, "http": False, "grpc": False}


@dataclass(frozen=True, slots=True)
class Config:
    """A server's address, such as "127.0.0.1:7400" or "https://metergate.example:443", and an API key."""

    url: str
    key: str = field(repr=False)

    def target(self) -> tuple[str, bool]:
        """The address as gRPC wants it, and whether to speak TLS.

        Raises:
            MetergateConfigError: The URL has an unknown scheme or a path.
        """
        scheme, mark, rest = self.url.partition("://")
        if not mark or scheme in ("dns", "unix", "ipv4", "ipv6"):
            return self.url, False
        if scheme not in _TLS or not rest.rstrip("/") or "/" in rest.rstrip("/"):
            raise MetergateConfigError(
                f"{self.url!r} is not an address of a server. Write host:port, or https://host:port for TLS."
            )
        host = rest.rstrip("/")
        named = ":" in host.rpartition("]")[2]  # an IPv6 address stands in brackets
        return (host if named else f"{host}:{443 if _TLS[scheme] else 80}"), _TLS[scheme]


def resolve(
    url: str | None = None,
    key: str | None = None,
    profile: str | None = None,
    *,
    need_url: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Find the address and the key, each by itself: the argument; ``METERGATE_URL`` and ``METERGATE_KEY``; the profile.

    The profile is ``profile``, else ``METERGATE_PROFILE``, else "dev". One that is named by the argument goes before
    the two variables, since an argument is the more deliberate word.

    Raises:
        MetergateConfigError: One of them was found nowhere, or the profile file cannot be read.
    """
    if profile is None:
        url, key = url or environ.get("METERGATE_URL"), key or environ.get("METERGATE_KEY")
    if key and (url or not need_url):
        return Config(url or "", key)
    name = profile or environ.get("METERGATE_PROFILE") or "dev"
    path = profile_path(environ)
    found = _profile(path, name)
    url, key = url or found.get("url"), key or found.get("key")
    if need_url and not url:
        raise MetergateConfigError(_advice("server address", "url", "METERGATE_URL", name, path))
    if not key:
        raise MetergateConfigError(_advice("API key", "key", "METERGATE_KEY", name, path))
    return Config(url or "", key)


def profile_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The profile file: ``METERGATE_CONFIG``, else ``metergate/config.toml`` in the user's folder for settings."""
    if named := environ.get("METERGATE_CONFIG"):
        return Path(named).expanduser()
    folder = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "metergate" / "config.toml"


def _profile(path: Path, name: str) -> dict[str, str]:
    """What the profile says; nothing when there is no such file or profile."""
    try:
        with path.open("rb") as file:
            content: dict[str, Any] = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MetergateConfigError(f"The profile file {path} cannot be read: {error}.") from error
    profiles = content.get("profiles")
    found = profiles.get(name, {}) if isinstance(profiles, dict) else {}
    if not isinstance(found, dict) or not all(isinstance(found.get(k, ""), str) for k in ("url", "key")):
        raise MetergateConfigError(f"In {path}, [profiles.{name}] must hold url and key as strings.")
    return {k: found[k] for k in ("url", "key") if k in found}


def _advice(what: str, argument: str, variable: str, profile: str, path: Path) -> str:
    return (
        f"No {what}: pass {argument}=…, or set {variable}, or put it into [profiles.{profile}] of {path} "
        f"(`make run` in the Metergate repository writes the profile dev)."
    )
