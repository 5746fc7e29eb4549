"""Opens models. The reference runtime is ONNX Runtime on the CPU; it releases the GIL while it computes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.inference.loaded import LoadedModel, Tuning
from puncta.inference.openvino_session import open_openvino
from puncta.inference.registry import ModelCard, read_verified
from puncta.sdk.context import TensorSpec

__all__ = ["LoadedModel", "OrtSession", "Tuning", "available_providers", "open_session", "runtime_version"]

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}


class OrtSession(LoadedModel):
    """A model in ONNX Runtime."""

    def __init__(self, session: ort.InferenceSession, card: ModelCard, sha256: str, tuning: Tuning) -> None:
        self._session = session
        self._names = [o.name for o in session.get_outputs()]
        for output in session.get_outputs():
            _dtype(output.type, card)
        super().__init__(
            card,
            sha256,
            tuning,
            {TensorSpec(i.name, _shape(i.shape)): _dtype(i.type, card) for i in session.get_inputs()},
            tuple(TensorSpec(o.name, _shape(o.shape)) for o in session.get_outputs()),
        )

    def _compute(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return self._session.run(self._names, dict(feeds))


def _shape(shape: list[Any]) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) and d >= 0 else -1 for d in shape)


def _dtype(kind: str, card: ModelCard) -> type[np.generic]:
    if kind not in _DTYPES:
        raise UserError(f'The model "{card.identity}" uses {kind}, which Puncta does not feed; export it with tensors.')
    return _DTYPES[kind]


def available_providers() -> tuple[str, ...]:
    """The reference, "cpu", and "openvino" where that optional package is installed."""
    return ("cpu", "openvino") if importlib.util.find_spec("openvino") else ("cpu",)


def runtime_version() -> str:
    """Version of ONNX Runtime."""
    return str(ort.__version__)


def open_session(card: ModelCard, tuning: Tuning | None = None) -> LoadedModel:
    """Load a model: read its file, check its hash, and give the very bytes that were hashed to the runtime.

    Parameters
    ----------
    tuning : Tuning or None
        None is the careful default: one thread, CPU, the reference file.

    Raises
    ------
    UserError
        The file is absent or changed, the runtime cannot open it, or the settings do not exist here.
    """
    tuning = tuning or Tuning()
    if tuning.provider not in available_providers():
        raise UserError(
            f'The provider "{tuning.provider}" is not installed here; there are: {", ".join(available_providers())}.'
        )
    entry = card.file_of(tuning.precision)
    data = read_verified(card, entry)
    if tuning.provider == "openvino":
        return open_openvino(data, card, entry.sha256, tuning)
    try:
        session = ort.InferenceSession(data, _options(tuning), providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises classes of its own without a common base.
        why = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f'The model "{card.identity}" cannot be opened by ONNX Runtime {runtime_version()}: {why}.'
        ) from error
    return OrtSession(session, card, entry.sha256, tuning)


def _options(tuning: Tuning) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, tuning.threads)
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.use_deterministic_compute = tuning.repeatable
    options.log_severity_level = 3
    return options
