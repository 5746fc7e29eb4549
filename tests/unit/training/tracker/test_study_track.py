"""Our own network as a row of the mask study: its size, what it is handed, that it learns, remembers and starts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import json  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from torch import Tensor  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.dataset import (  # noqa: E402
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    save_dataset,
)
from puncta.formats.rle import rle_from_mask  # noqa: E402
from puncta.formats.validate import validate  # noqa: E402
from puncta.training.nets.budget import count_parameters  # noqa: E402
from puncta.training.nets.needle_track import OWN, NeedleTrack  # noqa: E402
from puncta.training.study import find_study  # noqa: E402
from puncta.training.tracker.study import read_study  # noqa: E402
from puncta.training.tracker.study_answers import OurStep, answer_clip, ms_per_frame  # noqa: E402
from puncta.training.tracker.study_clips import (  # noqa: E402
    ClipInput,
    ClipTargets,
    Pack,
    make_window,
    pack_dataset,
    stack_windows,
    standardise,
)
from puncta.training.tracker.study_files import Places  # noqa: E402
from puncta.training.tracker.study_ours import ShortHistory, hand_priors, motion_channels  # noqa: E402
from puncta.training.tracker.study_rows import OverClip, Row, build_net  # noqa: E402
from puncta.training.tracker.study_run import run_study  # noqa: E402
from puncta.training.tracker.study_train import mask_loss, row_loss  # noqa: E402

SIDE = 64
OURS = Row("ours", "Ours, equal training", "track")


def a_clip(frames: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar that grows over speckle; frames and masks of uint8."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(20, 70, (frames, SIDE, SIDE)).astype(np.uint8)
    masks = np.zeros_like(pictures)
    for k in range(frames):
        masks[k, 30:33, 0 : 16 + 6 * k] = 1
        pictures[k][masks[k] > 0] = 220
    return pictures, masks


def a_pack() -> Pack:
    frames, masks = a_clip()
    count = len(frames)
    return Pack(
        name="bar", frames=frames, masks=masks, clip=np.zeros(count, np.intp), index=np.arange(count),
        image=np.arange(count), plane=np.ones(count, np.int8), hidden=np.zeros(count, np.intp),
        tip_px=np.full((count, 2), np.nan), entry_px=np.full((count, 2), np.nan), mm_per_px=np.ones((1, 2)),
        fps=np.array([10.0]),
    )


def an_input(forget: tuple[bool, ...] = (False,)) -> tuple[ClipInput, ClipTargets]:
    frames, masks = a_clip(5)
    channels = torch.from_numpy(np.stack([motion_channels(frames)] * len(forget)))
    true = torch.from_numpy(np.stack([masks] * len(forget))).float()
    priors = torch.full((len(forget), 5, SIDE, SIDE), OWN)
    for prior, alone, mask in zip(priors, forget, true, strict=True):
        prior[:1] = 0.0
        if not alone:
            prior[:2] = mask[0]
    clip = ClipInput(channels, true[:, 0], torch.tensor(forget), priors)
    return clip, ClipTargets(true[:, 1:], torch.ones(len(forget), 4))


class Parrot(NeedleTrack):
    """Says back what it is handed, writes down everything it gets, and counts its frames in its first state."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Tensor, list[float]]] = []
        self.presence_says = 5.0

    def step(self, frame: Tensor, prior: Tensor, states):  # type: ignore[no-untyped-def,override]
        self.heard.append((prior.clone(), [float(state.max()) for state in states]))
        logits = torch.where(prior > 0.5, 4.0, -4.0)
        logits[..., 0, :] = 4.0
        presence = torch.full((len(frame),), self.presence_says)
        return logits, presence, frame.new_zeros(len(frame), 2), [state + 1 for state in states]


def a_parrot() -> tuple[OverClip, Parrot]:
    net = build_net(OURS, SIDE)
    parrot = Parrot()
    net.net = parrot
    return net.eval(), parrot


