"""YAML as people write it: every scalar is text, so that 0.10 stays 0.10 and a zone named NO is no truth value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from metergate.cli.errors import CliError


def read(path: Path) -> Any:
    """The file's content in dicts, lists and strings. Raises CliError when it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # builds no objects
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CliError(f"{path} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise CliError(f"{path} is not YAML{line}: {getattr(error, 'problem', None) or error}.") from error


def write(plain: Any) -> str:
    """Plain data as YAML, in its own order."""
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
