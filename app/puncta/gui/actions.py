"""One table of everything a key can do, with the default key of each key set. Users may change every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtGui import QKeySequence

KEY_SETS = ("Puncta", "Slicer", "CVAT", "One hand")
STEER = "steer"
"""Mode of the keys while a simulation is steered; it is Live with hands on probe and needle."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One thing the user can do.

    Attributes
    ----------
    id : str
        Stable name, the key of `settings.keys`.
    words : str
        What the menus and the key list say.
    group : str
        Heading in the key list.
    keys : str
        Default in the key set "Puncta", in Qt's portable notation.
    others : mapping of str to str
        Defaults in other key sets where they differ.
    modes : tuple of str
        Modes in which the action does something; empty means all.
    hint : str
        Two or three words for the status line; empty keeps it out.
    hold : bool
        Works while the key is held down.
    repeats : bool
        A key held down repeats it.
    """

    id: str
    words: str
    group: str
    keys: str
    others: Mapping[str, str] | None = None
    modes: tuple[str, ...] = ()
    hint: str = ""
    hold: bool = False
    repeats: bool = False

    def default_key(self, key_set: str) -> str:
        """Key of this action in a key set."""
        return (self.others or {}).get(key_set, self.keys)


_PLAY, _RANGE, _VIEW, _CASE, _WINDOW = "Play", "Range", "Picture", "Case", "Window"
_LABEL, _TRAIN, _CONSENSUS = "Annotate", "Models", "Two readings"
ANNOTATE_GROUP = _LABEL
"""Heading of what does something only where labels are open."""
_PROBE, _NEEDLE, _ATTEMPT = "Steering: probe", "Steering: needle", "Steering: attempt"
ADJUDICATE = "adjudicate"
"""Mode of the keys while two readings become one; it is Annotate with two others' labels over the picture."""
_REVIEW = ("review", "annotate", ADJUDICATE)
_ANNOTATE = ("annotate",)
_DRAW = ("annotate", ADJUDICATE)
_PICTURE = ("live", "review", "annotate", ADJUDICATE, STEER)
"""Modes in which a picture stands in the middle."""
_MODELS = ("models",)
_FREE = ("live", "review")
"""A steered simulation has its own target."""


def _annotate(
    name: str, words: str, keys: str, cvat: str = "", *, hint: str = "", modes: tuple[str, ...] = _ANNOTATE
) -> ActionSpec:
    """A row of Annotate; CVAT's keys for going about take some of ours."""
    return ActionSpec(name, words, _LABEL, keys, {"CVAT": cvat} if cvat else None, modes, hint=hint)


def _adjudicate(name: str, words: str, keys: str, cvat: str = "", *, hint: str = "") -> ActionSpec:
    """A row of adjudication."""
    others = {"CVAT": cvat} if cvat else None
    return ActionSpec(name, words, _CONSENSUS, keys, others, (ADJUDICATE,), hint=hint)


def _model(name: str, words: str, keys: str, *, hint: str = "") -> ActionSpec:
    """A row of Models."""
    return ActionSpec(name, words, _TRAIN, keys, None, _MODELS, hint=hint)


def _digit(number: int, *, absent: bool) -> ActionSpec:
    """A class or a flag by its digit; with Shift the flag says no."""
    name = f"{'absent' if absent else 'label'}_{number}"
    words = f"Flag {number} says no, while held" if absent else f"Class or flag {number}; a flag while held"
    if number == 0:
        words = "Out of the plane, while held" if absent else "Not visible, while held"
    modes = _DRAW if number else _ANNOTATE
    return ActionSpec(name, words, _LABEL, f"Shift+{number}" if absent else str(number), None, modes, hold=True)


def _steer(name: str, words: str, group: str, keys: str, one_hand: str, *, hold: bool = True) -> ActionSpec:
    """A row of steering; "One hand" keeps to the left half of the keyboard."""
    return ActionSpec(name, words, group, keys, {"One hand": one_hand}, (STEER,), hold=hold)