class TestNetwork:
    def test_it_is_the_very_network_that_ships_with_its_own_widths(self) -> None:
        study = read_study(find_study("stnan"))
        row = study.row("ours-equal")
        with torch.device("meta"):
            net, shipped = build_net(row, study.size), NeedleTrack()
            stnan = count_parameters(build_net(study.row("stnan-w9"), study.size))
        ours, theirs = ({n: p.shape for n, p in one.named_parameters()} for one in (net.net, shipped))
        assert ours == theirs
        assert count_parameters(net) == 774_533
        assert count_parameters(net) < stnan
        assert row.trained
        assert not row.model

    def test_it_answers_on_the_frames_after_the_first(self) -> None:
        mask, presence = build_net(OURS, SIDE).eval()(an_input((False, True))[0])
        assert mask.shape == (2, 4, SIDE, SIDE)
        assert presence.shape == (2, 4)

    def test_a_later_answer_depends_on_what_was_said_before(self) -> None:
        # Other first masks, the same pictures: what is fed back reaches the last frame.
        torch.manual_seed(1)
        net = build_net(OURS, SIDE).double().eval()
        clip, _ = an_input()
        pictures = clip.images.double()
        with torch.no_grad():
            clip = replace(clip, images=pictures, priors=clip.priors.double())
            one, again = (net(clip)[0][:, -1] for _ in range(2))
            none = net(replace(clip, priors=torch.where(clip.priors < 0, OWN, 0.0).double()))[0][:, -1]
        assert torch.equal(one, again)
        assert not torch.equal(one, none)


class TestSamples:
    def test_motion_channels_are_made_of_the_windows_frames_alone(self) -> None:
        pack = a_pack()
        rows = np.array([0, 2, 3, 4, 5])
        window = make_window(pack, rows, np.random.default_rng(0), augment=False, ours=True)
        assert window.images.shape == (5, 5, SIDE, SIDE)
        # Nothing lies before the first frame; of the maximum of older ones a pixel's surroundings remain.
        assert (window.images[0, [1, 2, 4]] == 0).all()
        assert window.images[:, 0] == pytest.approx(standardise(pack.frames[rows]), abs=1e-4)
        # What came since the frame before is told, where it came.
        grown = (pack.masks[2] > 0) & (pack.masks[0] == 0)
        assert window.images[1, 1][grown].mean() > window.images[1, 1][~grown].mean() + 1
        other = a_clip(6, seed=9)[0]
        other[rows] = pack.frames[rows]
        again = make_window(replace(pack, frames=other), rows, np.random.default_rng(0), augment=False, ours=True)
        assert (again.images == window.images).all()

    def test_every_row_sees_the_same_clip_of_the_same_number(self) -> None:
        pack = a_pack()
        one, two = (make_window(pack, np.arange(5), np.random.default_rng(4), augment=True, ours=m)
                    for m in (False, True))
        assert (one.masks == two.masks).all()
        assert (one.weights == two.weights).all()
        assert one.forget == two.forget
        assert two.images[:, 0] == pytest.approx(one.images, abs=1e-4)
        stacked = stack_windows([two, two]).channels
        assert stacked.images.shape == (2, 5, 5, SIDE, SIDE)
        assert stacked.priors.shape == (2, 5, SIDE, SIDE)
        assert stack_windows([one]).channels.priors is None

    def test_first_masks_are_mostly_right_and_it_is_mostly_handed_its_own_after_them(self) -> None:
        masks = a_clip(5)[1]
        known, forgot = (np.stack([hand_priors(np.random.default_rng(k), masks, forget) for k in range(200)])
                         for forget in (False, True))
        right = (known[:, 0] == masks[0]).all((1, 2))
        assert 0.5 < right.mean() < 0.8
        # The right one is the last that is known on the frame after it, too.
        assert ((known[right, 1] == masks[0]).all((1, 2)) | (known[right, 1, 0, 0] == OWN)).all()
        assert ((known[:, 0] >= 0) & (known[:, 0] <= 1)).all()
        nothing = (forgot[:, 0] == 0).all((1, 2))
        assert 0.45 < nothing.mean() < 0.75
        # What else a window without a first mask begins with is not the needle.
        overlap = np.minimum(forgot[:, 0], masks[0]).sum((1, 2)) / masks[0].sum()
        assert np.median(overlap[~nothing]) < 0.3
        own = (forgot[:, 1:] == OWN).all((2, 3))
        assert 0.6 < own.mean() < 0.85
        assert own.all(1).mean() > 0.4


