"""`puncta run SESSION --compare`: another analysis of a session beside the one that was recorded with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from puncta.core.errors import UserError
from puncta.session.compare import (
    ANALYSES,
    compare_results,
    next_analysis_file,
    spacing_of_session,
    table_of,
    write_differences,
)
from puncta.session.export import findings_of, own_results, session_folder
from puncta.session.run import RunRequest, RunSummary, check_output
from puncta.sources.factory import open_source


def tidy_comparison(request: RunRequest) -> None:
    """Take the folder for a session's further analyses away again where a run that failed left it empty."""
    results = request.results
    if results is not None and results.parent.name == ANALYSES:
        with contextlib.suppress(OSError):  # something lies in it
            results.parent.rmdir()


def prepare_comparison(
    request: RunRequest, compare: str | None, differences: Path | None
) -> tuple[RunRequest, Callable[[RunSummary], None] | None]:
    """Return the request with a place for its results, and what prints the comparison afterwards.

    Without --results the new analysis is kept in the session, beside what was recorded, which stays as it is.

    Raises
    ------
    UserError
        Nothing to compare with, or no place for the results.
    """
    if compare is None:
        if differences is not None:
            raise UserError("--differences belongs to --compare; give both.")
        return request, None
    folder = session_folder(request.uri)
    if compare == "" and (folder is None or own_results(request.uri) is None):
        open_source(request.uri).close()  # where there are no pictures, that is what is wrong
        raise UserError("Nothing was recorded to compare with; name a file of results after --compare.")
    if folder is None and request.results is None:
        raise UserError("Name a file for the new results with --results.")
    earlier = Path(compare) if compare else own_results(request.uri)
    first = findings_of(request.uri, earlier)
    if differences is not None:
        check_output(differences, request.uri, replace=request.replace)
    target = request.results
    if target is None and folder is not None:
        target = next_analysis_file(folder, request.plugins, request.models)
    changed = replace(request, results=target)

    def show(summary: RunSummary) -> None:
        second = findings_of(request.uri, target)
        spacing = spacing_of_session(folder) if folder is not None else lambda _index: None
        shown = {index: line for index, line in first.items() if index in second}
        names = (earlier.name if compare and earlier is not None else "recorded", "this run")
        comparison = replace(compare_results(shown or first, second, spacing), names=names)
        for line in table_of(comparison):
            print(line)
        if differences is not None:
            write_differences(differences, comparison, simulated=summary.info.simulated)
            print(f"  wrote {differences}")

    return changed, show
