"""The truth folder of a simulated cine: whole, readable, exactly what the generator said, and never half there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from puncta.core.errors import BugError, UserError
from puncta.core.frame import FrameKey, hash_planes
from puncta.formats.truth import read_truth_head, read_truth_lines
from puncta.formats.truth_pictures import read_flow_map, read_label_map
from puncta.formats.validate import validate
from puncta.sim.case_truth import CaseTruth, maps_from_text
from puncta.sim.cine import CineGenerator
from puncta.sim.frame_view import FrameView
from puncta.sim.tissue_kinds import Tissue

FRAMES = 3


def generator(procedure: str = "vessel", needle: bool = True) -> CineGenerator:
    return CineGenerator(procedure, "A", 5, size_px=(160, 128), needle=needle, start="inside")


def collect(case: CaseTruth, count: int = FRAMES) -> tuple[list[FrameKey], list[FrameView]]:
    keys, views = [], []
    for index in range(count):
        pixels, truth = case.generator.next_frame()
        case.add(truth)
        keys.append(FrameKey("made.dcm", index, truth.t_ns, hash_planes((pixels,))))
        views.append(case.generator.view)
    return keys, views


def test_folder_holds_what_the_generator_said(tmp_path: Path) -> None:
    source = generator()
    with CaseTruth(source, tmp_path / "truth", maps_from_text("all")) as case:
        keys, views = collect(case)
        case.write(iter(keys), "made.dcm", "puncta test")
    report = validate(tmp_path / "truth")
    assert report.problems == () and "with masks, labels, flow" in report.notes
    head, lines = read_truth_head(tmp_path / "truth"), list(read_truth_lines(tmp_path / "truth"))
    assert (head.procedure, head.label_set, head.contents) == ("vessel", "needle", ("masks", "labels", "flow"))
    assert head.tissues[int(Tissue.VEIN)] == "vein" and head.physics["needle_gauge_mm"] == source.needle.gauge_mm
    x0, y0, w, h = source.scan.layout.region
    for k, (line, view) in enumerate(zip(lines, views, strict=True)):
        assert line.key.sha256 == keys[k].sha256 and line.target is not None and line.needle is not None
        assert line.needle.mask is not None and line.needle.visible_mask is not None
        np.testing.assert_array_equal(line.needle.mask, source.maps.physical_mask(view))
        np.testing.assert_array_equal(line.needle.visible_mask, source.maps.visible_mask(view))
        assert line.labels is not None
        labels = read_label_map(tmp_path / "truth" / line.labels.file)
        np.testing.assert_array_equal(labels, source.maps.label_map(view))
        if k == FRAMES - 1:
            assert line.flow is None
            continue
        assert line.flow is not None
        flow = read_flow_map(tmp_path / "truth" / line.flow.file)
        assert np.isnan(flow).any(axis=-1).sum() == flow.shape[0] * flow.shape[1] - w * h
        stored = flow[y0 : y0 + h, x0 : x0 + w]
        np.testing.assert_allclose(stored, source.maps.optical_flow(view, views[k + 1]), atol=1 / 127)


def test_infants_have_flags_and_no_maps_unless_asked(tmp_path: Path) -> None:
    with CaseTruth(generator("infant-lp", needle=False), tmp_path / "truth") as case:
        keys, _ = collect(case)
        case.write(keys, "made.dcm", "puncta test")
    assert sorted(p.name for p in (tmp_path / "truth").iterdir()) == ["truth.json", "truth.jsonl"]
    lines = list(read_truth_lines(tmp_path / "truth"))
    assert read_truth_head(tmp_path / "truth").label_set == "infant-lp"
    assert all(line.needle is None and set(line.flags) == {"quality", "csf", "cord"} for line in lines)


def test_a_second_case_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for maps in ("all", "masks"):
        with CaseTruth(generator(), tmp_path / "truth", maps_from_text(maps)) as case:
            keys, _ = collect(case)
            case.write(keys, "made.dcm", "puncta test")
    assert validate(tmp_path / "truth").problems == ()
    assert sorted(p.name for p in (tmp_path / "truth").iterdir()) == ["truth.json", "truth.jsonl"]


def test_nothing_is_left_of_a_case_that_was_given_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), CaseTruth(generator(), tmp_path / "truth", {"labels", "flow"}) as case:
        collect(case, 2)
        raise KeyboardInterrupt
    assert not (tmp_path / "truth").exists()

    def too_few(keys: list[FrameKey]) -> Iterator[FrameKey]:
        yield from keys[:-1]

    with pytest.raises(BugError, match="3 frames have truth, 2 have a key"), \
            CaseTruth(generator(), tmp_path / "short", {"labels"}) as case:
        keys, _ = collect(case)
        case.write(too_few(keys), "made.dcm", "puncta test")
    assert not list((tmp_path / "short").glob("*")) or not (tmp_path / "short").exists()


def test_no_folder_collects_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with CaseTruth(generator(), None, {"labels"}) as case:
        keys, _ = collect(case, 1)
        case.write(keys, "made.dcm", "puncta test")
        assert not case._frames  # noqa: SLF001 - nothing is kept in memory either
    assert not any(tmp_path.iterdir())


def test_maps_are_named_plainly() -> None:
    assert maps_from_text(None) == maps_from_text("") == frozenset()
    assert maps_from_text("Labels, flow") == {"labels", "flow"}
    with pytest.raises(UserError, match="There are no truth maps 'lables'; the nearest is labels"):
        maps_from_text("masks,lables")
    with pytest.raises(UserError, match="choose from masks, labels, flow"):
        maps_from_text("depth")