class TestLoss:
    def test_terms_of_its_own_stand_beside_the_studys(self) -> None:
        masks = torch.zeros(1, 2, 32, 32)
        masks[:, 0, :, 14:17] = 1
        targets = ClipTargets(masks, torch.ones(1, 2))
        good = torch.where(masks > 0, 9.0, -9.0)
        right = torch.tensor([[9.0, -9.0]])
        total, parts = row_loss((good, right), targets, True)
        assert set(parts) == {"bce", "dice", "presence", "centre line"}
        assert float(total) == pytest.approx(sum(parts.values()), abs=1e-5)
        assert float(total) < 0.05
        assert row_loss((good, -right), targets, True)[1]["presence"] > 4
        # Half of the needle is not found: the centre line says so, and nobody asks on frames that are not judged.
        half = good.clone()
        half[:, 0, 16:] = -9.0
        assert row_loss((half, right), targets, True)[1]["centre line"] > 0.1
        deaf = ClipTargets(masks, torch.tensor([[0.0, 1.0]]))
        assert float(row_loss((half, right), deaf, True)[0]) < 0.05
        assert float(row_loss(good, targets, True)[0]) == float(mask_loss(good, targets, True)[0])

    def test_steps_teach_it(self) -> None:
        torch.manual_seed(0)
        net = build_net(OURS, SIDE).train()
        clip, targets = an_input((False, True))
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
        said = []
        for _ in range(6):
            loss, _ = row_loss(net(clip), targets, True)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            said.append(float(loss.detach()))
        assert said[-1] < 0.8 * said[0]
        assert all(p.grad is not None for p in net.parameters())


class TestAnswers:
    def test_memory_is_carried_from_frame_to_frame_and_its_own_mask_handed_back(self) -> None:
        net, parrot = a_parrot()
        frames, _ = a_clip(4)
        found = answer_clip(net, frames, None)
        assert [states for _, states in parrot.heard] == [[float(k)] * 4 for k in range(4)]
        assert float(parrot.heard[0][0].max()) == 0
        assert float(parrot.heard[1][0][0, 0, 0].min()) == pytest.approx(torch.sigmoid(torch.tensor(4.0)).item())
        assert found[:, 0].all()
        assert not found[:, 1:].any()

    def test_a_given_mask_takes_the_place_of_what_it_remembers(self) -> None:
        net, parrot = a_parrot()
        frames, masks = a_clip(4)
        found = answer_clip(net, frames, (2, masks[2].astype(bool)))
        assert parrot.heard[2][1] == [0.0] * 4
        assert (parrot.heard[2][0][0, 0].numpy() == masks[2]).all()
        assert (parrot.heard[3][0][0, 0].numpy() == masks[2]).all()
        assert parrot.heard[3][1] == [1.0] * 4
        assert (found[2] == masks[2].astype(bool)).all()
        assert found[3, 31, 5]

    def test_without_presence_nothing_is_shown_and_a_repeated_frame_is_no_step(self) -> None:
        net, parrot = a_parrot()
        frames, _ = a_clip(3)
        frames[1] = frames[0]
        parrot.presence_says = -5.0
        assert not answer_clip(net, frames, None).any()
        assert len(parrot.heard) == 2

    def test_steps_and_whole_clips_agree(self) -> None:
        torch.manual_seed(2)
        net = build_net(OURS, SIDE).eval()
        net.net.presence.bias.data[:] = 9.0
        frames, masks = a_clip(5)
        clip, _ = an_input()
        stepped, priors = OurStep(net, SIDE), []
        with torch.no_grad():
            mask, _ = net(clip)
            for k, frame in enumerate(frames):
                priors.append(stepped(frame, torch.from_numpy(masks[0]).float() if k == 0 else None))
        assert torch.allclose(torch.stack(priors[1:]), torch.sigmoid(mask[0]), atol=1e-5)

    def test_motion_is_told_of_as_many_frames_as_a_training_clip_holds(self) -> None:
        frames, masks = a_clip(8)
        # Speckle that stands still, so that no shift is measured, whose rounding would be another.
        frames[masks == 0] = np.broadcast_to(frames[0] % 90, frames.shape)[masks == 0]
        history = ShortHistory(SIDE)
        for frame in frames:
            history.push(frame)
        assert len(history) == 5
        assert history.channels() == pytest.approx(motion_channels(frames[-5:])[-1], abs=1e-4)

    def test_it_is_timed(self) -> None:
        assert ms_per_frame(build_net(OURS, SIDE).eval(), a_pack(), 8) > 0


