"""Toy plugins that give masks and flags by the picture's brightness, so that a test knows what they answer."""

from __future__ import annotations

from pathlib import Path

from plugin_folder import write_plugin

from puncta.pipeline.discover import Discovery, discover

# Everything at 200 or more is needle, cut out tightly; a prompt is kept until the next reset and added.
MASKS = '''
import numpy as np
from puncta.core.results import Detection, Line, MaskResult
from puncta.sdk.plugin import StepResult


class Bright:
    def __init__(self):
        self.given = None

    def reset(self, reason):
        self.given = None

    def prompt(self, prompt):
        self.given = prompt.mask.copy()

    def step(self, frame, upstream):
        mask = frame.pixels >= 200
        if self.given is not None:
            mask = mask | self.given
        if not mask.any():
            return StepResult((MaskResult("needle", None, (0, 0), 0.1, reason="nothing bright"),))
        rows, cols = np.nonzero(mask)
        y0, y1, x0, x1 = rows.min(), rows.max() + 1, cols.min(), cols.max() + 1
        middle = float(y0 + y1 - 1) / 2
        ends = ((float(x0), middle), (float(x1 - 1), middle))
        return StepResult((
            MaskResult("needle", mask[y0:y1, x0:x1].copy(), (int(x0), int(y0)), 0.9),
            Line("needle", ends[0], ends[1], 0.9, angle_deg=0.0),
        ))

    def close(self):
        pass


def create(context):
    return Bright()
'''

# The first three pixels of the region answer for quality, cord and csf: 255 yes, 0 no, between withheld.
FLAGS = '''
from puncta.core.flags import Flag
from puncta.core.results import ClassResult
from puncta.sdk.plugin import StepResult


class Reader:
    def reset(self, reason):
        pass

    def step(self, frame, upstream):
        x0, y0, w, h = frame.geometry.region.box
        results = []
        for k, name in enumerate(("quality", "cord", "csf")):
            grey = int(frame.pixels[y0, x0 + k])
            value = True if grey > 250 else False if grey < 5 else None
            reason = None if value is not None else "not sure"
            results.append(ClassResult(name, value, grey / 255, reason=reason))
        strange = bool(frame.pixels[y0 + 1, x0] > 128)
        return StepResult(tuple(results), frozenset({Flag.OUT_OF_DISTRIBUTION} if strange else ()))

    def close(self):
        pass


def create(context):
    return Reader()
'''
FLAG_NAMES = ("quality", "cord", "csf")


def toy_kinds(folder: Path) -> Discovery:
    """Write the plugins toy-mask, toy-mask-deaf (it takes no prompt) and toy-flags, and find them."""
    emits = [{"type": "mask", "label": "needle"}, {"type": "line", "label": "needle"}]
    write_plugin(folder / "toy-mask", MASKS, id="toy-mask", title="Toy mask", prompts=True, results=emits)
    write_plugin(folder / "toy-mask-deaf", MASKS, id="toy-mask-deaf", title="Deaf mask", results=emits)
    flags = [{"type": "class", "label": name} for name in FLAG_NAMES]
    write_plugin(folder / "toy-flags", FLAGS, id="toy-flags", title="Toy flags", results=flags)
    return discover(shipped=folder, user=folder / "none", entry_points=False)
