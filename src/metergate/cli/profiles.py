"""Profiles: which server a command speaks to, and with which key.

A TOML file of mode 0600: `$METERGATE_CONFIG`, or `metergate/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metergate.cli.errors import CliError
from metergate.cli.files import write_private

DEFAULT_URL = "127.0.0.1:7400"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A server's address and an API key for it; an empty key means that there is none."""

    url: str
    key: str = field(repr=False)


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where profiles are kept."""
    if named := environment.get("METERGATE_CONFIG"):
        return Path(named).expanduser()
    return Path(environment.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "metergate" / "config.toml"


def load(name: str, environment: Mapping[str, str] = os.environ) -> Profile | None:
    """The saved profile of that name. Raises CliError when the file cannot be read."""
    path = config_path(environment)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CliError(f"The profiles in {path} cannot be read ({error}): correct the file or remove it.") from error
    profiles = content.get("profiles")
    saved = profiles.get(name) if isinstance(profiles, dict) else None
    if not isinstance(saved, dict):
        return None
    return Profile(url=str(saved.get("url", DEFAULT_URL)), key=str(saved.get("key", "")))


def resolve(environment: Mapping[str, str] = os.environ) -> Profile:
    """The profile in use: METERGATE_URL and METERGATE_KEY go before `$METERGATE_PROFILE`, by default "dev".

    Raises CliError when `$METERGATE_PROFILE` names a profile that is not there.
    """
    url, key = environment.get("METERGATE_URL", ""), environment.get("METERGATE_KEY", "")
    if url and key:
        return Profile(url, key)
    saved = _chosen(environment) or Profile(DEFAULT_URL, "")
    return Profile(url or saved.url, key or saved.key)


def named_url(environment: Mapping[str, str] = os.environ) -> str:
    """The server's address, if the environment or a profile gives one; else empty."""
    if url := environment.get("METERGATE_URL"):
        return url
    saved = _chosen(environment)
    return saved.url if saved else ""


def _chosen(environment: Mapping[str, str]) -> Profile | None:
    name = environment.get("METERGATE_PROFILE")
    saved = load(name or "dev", environment)
    if name and saved is None:
        where = config_path(environment)
        raise CliError(f"There is no profile {name!r} in {where}: set METERGATE_URL and METERGATE_KEY instead.")
    return saved


def save(name: str, profile: Profile, environment: Mapping[str, str] = os.environ) -> Path:
    """Writes one profile, atomically and with mode 0600; all else in the file stays as it is, comments too."""
    if not _PLAIN_NAME.fullmatch(name):
        raise CliError(f"{name!r} cannot name a profile: use letters, digits, `_` and `-`.")
    path = config_path(environment)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_private(path, _with_section(before, name, profile))
    return path


def _with_section(text: str, name: str, profile: Profile) -> str:
    section = f"[profiles.{name}]\nurl = {_quoted(profile.url)}\nkey = {_quoted(profile.key)}\n"
    found = re.compile(rf"^\[profiles\.{re.escape(name)}\][^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE).search(text)
    if found is None:
        return text + ("\n" if text and not text.endswith("\n\n") else "") + section
    after = text[found.end() :]
    return text[: found.start()] + section + ("\n" + after if after else "")


def _quoted(text: str) -> str:
    """A TOML string: JSON's, except that TOML wants DEL escaped and no halves of a character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
