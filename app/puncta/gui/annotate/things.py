"""What can be labelled with the label set at hand, and which digit does it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from puncta.formats.label_sets import LabelSet
from puncta.gui.i18n import tr

NOT_VISIBLE_DIGIT = "0"
TOKENS = {"needle_tip": "tip", "needle": "mask", "target": "target"}
"""Colours of known categories; others have the accent."""
LEAST_PX, MOST_PX = 1.0, 80.0


class Shape(Enum):
    """How the hand draws a category."""

    POINT = "point"
    NEEDLE = "needle"
    """A line with a width."""
    POLYGON = "polygon"
    BRUSH = "brush"
    BOX = "box"
    LINE = "line"


WAYS = {
    "point": (Shape.POINT,),
    "mask": (Shape.POLYGON, Shape.BRUSH),
    "box": (Shape.BOX,),
    "line": (Shape.LINE,),
}
"""Ways to draw a category, by its shape in the label set; pressing its digit again takes the next one."""
WAY_WORDS = {
    Shape.POINT: "click",
    Shape.NEEDLE: "line",
    Shape.POLYGON: "polygon",
    Shape.BRUSH: "brush",
    Shape.BOX: "box",
    Shape.LINE: "line",
}

WAY_HINTS = {
    Shape.POINT: "{thing}: click it.",
    Shape.NEEDLE: "{thing}: drag from where it comes in to its tip.",
    Shape.POLYGON: "{thing}: click the corners; the first one again, or the right button, closes.",
    Shape.BRUSH: "{thing}: the left button paints, the right one takes away.",
    Shape.BOX: "{thing}: drag a box around it.",
    Shape.LINE: "{thing}: drag from one end to the other.",
}


@dataclass(frozen=True, slots=True)
class Thing:
    """A category or a flag with its digit; "" where the ten digits did not suffice."""

    name: str
    title: str
    digit: str
    ways: tuple[Shape, ...]
    token: str
    meaning: str = ""

    @property
    def is_flag(self) -> bool:
        """A flag has no place in the picture."""
        return not self.ways


def way_words(thing: Thing, shape: Shape) -> str:
    """Say how the thing in hand is drawn, and what its digit takes next."""
    words = tr(WAY_HINTS[shape]).format(thing=tr(thing.title))
    if len(thing.ways) < 2:
        return words
    after = tr(WAY_WORDS[thing.ways[(thing.ways.index(shape) + 1) % len(thing.ways)]])
    return f"{words} {tr('{key} again: {way}.').format(key=thing.digit, way=after)}"


def things_of(label_set: LabelSet) -> tuple[Thing, ...]:
    """Return categories, then flags; flags keep the digit of their label set where no category has it."""
    free = [str(n) for n in range(1, 10)]
    things: list[Thing] = []
    for category in label_set.categories:
        digit = free.pop(0) if free else ""
        ways = WAYS.get(category.shape, (Shape.BOX,))
        if category.name == "needle":
            ways = (Shape.NEEDLE, *ways)
        token = TOKENS.get(category.name, "accent")
        things.append(Thing(category.name, category.title, digit, ways, token, category.meaning))
    for flag in label_set.flags:
        digit = flag.key if flag.key in free else (free[-1] if free else "")
        if digit in free:
            free.remove(digit)
        things.append(Thing(flag.name, flag.title, digit, (), "good", flag.meaning))
    return tuple(things)
