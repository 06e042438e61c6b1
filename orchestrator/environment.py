"""Typed readers of the process's environment: settings are strings outside and values inside.

Each reader takes a name and a default. A value that makes no sense is refused aloud, with the name and what would be right.
Every name may also be given as ``NAME_FILE``, the path of a file that holds the value.
"""

import math
import os
from pathlib import Path


class BadSetting(Exception):
    """A setting in the environment has a value that cannot be used."""


def env_str(name: str, default: str = "") -> str:
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadSetting(f"{name}_FILE: cannot read {file} ({error.strerror}).") from error
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    value = env_str(name).strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name}: {value!r} is neither yes nor no; use true or false.")


def env_int(name: str, default: int, *, least: int = 0) -> int:
    value = env_str(name).strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadSetting(f"{name}: {value!r} is not a whole number.") from None
    if number < least:
        raise BadSetting(f"{name}: {number} is less than {least}.")
    return number


def env_float(name: str, default: float, *, least: float = 0.0) -> float:
    value = env_str(name).strip()
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise BadSetting(f"{name}: {value!r} is not a number.") from None
    if not math.isfinite(number):
        raise BadSetting(f"{name}: {value!r} is not a number.")
    if number < least:
        raise BadSetting(f"{name}: {number} is less than {least}.")
    return number


def env_list(name: str, default: list[str]) -> list[str]:
    value = env_str(name).strip()
    return [part.strip() for part in value.split(",") if part.strip()] if value else default
