"""Writes the golden samples: small, hand-made, all labelled simulated or made up. Run from the project's top folder."""

from __future__ import annotations

import sys
from pathlib import Path

from samples_of_clips import (
    make_attempt,
    make_coco,
    make_dataset,
    make_frame_key,
    make_label_set,
    make_moves,
    make_pack,
    make_results,
    make_session,
    make_truth,
)
from samples_of_models import (
    make_bench,
    make_comparison,
    make_dataset_spec,
    make_evaluation,
    make_experiment,
    make_flag_study,
    make_mask_study,
    make_plugin,
    make_progress,
    make_promotions,
    make_registry,
    make_study,
    make_training,
)

MAKERS = {
    "frame-key": make_frame_key,
    "results": make_results,
    "dataset": make_dataset,
    "coco": make_coco,
    "label-set": make_label_set,
    "truth": make_truth,
    "session": make_session,
    "training-folder": make_training,
    "experiment": make_experiment,
    "study": make_study,
    "study-mask": make_mask_study,
    "study-flags": make_flag_study,
    "dataset-spec": make_dataset_spec,
    "progress": make_progress,
    "evaluation": make_evaluation,
    "plugin-manifest": make_plugin,
    "model-registry": make_registry,
    "promotions": make_promotions,
    "comparison": make_comparison,
    "bench": make_bench,
    "moves": make_moves,
    "attempt": make_attempt,
    "case-pack": make_pack,
}


def main(top: Path) -> None:
    for name, make in MAKERS.items():
        folder = top / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
