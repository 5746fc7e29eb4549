"""Follows tissue under a point of the picture from frame to frame, and knows how far off it may be.

Motion comes from a grid of points round the place, each followed by pyramidal optical flow (Lucas and Kanade 1981;
Bouguet 2000) forth and back, and one robust similarity through them. Drift would add up from frame to frame, so the
place is also looked up in *keys*: earlier pictures whose own doubt is known, the first of them the one it was set on.

Speckle changes when the image plane moves across the tissue: the correlation of the speckle falls like a Gaussian of
that way (Chen, Fowlkes, Carson and Rubin 1997, "Determination of scan-plane motion using speckle decorrelation"), so
what is left of it tells how far the plane has gone, roughly. Place and plane together are the doubt; past `LIMIT_MM`
the target is lost, and it is found again only where a key with little doubt shows again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import PointPx

LIMIT_MM = 3.0
"""A target that may be further off than this is lost [mm]."""
LIMIT_SHARE = 0.05
"""The same where no millimetres are known, as a share of the region's longer side."""
NINETY = 2.146
"""Radius that holds 90 of 100 draws of a round two-dimensional normal error, in its standard deviations."""
WORK_PX = 420
"""The region's longer side is reduced to this [px]: speckle stays, the search takes a millisecond."""
REACH_SHARE = 0.085
"""Half the side of the square of tissue that is followed, as a share of the region's longer side."""
GRID = 6
WINDOW, LEVELS = (17, 17), 3
MARGIN_PX = 40
"""Tissue may move so far between two frames and still be found [work px]."""
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02)
PLANE_MM = (0.9, 1.6)
"""Way across the picture over which speckle loses its likeness [mm] (one standard deviation of the Gaussian): for
fine speckle, and the most that is assumed for coarse speckle, since a beam that is wide in the picture is wide across
it. Set on simulated sweeps of machines A, B, C and E."""
FINE_MM = 0.5
"""Speckle whose likeness falls to a half within this way sideways [mm] is fine."""
PLANE_DOUBT = 1.2
"""The way across is known to about a fifth, and a target beside the plane is as far off as one beside its place."""
ALIKE = 0.72
"""Below this likeness to the best key, a new key is made."""
GONE = 0.33
"""Below this likeness to every key the plane is another one."""
FOUND = 0.5
"""A lost target is found again at this likeness to a key of little doubt. Below it a key is weak: borders and chance
keep a likeness of 0.4 to the first key however far the plane has gone, so a weak key is asked only where there is no
other."""
FOUND_SHARE = 0.7
"""... and a doubt below this share of the limit, so that it does not flicker at it."""
PATIENCE = 4
"""So many frames in a row may look unlike all keys before the target is lost (a flash, a moving needle)."""
KEYS = 12
BLOCK_PX, BLOCK_SHARE = 21, 0.35
"""Likeness is that of this quantile of blocks of this side: borders between layers look alike far across the plane,
speckle does not, and a needle covers a few blocks only."""
Picture = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TissueFix:
    """Where the tissue is on one frame.

    Attributes
    ----------
    point_px : point or None
        Place [px of the picture]; None where it is lost.
    doubt_px : float
        Radius that holds it 9 times in 10 [px], its way out of the plane counted in.
    likeness : float
        0..1, how much the speckle still is that of the best key.
    reason : str
        Why it is lost: "plane", "doubt", "outside"; empty while it is followed.
    """

    point_px: PointPx | None
    doubt_px: float
    likeness: float
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Key:
    """A picture on which the place is known: in the plane to ``sigma_px``, across it to ``off_mm``."""

    look: Picture
    place: NDArray[np.float64]
    sigma_px: float
    off_mm: float


@dataclass(frozen=True, slots=True)
class _Match:
    place: NDArray[np.float64]
    spread_px: float
    share: float
    likeness: float


