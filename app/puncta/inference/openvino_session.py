"""The same models in OpenVINO: an optional package, used where measuring finds it faster and its outputs agree."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.inference.loaded import LoadedModel, Tuning
from puncta.inference.registry import ModelCard
from puncta.sdk.context import TensorSpec


class OpenVinoSession(LoadedModel):
    """A model in OpenVINO."""

    def __init__(self, compiled: Any, card: ModelCard, sha256: str, tuning: Tuning) -> None:
        self._request = compiled.create_infer_request()
        super().__init__(
            card,
            sha256,
            tuning,
            {_spec(port): port.element_type.to_dtype().type for port in compiled.inputs},
            tuple(_spec(port) for port in compiled.outputs),
        )

    def _compute(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        # Without the copy a result would be a view into memory that the next run overwrites.
        results = self._request.infer(dict(feeds), share_inputs=True, share_outputs=False)
        return [results[number] for number in range(len(self.outputs))]


def _spec(port: Any) -> TensorSpec:
    shape = tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape)
    return TensorSpec(port.get_any_name(), shape)


def open_openvino(data: bytes, card: ModelCard, sha256: str, tuning: Tuning) -> OpenVinoSession:
    """Compile a model from the bytes that were checked.

    Raises
    ------
    UserError
        OpenVINO does not start here, or cannot open the model.
    """
    # OpenVINO reports its use over the network through this module and runs without it; nothing leaves this machine.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise UserError(f"OpenVINO is installed but does not start ({error}); install it again.") from error
    settings = {"INFERENCE_NUM_THREADS": tuning.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    try:
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(data), "CPU", settings)
    except Exception as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise UserError(f'The model "{card.identity}" cannot be opened by OpenVINO: {why}.') from error
    return OpenVinoSession(compiled, card, sha256, tuning)
