"""Labels to learn from: as they are counted, and in a store of simulated cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from puncta.annotation.cases import case_of_source
from puncta.annotation.commands import Board, propose
from puncta.annotation.labels import Label, NotVisible, State, TipLabel, by_person
from puncta.annotation.store import AnnotationStore
from puncta.core.frame import FrameKey
from puncta.formats.dataset import TIP_CATEGORY
from puncta.session.retrain_data import LabelledCase, TrainingData
from puncta.sources.factory import open_source

TIP = "needle-tip"


def data(*cases: tuple[str | None, int], split: tuple[str | None, ...] = ()) -> TrainingData:
    """Cases by subject and labelled frames."""
    made = tuple(
        LabelledCase(f"c{n}", f"case {n}", subject, "F", True, {TIP: frames}, split[n] if split else None)
        for n, (subject, frames) in enumerate(cases)
    )
    return TrainingData("d", "made", (TIP,), 0, (), (), True, None, made)


def labelled_store(folder: Path, clips: int = 3, frames: int = 24, every: int = 6) -> AnnotationStore:
    """A store with simulated cases of as many subjects, and a tip on every ``every``-th frame from the 6th on."""
    store = AnnotationStore.open(folder / "labels.sqlite")
    for k in range(clips):
        uri = f"sim:breast?seed={400 + k}&machine=F&frames={frames}&size=160x128"
        source = open_source(uri)
        case = replace(case_of_source(source.info, "needle-tip", subject=f"s{k}", machine="F"), uri=uri, title=f"c{k}")
        case = store.add_case(replace(case, simulated=True))
        labels = []
        for index in range(6, frames, every):
            source.seek(index)
            frame = source.read()
            assert frame is not None
            key = FrameKey(case.stream, index, frame.key.pts_ns)
            value = TipLabel((40.0 + index, 50.0)) if k < clips - 1 else NotVisible()
            labels.append(Label(TIP_CATEGORY, key, "anna", value, by_person("anna")))
        source.close()
        command = propose(Board(case.id, "anna", ()), labels, state=State.CONFIRMED)
        assert command is not None
        store.apply(command)
    return store