ACTIONS: tuple[ActionSpec, ...] = (
    ActionSpec("play", "Play or pause", _PLAY, "Space", {"Slicer": "Ctrl+Shift+Down"}, _PICTURE, hint="play, pause"),
    ActionSpec(
        "frame_back", "One frame back", _PLAY, "Left", {"Slicer": "Ctrl+Shift+Left", "CVAT": "D"}, _REVIEW, repeats=True
    ),
    ActionSpec(
        "frame_on",
        "One frame on",
        _PLAY,
        "Right",
        {"Slicer": "Ctrl+Shift+Right", "CVAT": "F"},
        _REVIEW,
        hint="frame",
        repeats=True,
    ),
    ActionSpec("frames_back", "Ten frames back", _PLAY, "Shift+Left", {"CVAT": "C"}, _REVIEW, repeats=True),
    ActionSpec(
        "frames_on", "Ten frames on", _PLAY, "Shift+Right", {"CVAT": "V"}, _REVIEW, hint="10 frames", repeats=True
    ),
    ActionSpec("first", "First frame", _PLAY, "Home", {"Slicer": "Ctrl+Shift+Home"}, _REVIEW),
    ActionSpec("last", "Last frame", _PLAY, "End", {"Slicer": "Ctrl+Shift+End"}, _REVIEW),
    ActionSpec("shuttle_back", "Play backwards, again for faster", _PLAY, "J", None, _REVIEW),
    ActionSpec("shuttle_hold", "Hold", _PLAY, "K", None, _REVIEW),
    ActionSpec("shuttle_on", "Play forwards, again for faster", _PLAY, "L", None, _REVIEW),
    ActionSpec("slower", "Slower", _PLAY, "Ctrl+Left", None, _REVIEW),
    ActionSpec("faster", "Faster", _PLAY, "Ctrl+Right", None, _REVIEW),
    ActionSpec("range_first", "Range starts here", _RANGE, "I", None, _REVIEW, hint="range starts"),
    ActionSpec("range_last", "Range ends here", _RANGE, "O", None, _REVIEW, hint="ends"),
    ActionSpec("range_loop", "Loop the range, or stop looping", _RANGE, "Return", None, _REVIEW, hint="loop"),
    ActionSpec(
        "hide_overlay", "Hide the overlay while held", _VIEW, "H", None, _PICTURE,
        hint="hold to hide overlay", hold=True,
    ),
    ActionSpec("target", "Set the target at the cursor", _VIEW, "T", None, _FREE, hint="set target"),
    ActionSpec("target_clear", "Remove the target", _VIEW, "Shift+T", None, _FREE),
    ActionSpec("plan", "Plan a path to the target", _VIEW, "P", None, ("live",), hint="plan"),
    ActionSpec("plan_clear", "Remove the planned path", _VIEW, "Shift+P", None, ("live",)),
    ActionSpec("sounds", "Sounds on or off", _VIEW, "Ctrl+Shift+U", None, ("live",)),
    ActionSpec("needle_here", "Show the needle: draw along it, or a box with Shift", _VIEW, "N", None, _FREE),
    ActionSpec("needle_forget", "Take back what was drawn on this frame", _VIEW, "Shift+N", None, _FREE),
    ActionSpec("ruler", "Calibrate with a two-point ruler", _VIEW, "Ctrl+R", None, _PICTURE),
    ActionSpec("zoom_in", "Magnify", _VIEW, "Ctrl++", None, _PICTURE, repeats=True),
    ActionSpec("zoom_out", "Make smaller", _VIEW, "Ctrl+-", None, _PICTURE, repeats=True),
    ActionSpec("fit", "Show the whole picture", _VIEW, "Ctrl+0", None, _PICTURE),
    ActionSpec(
        "snapshot", "Save the picture with its overlay", _CASE, "Ctrl+Shift+S", None, _PICTURE, hint="save picture"
    ),
    ActionSpec("snapshot_raw", "Save the picture without overlay", _CASE, "Ctrl+Alt+Shift+S", None, _PICTURE),
    ActionSpec("export", "Export this case: films, DICOM, pictures, table", _CASE, "Ctrl+E", None, ("review",)),
    ActionSpec("compare", "Compare with another analysis of this session", _CASE, "Ctrl+Shift+E", None, ("review",)),
    ActionSpec("record", "Record, or stop recording", _CASE, "R", None, ("live",), hint="record"),
    ActionSpec("save_last", "Save the last seconds", _CASE, "Shift+R", None, ("live",)),
    ActionSpec("open", "Open a file", _CASE, "Ctrl+O", hint="open"),
    ActionSpec("open_folder", "Open a folder", _CASE, "Ctrl+Shift+O"),
    ActionSpec("open_live", "Open a live source", _CASE, "Ctrl+Shift+K"),
    ActionSpec("open_simulator", "Open the simulator", _CASE, "Ctrl+Shift+N"),
    ActionSpec("steer_it", "Steer this simulation yourself", _CASE, "Ctrl+Shift+M", None, ("live",)),
    _steer("probe_behind", "Probe: sweep away from you", _PROBE, "W", "W"),
    _steer("probe_front", "Probe: sweep towards you", _PROBE, "S", "S"),
    _steer("probe_left", "Probe: slide left", _PROBE, "A", "A"),
    _steer("probe_right", "Probe: slide right", _PROBE, "D", "D"),
    _steer("probe_rock_left", "Probe: rock left", _PROBE, "Q", "Q"),
    _steer("probe_rock_right", "Probe: rock right", _PROBE, "E", "E"),
    _steer("probe_tilt_behind", "Probe: tilt away from you", _PROBE, "R", "1"),
    _steer("probe_tilt_front", "Probe: tilt towards you", _PROBE, "F", "2"),
    _steer("probe_twist_left", "Probe: twist left", _PROBE, "Shift+Q", "3"),
    _steer("probe_twist_right", "Probe: twist right", _PROBE, "Shift+E", "4"),
    _steer("probe_press", "Probe: press", _PROBE, "V", "X"),
    _steer("probe_lift", "Probe: lift", _PROBE, "C", "C"),
    _steer("needle_in", "Needle: advance", _NEEDLE, "Down", "R"),
    _steer("needle_out", "Needle: withdraw", _NEEDLE, "Up", "F"),
    _steer("needle_steeper", "Needle: steeper", _NEEDLE, "Right", "T"),
    _steer("needle_flatter", "Needle: flatter", _NEEDLE, "Left", "G"),
    _steer("needle_swing_left", "Needle: swing left, seen from behind it", _NEEDLE, "Shift+Left", "V"),
    _steer("needle_swing_right", "Needle: swing right, seen from behind it", _NEEDLE, "Shift+Right", "B"),
    _steer("entry_left", "Entry: to the left, needle outside", _NEEDLE, ",", "Shift+A"),
    _steer("entry_right", "Entry: to the right, needle outside", _NEEDLE, ".", "Shift+D"),
    _steer("entry_behind", "Entry: away from you, needle outside", _NEEDLE, "Shift+Up", "Shift+W"),
    _steer("entry_front", "Entry: towards you, needle outside", _NEEDLE, "Shift+Down", "Shift+S"),
    _steer("needle_inject", "Needle: inject while held", _NEEDLE, "G", "Shift+R"),
    _steer("needle_fire", "Needle: fire the biopsy gun", _NEEDLE, "B", "Shift+F", hold=False),
    _steer("attempt_done", "The attempt is done", _ATTEMPT, "Return", "Shift+E", hold=False),
    _steer("attempt_again", "Try again on the same subject", _ATTEMPT, "Backspace", "Shift+Q", hold=False),
    _steer("hands_card", "Show or hide the hands", _ATTEMPT, "F1", "F1", hold=False),
    _annotate("accept", "Accept what is proposed on this frame", "V", "Q", hint="accept"),
    _annotate("accept_range", "Accept what is proposed in the range", "Shift+V", "Shift+Q", hint="range"),
    _annotate("reject", "Reject what is proposed on this frame", "X", hint="reject"),
    _annotate("reject_range", "Reject what is proposed in the range", "Shift+X"),
    _annotate("next_doubt", "Next doubtful frame", "N", hint="next in queue", modes=_DRAW),
    _annotate("labelled_back", "Previous labelled frame", ","),
    _annotate("labelled_on", "Next labelled frame", ".", hint="labelled frame"),
    _annotate("propagate_on", "Propagate forward over the range", "F", "Ctrl+F", hint="forward"),
    _annotate("propagate_back", "Propagate back over the range", "B", hint="back"),
    _annotate("teach", "Find the frames that would teach most", "T", hint="frames that teach"),
    _annotate("help_stop", "Stop proposing", "Ctrl+."),
    _annotate("undo", "Undo on this frame", "Ctrl+Z", hint="undo", modes=_DRAW),
    _annotate("redo", "Redo on this frame", "Ctrl+Shift+Z", modes=_DRAW),
    _annotate("erase", "Erase on this frame", "Delete", modes=_DRAW),
    _annotate("wider", "Wider brush or needle", "+", hint="wider", modes=_DRAW),
    _annotate("narrower", "Narrower brush or needle", "-", modes=_DRAW),
    _annotate("note", "Write a note on this frame", "C", "Shift+N", modes=_DRAW),
    _annotate("phase_next", "The next phase begins here", "P", modes=_DRAW),
    _annotate("ghost", "Show or hide the frame before", "G"),
    _annotate("magnifier", "Magnifier on or off", "Z", modes=_DRAW),
    _annotate("snap", "Snap needles to the bright line, or not", "S", modes=_DRAW),
    _annotate("clip_next", "Next clip of the worklist", "PgDown"),
    _annotate("clip_back", "Previous clip of the worklist", "PgUp"),
    _annotate("clip_done", "This clip is done", "Ctrl+Return"),
    _annotate("brighter", "Brighten the view", "Ctrl+Up", modes=_DRAW),
    _annotate("darker", "Darken the view", "Ctrl+Down", modes=_DRAW),
    _annotate("adjudicate", "Make one of two readings, or leave", "Ctrl+J", modes=_DRAW),
    *(_digit(number, absent=False) for number in range(10)),
    *(_digit(number, absent=True) for number in range(10)),
    _adjudicate("take_a", "Take what the first reader says", "A", hint="take the first"),
    _adjudicate("take_b", "Take what the second reader says", "B", hint="the second"),
    _adjudicate("draw_own", "Draw it yourself", "D", "W", hint="draw my own"),
    _adjudicate("both_absent", "It is absent: neither of the two", "0", hint="absent"),
    _adjudicate("difference_back", "The difference before", "Shift+N", "M"),
    _adjudicate("readings_shown", "Show both readings, or one alone", "E", hint="one alone"),
    _adjudicate("consensus_export", "Export the consensus", "Ctrl+E"),
    _model("model_use", "Use the model that is shown", "Ctrl+U", hint="use this model"),
    _model("model_back", "Go back to the model before", "Ctrl+Shift+U"),
    _model("model_train", "Plan a training from the model that is shown", "Ctrl+T", hint="train"),
    _model("training_start", "Start the training that is planned", "Ctrl+Return", hint="start"),
    _model("training_pause", "Pause the training that is shown, or resume it", "Space", hint="pause, resume"),
    _model("training_cancel", "Cancel the training that is shown, asked twice", "Ctrl+."),
    _model("training_remove", "Remove the training that is shown, asked twice", "Ctrl+Delete"),
    _model("training_stop", "Stop making the dataset of a training", "Ctrl+Shift+."),
    _model("models_back", "Leave the plan or the question", "Backspace"),
    ActionSpec("mode_live", "Live", _WINDOW, "Ctrl+1"),
    ActionSpec("mode_review", "Review", _WINDOW, "Ctrl+2"),
    ActionSpec("mode_annotate", "Annotate", _WINDOW, "Ctrl+3"),
    ActionSpec("mode_models", "Models", _WINDOW, "Ctrl+4"),
    ActionSpec("panel_left", "Show or hide the sources", _WINDOW, "Ctrl+Shift+L"),
    ActionSpec("panel_right", "Show or hide the inspector", _WINDOW, "Ctrl+Shift+I"),
    ActionSpec("full_screen", "Full screen", _WINDOW, "F11"),
    ActionSpec("second_screen", "Picture on a second screen", _WINDOW, "Ctrl+F11"),
    ActionSpec("settings", "Settings", _WINDOW, "Ctrl+,"),
    ActionSpec("keys", "All keys", _WINDOW, "?", hint="all keys"),
    ActionSpec("escape", "Put the tool down, close what is open", _WINDOW, "Esc"),
    ActionSpec("quit", "Quit", _WINDOW, "Ctrl+Q"),
)

