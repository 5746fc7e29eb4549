"""Which plugin speaks for the needle of a picture, so that one needle is drawn and read out once."""

from __future__ import annotations

from puncta.core.results import Analysis, Detection, MaskResult, PluginOutput


def found_tip(output: PluginOutput) -> Detection | None:
    """The tip that an output found; None where it found none."""
    return next((r for r in output.results if isinstance(r, Detection) and r.tip_px is not None), None)


def spoken_for(analysis: Analysis) -> frozenset[str]:
    """Plugins whose needle another one shows better.

    Who tracks its mask speaks for it. Where that plugin has lost it and one that finds tips has not, that one does.
    """
    finders = [o for o in analysis.outputs if any(isinstance(r, Detection) for r in o.results)]
    maskers = [o for o in finders if any(isinstance(r, MaskResult) for r in o.results)]
    if not maskers or len(finders) < 2:
        return frozenset()
    best = next((o for o in (*maskers, *finders) if found_tip(o) is not None), maskers[0])
    return frozenset(o.plugin_id for o in finders if o is not best)
