"""Which part of the picture is shown, and how large: magnified about a point, and panned so that it stays in sight."""

from __future__ import annotations

from puncta.core.geometry import PointPx, ViewTransform, fit_view

Size = tuple[int, int]
ZOOM_LIMITS = (1.0, 16.0)


class Magnified:
    """The choice of a viewer; sizes of picture [px] and widget [display px] are told with every question.

    Attributes
    ----------
    zoom : float
        1 shows the whole picture.
    ratio : float
        Device pixels a display pixel. The whole picture begins at the corner of a device pixel, so that it can be
        painted without another scaling.
    """

    def __init__(self) -> None:
        self.zoom = 1.0
        self.ratio = 1.0
        self._centre_px: PointPx | None = None

    def transform(self, picture: Size, widget: Size) -> ViewTransform:
        """From source pixels to widget positions."""
        at_least = [(max(1, width), max(1, height)) for width, height in (picture, widget)]
        view = fit_view(at_least[0], at_least[1], self.zoom, self._centre_px)
        if self.zoom != 1.0:
            return view
        x, y = (round(value * self.ratio) / self.ratio for value in view.offset)
        return ViewTransform(view.scale, (x, y))

    def fit(self) -> None:
        """Show the whole picture."""
        self.zoom, self._centre_px = 1.0, None

    def zoom_by(self, factor: float, anchor: tuple[float, float], picture: Size, widget: Size) -> None:
        """Magnify about a widget position; the point of the picture that is there stays there."""
        held = self.transform(picture, widget).image_from_display(anchor)
        self.zoom = min(ZOOM_LIMITS[1], max(ZOOM_LIMITS[0], self.zoom * factor))
        if self.zoom == 1.0:
            self._centre_px = None
        else:
            scale = self.transform(picture, widget).scale
            self._centre_px = (
                held[0] + (widget[0] / 2 - anchor[0]) / scale,
                held[1] + (widget[1] / 2 - anchor[1]) / scale,
            )
        self.keep_in_sight(picture)

    def pan(self, by: tuple[float, float], picture: Size, widget: Size) -> bool:
        """Move the picture by a way on the widget; False where all of it is shown, so that nothing can move."""
        if self.zoom <= 1.0:
            return False
        view = self.transform(picture, widget)
        self._centre_px = view.image_from_display((widget[0] / 2 - by[0], widget[1] / 2 - by[1]))
        self.keep_in_sight(picture)
        return True

    def keep_in_sight(self, picture: Size) -> None:
        """Keep the middle of the widget on the picture."""
        if self._centre_px is not None:
            x, y = self._centre_px
            self._centre_px = (min(picture[0] - 1.0, max(0.0, x)), min(picture[1] - 1.0, max(0.0, y)))