class TissueFollower:
    """Follows one point. Give it every frame in order; it may miss some.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
        Picture on which the point was set.
    region : (x0, y0, w, h) [px]
        Ultrasound region; nothing outside it is looked at.
    point_px : (x, y) [px]
    mm_per_px : (x, y) or None
    """

    def __init__(
        self,
        grey: Picture,
        region: tuple[int, int, int, int],
        point_px: PointPx,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        self.region = region
        x0, y0, w, h = region
        self.mm_per_px = mm_per_px
        sx, sy = mm_per_px or (1.0, 1.0)
        longest = max(w * sx, h * sy)
        self._unit = longest / WORK_PX
        """Unit (mm, or px) of one work pixel; work pixels are square in it."""
        self._zoom = (sx / self._unit, sy / self._unit)
        self._size = (max(16, round(w * self._zoom[0])), max(16, round(h * self._zoom[1])))
        self._reach = REACH_SHARE * WORK_PX
        self.limit = LIMIT_MM if mm_per_px else LIMIT_SHARE * longest
        look = self._look(grey)
        zx, zy = self._zoom
        place = np.array([(point_px[0] - x0 + 0.5) * zx - 0.5, (point_px[1] - y0 + 0.5) * zy - 0.5])
        self._keys = [_Key(look, place, 0.0, 0.0)]
        self._last, self._place, self._sigma = look, place, 0.0
        self._steady = 1.0
        self._unlike, self._off_mm = 0, 0.0
        self._lost = ""
        self._plane_mm = float(np.clip(PLANE_MM[0] * self._grain(look, place) * self._mm / FINE_MM, *PLANE_MM))
        self.fix = TissueFix(point_px, 0.0, 1.0)

    def step(self, grey: Picture) -> TissueFix:
        """Follow to the next frame."""
        look = self._look(grey)
        moved = self._match(self._last, look, self._place, np.zeros(2))
        place, sigma = self._place, self._sigma
        if moved is not None:
            place, sigma = moved.place, math.hypot(sigma, 0.15 + moved.spread_px)
            self._steady = max(0.5, min(1.0, 0.97 * self._steady + 0.03 * moved.likeness, 1.0))
        else:
            sigma = math.hypot(sigma, 1.5)
        place, sigma, off_mm, likeness = self._look_up(look, place, sigma)
        self._last, self._place, self._sigma = look, place, sigma
        self.fix = self._judge(off_mm, likeness)
        if not self._lost and likeness < ALIKE * self._steady:
            self._add_key(_Key(look, place, sigma, off_mm))
        return self.fix

    # --- inside ------------------------------------------------------------------------------------------------

    def _look(self, grey: Picture) -> Picture:
        x0, y0, w, h = self.region
        cut = grey[y0 : y0 + h, x0 : x0 + w]
        return np.asarray(cv2.resize(cut, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def _match(self, before: Picture, after: Picture, place: NDArray, guess: NDArray) -> _Match | None:
        """Return where a place of one look is on another; None where too few points agree."""
        steps = np.linspace(-self._reach, self._reach, GRID)
        gx, gy = np.meshgrid(place[0] + steps, place[1] + steps)
        points = np.stack([gx.ravel(), gy.ravel()], -1).astype(np.float32)
        inside = (points[:, 0] > 2) & (points[:, 1] > 2)
        inside &= (points[:, 0] < self._size[0] - 3) & (points[:, 1] < self._size[1] - 3)
        points = points[inside]
        if len(points) < GRID:
            return None
        near = self._window(place, guess)
        if near is None:
            return None
        one, two = before[near[0]], after[near[1]]
        here = points - np.float32([near[0][1].start, near[0][0].start])
        there = points + guess.astype(np.float32) - np.float32([near[1][1].start, near[1][0].start])
        flow = {"winSize": WINDOW, "maxLevel": LEVELS, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW, "criteria": CRITERIA}
        there, ok, _ = cv2.calcOpticalFlowPyrLK(one, two, here, there, None, None, **flow)
        back, ok2, _ = cv2.calcOpticalFlowPyrLK(two, one, there, here.copy(), None, None, **flow)
        there += np.float32([near[1][1].start, near[1][0].start])
        back += np.float32([near[0][1].start, near[0][0].start])
        good = (ok.ravel() > 0) & (ok2.ravel() > 0) & (np.hypot(*(back - points).T) < 1.0)
        if good.sum() < max(6, 0.25 * len(points)):
            return None
        cv2.setRNGSeed(1)
        form, used = cv2.estimateAffinePartial2D(
            points[good], there[good], method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=200
        )
        if form is None or not 0.7 < math.hypot(form[0, 0], form[1, 0]) < 1.4:
            return None
        kept = used.ravel() > 0
        if kept.sum() < 6:
            return None
        off = there[good][kept] - (points[good][kept] @ form[:, :2].T + form[:, 2])
        spread = float(np.sqrt((off * off).mean()) / math.sqrt(kept.sum() / 4.0))
        found = form[:, :2] @ place + form[:, 2]
        return _Match(found, spread, float(kept.sum()) / len(points), self._likeness(before, after, place, form))

    def _window(self, place: NDArray, guess: NDArray) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Cut-outs of two pictures round a place and where it is guessed to have gone; of one size, inside both."""
        gx, gy = (int(round(v)) for v in guess)
        half = int(self._reach) + MARGIN_PX
        cx, cy = int(round(place[0])), int(round(place[1]))
        width, height = self._size
        x0, x1 = max(0, cx - half, -gx), min(width, cx + half + 1, width - gx)
        y0, y1 = max(0, cy - half, -gy), min(height, cy + half + 1, height - gy)
        if x1 - x0 < 2 * WINDOW[0] or y1 - y0 < 2 * WINDOW[1]:
            return None
        return (slice(y0, y1), slice(x0, x1)), (slice(y0 + gy, y1 + gy), slice(x0 + gx, x1 + gx))

    def _likeness(self, before: Picture, after: Picture, place: NDArray, form: NDArray) -> float:
        """Correlation of the speckle round a place, over blocks that lie in the picture."""
        half = int(self._reach) + 6
        x, y = int(round(place[0])) - half, int(round(place[1])) - half
        x1, y1 = min(self._size[0], x + 2 * half + 1), min(self._size[1], y + 2 * half + 1)
        x, y = max(0, x), max(0, y)
        if x1 - x < 24 or y1 - y < 24:
            return 0.0
        shift = form.copy()
        shift[:, 2] += form[:, :2] @ np.array([x, y], float)
        warped = cv2.warpAffine(
            after, shift, (x1 - x, y1 - y), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=0,
        )
        mine, theirs = _speckle(before[y:y1, x:x1]), _speckle(np.asarray(warped, np.uint8))
        size = BLOCK_PX
        values = []
        for top in range(0, mine.shape[0] - size + 1, size):
            for left in range(0, mine.shape[1] - size + 1, size):
                a = mine[top : top + size, left : left + size].ravel()
                b = theirs[top : top + size, left : left + size].ravel()
                a, b = a - a.mean(), b - b.mean()
                power = float(a @ a) * float(b @ b)
                values.append(float(a @ b) / math.sqrt(power) if power > 1e-6 else 0.0)
        return float(np.quantile(values, BLOCK_SHARE))

    def _grain(self, look: Picture, place: NDArray) -> int:
        """Way sideways over which the picture's likeness to itself falls to a half [work px]."""
        x, y, half = int(place[0]), int(place[1]), int(self._reach)
        patch = look[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1].astype(np.float32)
        fine = patch - cv2.blur(patch, (25, 25))
        power = float((fine * fine).mean())
        if power < 1e-3:
            return half
        likeness = ((k, float((fine[:, k:] * fine[:, :-k]).mean()) / power) for k in range(1, patch.shape[1] // 2))
        return next((k for k, alike in likeness if alike < 0.5), half)

    def _look_up(self, look: Picture, place: NDArray, sigma: float) -> tuple[NDArray, float, float, float]:
        """Compare with the keys; return place, its standard error, way across the plane, and the best likeness."""
        best: tuple[tuple[bool, float], _Key, _Match, float] | None = None
        likeness = 0.0
        for key in self._worth_trying():
            match = self._match(key.look, look, key.place, place - key.place)
            if match is None:
                continue
            likeness = max(likeness, match.likeness)
            if match.likeness < GONE:
                continue
            fair = min(1.0, match.likeness / self._steady)
            # A probe that sweeps goes the same way from key to key, so the ways add up.
            off_mm = key.off_mm + self._plane_mm * math.sqrt(max(0.0, -2.0 * math.log(fair)))
            own = math.hypot(key.sigma_px, 0.3 + match.spread_px + 1.2 * (1.0 - fair))
            rank = (match.likeness < FOUND, math.hypot(own * self._mm, off_mm))
            if best is None or rank < best[0]:
                best = (rank, key, match, off_mm)
        if best is None:
            return place, sigma, self._off_mm + 0.4, likeness
        _rank, key, match, off_mm = best
        fair = min(1.0, match.likeness / self._steady)
        own = math.hypot(key.sigma_px, 0.3 + match.spread_px + 1.2 * (1.0 - fair))
        if not self._lost and np.hypot(*(match.place - place)) > 3.0 * math.hypot(own, sigma) + 2.0:
            return place, sigma, off_mm, match.likeness
        if self._lost or own < sigma:
            place, sigma = match.place, own
        return place, sigma, off_mm, match.likeness

    def _worth_trying(self) -> list[_Key]:
        """The first key, and the newest two; while lost, only keys of little doubt, the first always among them."""
        if self._lost:
            return [self._keys[0], *(key for key in self._keys[1:][-3:] if key.off_mm < 0.5 * LIMIT_MM)]
        return list(dict.fromkeys([self._keys[0], *self._keys[-2:]]))

    def _add_key(self, key: _Key) -> None:
        self._keys.append(key)
        if len(self._keys) > KEYS:
            del self._keys[1]

    @property
    def _mm(self) -> float:
        """Millimetres of a work pixel; without a calibration, so that 3 mm are the limit."""
        return self._unit if self.mm_per_px else self._unit * LIMIT_MM / self.limit

    def _judge(self, off_mm: float, likeness: float) -> TissueFix:
        self._off_mm = min(off_mm, 2.0 * LIMIT_MM)
        doubt_mm = math.hypot(NINETY * self._sigma * self._mm, PLANE_DOUBT * off_mm)
        x, y = self._place
        outside = not (-0.5 <= x <= self._size[0] - 0.5 and -0.5 <= y <= self._size[1] - 0.5)
        self._unlike = self._unlike + 1 if likeness < GONE else 0
        if self._lost:
            if likeness >= FOUND and doubt_mm < FOUND_SHARE * LIMIT_MM and not outside:
                self._lost = ""
        elif outside:
            self._lost = "outside"
        elif self._unlike > PATIENCE:
            self._lost = "plane"
        elif doubt_mm > LIMIT_MM:
            self._lost = "plane" if off_mm > NINETY * self._sigma * self._mm else "doubt"
        doubt_px = doubt_mm / self._mm / ((self._zoom[0] + self._zoom[1]) / 2)
        if self._lost:
            return TissueFix(None, doubt_px, likeness, self._lost)
        x0, y0, _, _ = self.region
        point = ((x + 0.5) / self._zoom[0] - 0.5 + x0, (y + 0.5) / self._zoom[1] - 0.5 + y0)
        return TissueFix((float(point[0]), float(point[1])), doubt_px, likeness)


def _speckle(grey: Picture) -> Float32:
    """Bring out what is fine, alike in bright and dark; clipped, so that a needle speaks no louder than tissue."""
    fine = grey.astype(np.float32)
    fine -= cv2.blur(fine, (13, 13))
    power = cv2.blur(fine * fine, (25, 25))
    return np.asarray(np.clip(fine / np.sqrt(power + 4.0), -2.0, 2.0), np.float32)
