"""Texts of the window and their translation. English is the language of the source."""

from __future__ import annotations

import re

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from puncta import paths

CONTEXT = "puncta"
LANGUAGES = {"en": "English", "de": "Deutsch"}
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_COMMA_FOR_POINT = str.maketrans(",.", ".,")


def tr(text: str) -> str:
    """Return a text in the language of the window; the text itself where it has no translation."""
    return QCoreApplication.translate(CONTEXT, text)


def numbers(text: str) -> str:
    """Return a text with its numbers as the language of the window writes them: "1,800.5" is "1.800,5" in German.

    For figures that people read alone: a version or a file's name is no number, and what is typed has its own rules.
    """
    if QLocale().language() is not QLocale.Language.German:
        return text
    return _NUMBER.sub(lambda found: found[0].translate(_COMMA_FOR_POINT), text)


def install_language(app: QCoreApplication, code: str) -> list[QTranslator]:
    """Make a language that of the program. Keep what is returned as long as it is to last.

    Parameters
    ----------
    code : str
        "en", "de"; an unknown one leaves English.
    """
    QLocale.setDefault(QLocale(code if code in LANGUAGES else "en"))
    kept: list[QTranslator] = []
    if code == "en" or code not in LANGUAGES:
        return kept
    qt_folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for name, folder in ((f"puncta_{code}", str(paths.resources_dir() / "i18n")), (f"qtbase_{code}", qt_folder)):
        translator = QTranslator()
        if translator.load(name, folder):
            app.installTranslator(translator)
            kept.append(translator)
    return kept


def remove_language(app: QCoreApplication, kept: list[QTranslator]) -> None:
    """Take a language away again."""
    for translator in kept:
        app.removeTranslator(translator)