SPECS: Mapping[str, ActionSpec] = {spec.id: spec for spec in ACTIONS}


def keys_of(key_set: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the key of every action: the user's own where there is one, else the key set's.

    An empty string of the user's own takes the key away.
    """
    return {spec.id: own.get(spec.id, spec.default_key(key_set)) for spec in ACTIONS}


def find_conflict(action_id: str, key: str, keys: Mapping[str, str]) -> str | None:
    """Return the id of another action that has this key already in a mode where both work, or None."""
    wanted = QKeySequence(key)
    if wanted.isEmpty():
        return None
    for other, other_key in keys.items():
        if other != action_id and QKeySequence(other_key) == wanted and meet(SPECS[other], SPECS[action_id]):
            return other
    return None


def meet(one: ActionSpec, other: ActionSpec) -> bool:
    """Tell whether two actions work in a common mode."""
    return not one.modes or not other.modes or bool(set(one.modes) & set(other.modes))


def key_words(key: str) -> str:
    """Return a key as this machine's keyboards name it, with arrows as arrows."""
    *modifiers, last = key.split("+") if key and not key.endswith("+") else [key]
    if last not in _DRAWN:
        return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
    # Qt names a modifier only together with a key, so it is asked with one that is easy to cut off again.
    named = QKeySequence("+".join([*modifiers, "A"])).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{named[:-1].rstrip('+')} {_DRAWN[last]}".strip()


_DRAWN = {"Return": "Enter", "Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}