STUDY = """
version = 1
kind = "mask"
name = "small"
title = "A small study"
seed = 1
starter = "unet"
resamples = 20
[data]
train = "bars"
size = 64
[training]
clips = 2
batch = 2
learning_rate = 1e-3
gaps = [1, 2]
checkpoint_every = 1
examine_every = 1
[[runs]]
name = "unet"
title = "UNet"
net = "unet"
[[sets]]
name = "bars"
title = "bars"
"""
MORE = """
[[runs]]
name = "ours"
title = "Ours"
net = "track"
[[claims]]
id = "ours"
says = "ours beats the other"
set = "bars"
mode = "alone"
figure = "iou"
better = "ours"
than = "unet"
at_least = 0.0
"""


def a_set(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    images, notes, videos = [], [], []
    for number, split in enumerate(("train", "tune", "test", "train", "tune", "test")):
        videos.append(Video(number + 1, f"v{number}", fps=10.0, mm_per_px=(0.5, 0.5), machine="A", split=split))
        for k, (picture, mask) in enumerate(zip(*a_clip(6, seed=number), strict=True)):
            at, name = len(images) + 1, f"images/{number}-{k}.png"
            cv2.imwrite(str(folder / name), picture)
            images.append(Image(at, name, SIDE, SIDE, number + 1, k, region=(0.0, 0.0, SIDE, SIDE), machine="A",
                                split=split, review=Review.CONFIRMED, labelled=("needle_tip", "needle"),
                                difficulty={"offset_sigma": 0.1}))
            tip = 15.0 + 6 * k
            points = (tip, 31.0, 2.0, 0.0, 31.0, 2.0)
            notes += [
                Annotation(2 * at, at, 1, (tip - 3, 28.0, 6.0, 6.0), keypoints=points, visibility=Visibility.CLEAR),
                Annotation(2 * at + 1, at, 2, (0.0, 30.0, tip, 3.0), keypoints=points, visibility=Visibility.CLEAR,
                           segmentation=rle_from_mask(mask > 0),
                           more={"physical_segmentation": rle_from_mask(mask > 0)}),
            ]
    save_dataset(
        Dataset(info=Info("needle", "CC0-1.0", True), categories=(Category(1, "needle_tip"), Category(2, "needle")),
                videos=tuple(videos), images=tuple(images), annotations=tuple(notes)), folder,
    )


def test_a_finished_study_gains_our_row_and_keeps_what_the_others_said(tmp_path: Path) -> None:
    a_set(tmp_path / "sets" / "bars")
    file, places = tmp_path / "study.toml", Places(tmp_path / "out", None, tmp_path / "cache", tmp_path / "sets")
    file.write_text(STUDY, encoding="utf-8")
    run_study(file, places)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/rows/unet").rglob("*") if p.is_file()}
    assert kept
    file.write_text(STUDY.replace("[[sets]]", MORE + "[[sets]]"), encoding="utf-8")
    run_study(file, places, resume=True, only=["ours"])
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    found = json.loads((tmp_path / "out/table.json").read_text(encoding="utf-8"))
    assert list(found["rows"]) == ["unet", "ours"]
    assert found["missing"] == []
    assert found["rows"]["ours"]["parameters"] == 774_533
    assert found["claims"][0]["word"] != "not measured"
    assert not validate(tmp_path / "out/rows/ours").problems
    # It starts by itself: nothing of the starting row's enters its answers.
    with np.load(places.answers("ours", "bars", "alone")) as held:
        assert str(held["made_for"]).endswith(" ")
        assert not held["given"].any()
    # A row that another one was is no growth.
    file.write_text(STUDY.replace('net = "unet"', 'net = "segnet"'), encoding="utf-8")
    with pytest.raises(UserError, match="rows may be added"):
        run_study(file, places, resume=True)


def test_packs_of_the_made_up_set_hold_its_bars(tmp_path: Path) -> None:
    a_set(tmp_path / "bars")
    pack = pack_dataset(tmp_path / "bars", "test", SIDE, tmp_path / "cache")
    assert (np.array(pack.masks[:6]) == a_clip(6)[1]).all()
