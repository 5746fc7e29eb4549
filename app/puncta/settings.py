"""The user's settings: pydantic in memory, TOML on disk, versioned. A bad key warns and never blocks a start."""

from __future__ import annotations

import logging
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from puncta import paths

log = logging.getLogger(__name__)

VERSION = 1


class LayerSetting(BaseModel):
    """Visibility and opacity of one overlay layer."""

    model_config = ConfigDict(extra="ignore")

    visible: bool = True
    opacity: float = Field(default=1.0, ge=0.0, le=1.0)


class ViewSetting(BaseModel):
    """How the picture is shown. Display only: models and exports never see it."""

    model_config = ConfigDict(extra="ignore")

    gain: float = Field(default=1.0, ge=0.25, le=4.0)
    gamma: float = Field(default=1.0, ge=0.3, le=3.0)


class Settings(BaseModel):
    """Everything that persists between starts."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    version: int = VERSION
    profile: Literal["trainee", "annotator", "educator"] = "trainee"
    theme: Literal["dark", "light"] = "dark"
    font_scale: float = Field(default=1.0, ge=0.75, le=2.0)
    touch_size: bool = False
    far_view: bool = False
    """Read-outs large enough for a screen two metres away."""
    reduce_motion: bool = False
    language: str = "en"
    key_set: Literal["Puncta", "Slicer", "CVAT", "One hand"] = "Puncta"
    keys: dict[str, str] = Field(default_factory=dict)
    recent: list[str] = Field(default_factory=list)
    last_source: str = ""
    presentation: Literal["coherent", "low latency"] = "coherent"
    every_frame: bool = False
    repeat: bool = True
    enabled_plugins: list[str] = Field(default_factory=lambda: ["needle-tip"])
    plugin_options: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    """Changes to the plugins' options; what belongs to one case (a body weight) is never among them."""
    layers: dict[str, LayerSetting] = Field(default_factory=dict)
    layer_order: list[str] = Field(default_factory=list)
    view: ViewSetting = Field(default_factory=ViewSetting)
    regions: dict[str, list[int]] = Field(default_factory=dict)
    """Confirmed ultrasound regions of captured screens, by device and picture size: [x, y, w, h] in px."""
    scales: dict[str, list[list[float]]] = Field(default_factory=dict)
    """Confirmed scales of captured screens, by device and picture size; each row is one layout, see
    `gui.remembered`. It holds places of depth marks and no part of the screen's picture."""
    rater: str = ""
    """Who labels; asked once, written on every label."""
    annotate: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """What Annotate was left with: label set, gauge, brush."""
    paused_trainings: list[str] = Field(default_factory=list)
    """Trainings that were under way when the program ended, to be offered at the next start."""
    procedure: str = "free"
    """What Live is set up for; one of `session.procedures`."""
    sounds: bool = False
    pedals: dict[str, str] = Field(default_factory=dict)
    """Further keys, as foot pedals send them: key to action."""
    first_start_done: bool = False
    window: dict[str, str] = Field(default_factory=dict)
    hands_card: bool = True
    """Whether the keys and gestures of steering stand beside a steered picture."""
    rulers: dict[str, list[float]] = Field(default_factory=dict)
    """Two-point calibrations by source identity: [mm per px x, mm per px y]."""


def settings_file() -> Path:
    """Where the settings live."""
    return paths.user_config_dir() / "settings.toml"


def load_settings(file: Path | None = None) -> tuple[Settings, list[str]]:
    """Read the settings; wrong values fall back to their defaults.

    Returns
    -------
    settings : Settings
    warnings : list of str
        One plain sentence for each value or file that could not be used.
    """
    file = file or settings_file()
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        _set_aside(file)
        return Settings(), [f"The settings file could not be read ({error}); it was set aside and defaults are used."]
    warnings: list[str] = []
    while True:
        try:
            return Settings.model_validate(data), warnings
        except ValidationError as error:
            # One bad key costs that key alone.
            for problem in error.errors():
                place = list(problem["loc"])
                warnings.append(f"Setting '{'.'.join(map(str, place))}' is not usable: {problem['msg']}.")
                _drop(data, place)


def save_settings(settings: Settings, file: Path | None = None) -> None:
    """Write the settings atomically.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    file = file or settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(tomli_w.dumps(settings.model_dump(mode="json")).encode("utf-8"))
        os.replace(part, file)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _drop(data: dict[str, Any], place: list[Any]) -> None:
    """Remove the offending value, or the nearest parent that is a plain table key."""
    node: Any = data
    for step in place[:-1]:
        inner = node.get(step) if isinstance(node, dict) else None
        if not isinstance(inner, dict):
            node.pop(step, None)
            return
        node = inner
    node.pop(place[-1], None)


def _set_aside(file: Path) -> None:
    try:
        os.replace(file, file.with_suffix(".broken.toml"))
    except OSError:
        log.warning("could not set aside %s", file.name)
