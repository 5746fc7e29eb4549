"""What sources say when they do not open, are damaged or go away is German in a German window; elsewhere it stays."""

from __future__ import annotations

import ast
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication

from puncta.core.errors import UserError
from puncta.core.events import LinkState, PipelineStatus, PlayState, SourceHealth, SourceProblem
from puncta.gui.annotate import said as annotate_said
from puncta.gui.i18n import tr
from puncta.gui.models import said as models_said
from puncta.gui.panels.latency import show_source_failure, show_source_state
from puncta.gui.source_said import SAID, told
from puncta.session.latency import LatencyMeter
from puncta.sources.camera import CameraDevice
from puncta.sources.clarius_library import WRONG_VERSION
from puncta.sources.factory import open_source
from puncta.sources.live_address import CameraAddress
from puncta.sources.tcp import connect_tcp

OTHERS = {"simulated", "simulated_address", "moves", "steering", "steered_view", "synthetic_video"}
"""Simulations are described in a dialog that checks as one chooses; only a typed address can be wrong."""
ERRORS = {"UserError", "SourceError", "SourceLost"}
FILLED = {
    "hint": (", or did you mean sim:breast",),
    "named": ("", " of the name probe"),
    "at": ("the beginning", "frame 7"),
    "WRONG_VERSION.rstrip('.')": (WRONG_VERSION.rstrip("."),),
}
"""What stands for a part of a sentence that is itself words, not a name or a number."""


class Banners:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def say(self, topic: str, _tone: str, words: str) -> None:
        self.texts[topic] = words

    def hush(self, topic: str) -> None:
        self.texts.pop(topic, None)


def fillings(node: ast.expr) -> list[str]:
    """A string of the source as it may come out; nothing for what is no string."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if not isinstance(node, ast.JoinedStr):
        return []
    made = [""]
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            words = FILLED.get(ast.unparse(part.value), ("7",))
        else:
            assert isinstance(part, ast.Constant)
            words = (part.value,)
        made = [begun + more for begun in made for more in words]
    return made


def sentences(file: Path) -> set[str]:
    """What a module raises, and the sentences that it returns or keeps to raise them later."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            found.update(fillings(node.args[0]))
        elif isinstance(node, ast.Assign | ast.Return) and node.value is not None:
            found.update(words for words in fillings(node.value) if re.search(r" .*\.$", words))
    return found


def test_every_sentence_of_a_source_has_a_german_one(german: None, repo_root: Path) -> None:
    puncta = repo_root / "app" / "puncta"
    files = [f for f in (*puncta.glob("sources/*.py"), *puncta.glob("dicom/read*.py")) if f.stem not in OTHERS]
    said = {words for file in files for words in sentences(file)}
    assert len(said) > 100 and any(words.startswith("Camera 7 is gone") for words in said)
    assert sorted(words for words in said if told(words) == words) == []


@pytest.mark.parametrize(
    ("forms", "say"),
    [(SAID, told), (models_said.SAID, models_said.told), (annotate_said.SAID, annotate_said.told)],
)
def test_no_sentence_is_taken_for_a_wider_one(german: None, forms: tuple[str, ...], say: Callable[[str], str]) -> None:
    def fill(form: str) -> str:
        return re.sub(r"\{(\w+)\}", "7", form)

    assert [form for form in forms if say(fill(form)) != fill(tr(form))] == []


def refused(uri: str | Path) -> str:
    """Why a source cannot be opened."""
    with pytest.raises(UserError) as error:
        open_source(str(uri)).close()
    return str(error.value)


class NoCapture:
    """A device that is not there."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return False

    def release(self) -> None:
        """Nothing is open."""


def test_files_cameras_and_peers_that_are_not_there_or_are_damaged_say_so_in_german(
    german: None, tmp_path: Path
) -> None:
    files = {"empty.mp4": b"", "text.xyz": b"no picture at all" * 40, "bad.mp4": b"\0\0\0\x18ftypisom" + bytes(400)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    missing = tmp_path / "missing.mp4"
    assert told(refused(missing)) == f"{missing} gibt es nicht; prüfen Sie Namen und Ordner."
    assert told(refused(tmp_path / "empty.mp4")).startswith("empty.mp4 ist leer; kopieren Sie")
    assert told(refused(tmp_path / "text.xyz")).startswith("text.xyz ist keine Bildfolge, die das Programm kennt;")
    assert told(refused(tmp_path / "bad.mp4")).startswith("bad.mp4 ist kein lesbares Video oder beschädigt;")
    assert told(refused("camera:0?fps=quick")).endswith("ist nicht verständlich: fps ist eine Zahl von Bildern je "
                                                        "Sekunde, zum Beispiel 30.")  # fmt: skip
    assert told(refused("simm:breast")).endswith("Meinten Sie sim:breast?")
    with pytest.raises(UserError) as error:
        CameraDevice(CameraAddress(3), None, lambda _number: NoCapture()).open(threading.Event())  # type: ignore[arg-type]
    assert told(str(error.value)).startswith("Kamera 3 lässt sich nicht öffnen;")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens at it
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as error:
            connect_tcp("127.0.0.1", port, threading.Event())
    assert told(str(error.value)).startswith(f"Unter 127.0.0.1:{port} antwortet nichts;")


def test_banners_above_the_picture_speak_german(german: None) -> None:
    banners = Banners()
    show_source_failure(banners, "a.mp4 does not exist, check the name and the folder.")  # type: ignore[arg-type]
    assert banners.texts["open"] == "a.mp4 gibt es nicht; prüfen Sie Namen und Ordner."
    gone = "Camera 0 is gone; see whether its plug sits and its machine is on."
    health = SourceHealth(LinkState.RECONNECTING, SourceProblem.LOST, gone)
    status = PipelineStatus(PlayState.RECONNECTING, health=health)
    show_source_state(banners, status, LatencyMeter().snapshot())  # type: ignore[arg-type]
    assert banners.texts["source"].startswith("Kamera 0 ist weg;") and "Camera" not in banners.texts["source"]


def test_what_has_no_known_form_stays_as_it_is(german: None) -> None:
    assert told("Something that nobody knows.") == "Something that nobody knows."


def test_an_english_window_says_what_the_command_line_says(qapp: QCoreApplication) -> None:
    assert all(told(form.replace("{why}", "its colour palette is empty")) == form.replace(
        "{why}", "its colour palette is empty") for form in SAID)  # fmt: skip
