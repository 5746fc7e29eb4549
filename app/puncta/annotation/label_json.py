"""Labels as canonical JSON text: what the store keeps and compares, and what travels to another store."""

from __future__ import annotations

from typing import Any

from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    Provenance,
    Slot,
    State,
    TipLabel,
    Value,
)
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey
from puncta.formats.dataset_values import Visibility
from puncta.formats.jsontext import json_line, parse_json


def json_from_value(value: Value) -> dict[str, Any]:
    """Return a value as plain JSON with its type."""
    match value:
        case TipLabel():
            return {
                "type": "tip",
                "tip_px": list(value.tip_px),
                "box": None if value.box is None else list(value.box),
                "visibility": str(value.visibility),
            }
        case BoxLabel():
            return {"type": "box", "box": list(value.box), "visibility": str(value.visibility)}
        case LineLabel():
            return {
                "type": "line",
                "entry_px": list(value.entry_px),
                "tip_px": list(value.tip_px),
                "visibility": str(value.visibility),
            }
        case MaskLabel():
            return {
                "type": "mask",
                "size": list(value.size),
                "counts": list(value.counts),
                "visibility": str(value.visibility),
            }
        case PolygonLabel():
            rings = [[list(p) for p in ring] for ring in value.rings]
            return {"type": "polygon", "size": list(value.size), "rings": rings, "visibility": str(value.visibility)}
        case NotVisible():
            return {"type": "not visible", "visibility": str(value.visibility)}
        case FlagLabel():
            return {"type": "flag", "value": value.value}
        case PhaseLabel():
            return {"type": "phase", "phase": value.phase}
        case NoteLabel():
            return {"type": "note", "text": value.text}


def _pair(values: Any) -> tuple[float, float]:
    x, y = values
    return (float(x), float(y))


def value_from_json(d: dict[str, Any]) -> Value:
    """Return the value of parsed JSON.

    Raises
    ------
    UserError
        A type that this version does not know, or a member is missing or of the wrong kind.
    """
    try:
        shown = Visibility(d.get("visibility", Visibility.CLEAR))
        match d["type"]:
            case "tip":
                box = d.get("box")
                return TipLabel(_pair(d["tip_px"]), None if box is None else _box(box), shown)
            case "box":
                return BoxLabel(_box(d["box"]), shown)
            case "line":
                return LineLabel(_pair(d["entry_px"]), _pair(d["tip_px"]), shown)
            case "mask":
                return MaskLabel((int(d["size"][0]), int(d["size"][1])), tuple(d["counts"]), shown)
            case "polygon":
                rings = tuple(tuple(_pair(p) for p in ring) for ring in d["rings"])
                return PolygonLabel((int(d["size"][0]), int(d["size"][1])), rings, shown)
            case "not visible":
                return NotVisible(shown)
            case "flag":
                return FlagLabel(int(d["value"]))
            case "phase":
                return PhaseLabel(str(d["phase"]))
            case "note":
                return NoteLabel(str(d["text"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"A label cannot be read: {error}.") from error
    raise UserError(f"A label of the type '{d['type']}' comes from a newer Puncta; update this one.")


def _box(values: Any) -> tuple[float, float, float, float]:
    x, y, w, h = (float(v) for v in values)
    return (x, y, w, h)


def content_of(label: Label) -> str:
    """Return what a slot holds as canonical text: value, state and provenance, without the place."""
    made = label.made
    return json_line(
        {
            "value": json_from_value(label.value),
            "state": str(label.state),
            "made": {
                "kind": str(made.kind),
                "by": made.by,
                "version": made.version,
                "base": made.base,
                "made_utc": made.made_utc,
                "confidence": made.confidence,
            },
        }
    )


def label_from_content(text: str, slot: Slot, key: FrameKey, rater: str) -> Label:
    """Return the label of a slot; raises UserError where the text is not one."""
    document = parse_json(text, f"the label {slot.name} of frame {slot.index}")
    made = document["made"]
    return Label(
        slot.name,
        key,
        rater,
        value_from_json(document["value"]),
        Provenance(Kind(made["kind"]), made["by"], made["version"], made["base"], made["made_utc"], made["confidence"]),
        State(document["state"]),
        slot.number,
    )
