"""Settings from their three places, and where each value came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from core.errors import WrongUsage
from core.settings import Settings

FILE_NAME = "footnote.toml"


@dataclass(frozen=True)
class SettingView:
    """One line of `footnote config`; a secret's value prints as stars."""

    name: str
    value: str
    origin: str
    meaning: str


@dataclass(frozen=True)
class LoadedSettings:
    settings: Settings
    origins: Mapping[str, str]

    def views(self) -> list[SettingView]:
        """Every setting with its value, where it came from and what it means, in the order they are declared."""
        return [
            SettingView(
                name, str(getattr(self.settings, name)), self.origins.get(name, "default"), field.description or ""
            )
            for name, field in Settings.model_fields.items()
        ]


def load_settings(flags: Mapping[str, Any]) -> LoadedSettings:
    """Settings from flags, then `FOOTNOTE_*` variables, then `footnote.toml`, then defaults.

    The file is the one in the home, else the one in the working folder. Raises `WrongUsage` naming the setting and
    its origin when a value makes no sense.
    """
    environment = EnvSettingsSource(Settings)()
    home = Path(flags.get("home") or environment.get("home") or Settings.model_fields["home"].default)
    file = next((path for path in (home / FILE_NAME, Path(FILE_NAME)) if path.is_file()), None)
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if file is not None:
        layers.append((str(file), _from_file(file)))
    layers.append(("environment", environment))
    layers.append(("command line", {name: value for name, value in flags.items() if value is not None}))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            values[name] = value
            origins[name] = f"FOOTNOTE_{name.upper()}" if origin == "environment" else origin
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        raise WrongUsage(
            f"The setting {name} ({origins.get(name, 'default')}) is invalid: {first['msg']}. "
            "`footnote config` lists every setting."
        ) from error
    return LoadedSettings(settings.model_copy(update={"home": settings.home.absolute()}), origins)


def _from_file(file: Path) -> Mapping[str, Any]:
    try:
        return TomlConfigSettingsSource(Settings, file)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{file} is not valid TOML ({error}). Correct it and run again.") from error
