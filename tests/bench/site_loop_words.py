"""Words of the tables of `site_loop`: what a site is, what its figures are called."""

from __future__ import annotations

from typing import Any

TITLES = {
    "tip-same-machine": "A, B and C", "tip-unseen-machine": "D and E (kept for tests)",
    "no-needle": "A to E without a needle", "tip-real-background": "needles in real stills",
    "real-background-negatives": "real stills without a needle",
}
FIGURES = (
    ("tip_within_2mm", "tip within 2 mm [%]", 100.0), ("miss_rate", "misses [%]", 100.0),
    ("false_alarm_rate", "false alarms [%]", 100.0), ("tip_error_mm", "tip error, median [mm]", 1.0),
    ("coverage90", "in their 90 % circle [%]", 100.0), ("ece", "calibration error [%]", 100.0),
)
SITES = {
    "F": "Machine F is a site: a handheld look.",
    "G": "Machine G is a site: a coarse curved probe of low contrast, with long persistence. It was made for this, and"
         " chosen by one look at what the shipped model says of 30 subjects that judge nothing here.",
}
NOTES = {
    "F": "",
    "G": "\n\nA first run, with `tip_site` as it was (33,600 samples, held half as firmly to what was known), went 46 %"
         " of the way below (27 to 68) and cost A to C 1.5 points (-0.4 to 4.5). The recipe was then changed by other"
         " subjects of G (seeds 881000 on) and by tune splits, and smooth pictures of G are no longer withheld as no"
         " ultrasound. A second run, the same but for the circles, held 71.7 % of the tips of G in them; they are"
         " widened by the frames that taught now. Shares and weights were not chosen by the subjects that judge.",
}
HEADER = """# The loop back into the model, closed once on machine {m}

Everything here is simulated. {site} Neither it nor its subjects were in any training of the model that ships, {base}.

20 subjects with 15 labelled frames each, 300 in all, are what somebody labels in an afternoon: 16 subjects teach, 4
set what is kept, and the frames in between have no label. `tip_site` retrains the shipped model on them as Models mode
does it. What it is compared with is the same recipe on 400 subjects of {m}, 9,600 labelled frames, nearly three times
as long and with less held back for other machines. Intervals are 95 %, over clips; changes are paired. A silent frame
with a tip counts as not within 2 mm.{note}

`PYTHONPATH=app python tests/bench/site_loop.py --machine {m} --out DIR`"""


def head_of(machine: str, base: str) -> str:
    """Return what stands above the tables."""
    return HEADER.format(m=machine, base=base, site=SITES[machine], note=NOTES[machine])


def told(estimate: Any, scale: float) -> str:
    """A figure with its interval."""
    if estimate is None or estimate.value is None:
        return "-"
    digits = 1 if scale == 100.0 else 2
    value = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None:
        return value
    return f"{value} ({scale * estimate.low:.{digits}f} to {scale * estimate.high:.{digits}f})"
