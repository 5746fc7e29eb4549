"""The data that were copied for a training alone, in words: what they are a copy of, and whether they go with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.session.retrain import JobStatus


def learns_from(job: JobStatus) -> str:
    """Name what a training learns from: somebody's dataset, or its own copy of something."""
    from puncta.session.retrain_copies import LABELS, RECORDINGS

    if job.copy_of == LABELS:
        return tr("Its own copy of labels made here")
    if job.copy_of == RECORDINGS:
        return tr("Its own copy of frames of the recordings")
    if job.copy_of:
        return tr("Its own copy of the dataset {name}").format(name=Path(job.copy_of).name)
    return job.data.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def what_goes(job: JobStatus) -> str:
    """Say what is deleted with a training, to follow "Remove this training with"."""
    from puncta.session.retrain_copies import LABELS, RECORDINGS, has_gone, is_copy

    if not is_copy(job.data) or has_gone(job.copy_of):
        return tr("its files")
    if job.copy_of == LABELS:
        return tr("its files and its copy of the labels")
    if job.copy_of == RECORDINGS:
        return tr("its files and its copy of the recordings' frames")
    if not job.copy_of:
        return tr("its files")
    return tr("its files and its copy of the dataset {name}").format(name=Path(job.copy_of).name)
