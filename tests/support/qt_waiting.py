"""Waiting in Qt's event loop with Python's lock let go, as the program does.

`QTest.qWait` keeps the lock while it sleeps: threads beside the window then run at a hundredth to a third of their
speed, and what is measured or waited for is not what a user sees.
"""

from __future__ import annotations

from PySide6.QtCore import QEventLoop, Qt, QTimer


def wait_ms(milliseconds: float) -> None:
    """Let events and other threads run for so long [ms]."""
    loop, timer = QEventLoop(), QTimer()
    timer.setSingleShot(True)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(loop.quit)
    timer.start(max(0, round(milliseconds)))
    loop.exec()
