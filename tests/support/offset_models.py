"""A plugin whose models differ in a known way: each marks the brightest pixel, off by what its registry entry says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from plugin_folder import write_plugin
from tiny_model import SIZE, entry, write_network, write_registry

from puncta import paths
from puncta.formats.dataset import Annotation, Category, Dataset, Image, Info, Review, Video, save_dataset
from puncta.pipeline.consent import grant
from puncta.pipeline.discover import discover

PLUGIN = "spot"
PICTURE = 64
CODE = '''
import numpy as np
from puncta.core.results import Detection
from puncta.sdk.plugin import StepResult


class Spot:
    def __init__(self, model):
        self.off, self.blind = float(model.spec["off"]), model.spec["blind"]

    def reset(self, reason):
        pass

    def step(self, frame, upstream):
        y, x = divmod(int(np.argmax(frame.pixels)), frame.pixels.shape[1])
        level = frame.pixels[y, x]
        if level < 200 or level in self.blind:
            return StepResult((Detection("needle_tip", None, None, 0.1, reason="nothing bright"),))
        x = float(x) + self.off
        return StepResult((Detection("needle_tip", (x - 4.0, y - 2.0, 8.0, 4.0), (x, float(y)), 0.9, radius90_px=4.0),))

    def close(self):
        pass


def create(context):
    return Spot(context.open_model())
'''


def install_spot(**models: tuple[float, tuple[int, ...]]) -> Path:
    """Write the plugin, allow it, and register models: name to how far off it is [px] and which levels it misses.

    The first is the default. Returns the folder of the user's models.
    """
    folder = write_plugin(
        paths.user_plugins_dir() / PLUGIN, CODE, id=PLUGIN, title="Spot", model=f"{next(iter(models))}@1.0",
        results=[{"type": "detection", "label": "needle_tip"}],
    )
    found = discover().get(PLUGIN)
    assert found is not None and found.folder == folder
    grant(found)
    home = paths.user_data_dir() / "models"
    home.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (name, (off, blind)) in enumerate(models.items()):
        sha256 = write_network(home / f"{name}.onnx", gain=2.0 + number)
        (home / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")
        layout = {"size": list(SIZE), "channels": 1, "layout": "NCHW", "normalisation": "0..1", "history": 0}
        entries.append(
            entry(
                f"{name}.onnx", sha256, id=name, version="1.0", plugin=PLUGIN, card=f"{name}.md",
                input={**layout, "off": off, "blind": list(blind)}, default=number == 0,
            )
        )
    return write_registry(home, *entries)


def write_spots(
    folder: Path, clips: int = 12, frames: int = 5, splits: bool = True, simulated: bool = True, train: int = 2
) -> Path:
    """Write a dataset: frame 0 of a clip has no tip, later ones a bright pixel; machine A has level 210, B 220.

    Every clip is a subject of its own; the last ``train`` of them are of the split "train", the others of "test".
    """
    (folder / "images").mkdir(parents=True)
    videos, images, annotations = [], [], []
    region = (0, 0, PICTURE, PICTURE)
    for clip in range(clips):
        machine, subject = "AB"[clip % 2], f"s{clip}"
        split = ("test" if clip < clips - train else "train") if splits else None
        videos.append(Video(clip + 1, f"clip{clip}", 25.0, (0.5, 0.5), machine, subject, split))
        for index in range(frames):
            name, number = f"images/{clip}-{index}.png", len(images) + 1
            pixels = np.full((PICTURE, PICTURE), 30, np.uint8)
            x, y = 16 + 2 * (clip % 8) + index, 20 + 3 * index
            if index:
                pixels[y, x] = 210 if machine == "A" else 220
                box = (x - 4.0, y - 2.0, 8.0, 4.0)
                point = (float(x), float(y), 2.0, 8.0, 8.0, 2.0)
                annotations.append(Annotation(len(annotations) + 1, number, 1, box, 32.0, keypoints=point))
            cv2.imwrite(str(folder / name), pixels)
            images.append(
                Image(
                    number, name, PICTURE, PICTURE, clip + 1, index, 40_000_000 * index, None, region, machine,
                    subject, split, Review.CONFIRMED, ("needle_tip",),
                )
            )
    tip = (Category(1, "needle_tip"),)
    save_dataset(Dataset(Info("needle", "CC0-1.0", simulated), tuple(videos), tuple(images), tip, tuple(annotations)),
                 folder)
    return folder
