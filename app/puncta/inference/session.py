"""One model, loaded and verified, ready to run. ONNX Runtime releases the GIL while it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.inference.registry import ModelCard, read_verified
from puncta.sdk.context import TensorSpec

_PROVIDERS = {"cpu": "CPUExecutionProvider", "openvino": "OpenVINOExecutionProvider"}
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


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a session computes. Spinning is always off: it would starve the window's timer.

    Attributes
    ----------
    threads : int
        Threads inside an operator.
    provider : str
        "cpu" or "openvino".
    precision : str or None
        Which of the model's files; None is the reference file of its card.
    repeatable : bool
        Ask the runtime for kernels whose results repeat to the last bit.
    """

    threads: int = 1
    provider: str = "cpu"
    precision: str | None = None
    repeatable: bool = False

    @classmethod
    def deterministic(cls) -> Tuning:
        """Settings of `run` and `evaluate`: one thread, CPU, the card's precision; results repeat byte for byte."""
        return cls(threads=1, repeatable=True)

    def words(self) -> str:
        """Say it in a few words, "cpu, 2 threads, fp32"."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.provider}, {threads}, {self.precision or 'reference file'}"


class OrtSession:
    """A model in ONNX Runtime; implements ``puncta.sdk.context.ModelSession``. Used by one thread at a time."""

    def __init__(self, session: ort.InferenceSession, card: ModelCard, sha256: str, tuning: Tuning) -> None:
        self._session = session
        self._card = card
        self._sha256 = sha256
        self.tuning = tuning
        self._dtypes = {i.name: _dtype(i.type, card) for i in session.get_inputs()}
        for output in session.get_outputs():
            _dtype(output.type, card)
        self._inputs = tuple(TensorSpec(i.name, _shape(i.shape)) for i in session.get_inputs())
        self._outputs = tuple(TensorSpec(o.name, _shape(o.shape)) for o in session.get_outputs())

    @property
    def identity(self) -> str:
        """Identity and version, "tip-ut 0.1"."""
        return self._card.identity

    @property
    def sha256(self) -> str:
        """Hash of the file that was loaded."""
        return self._sha256

    @property
    def spec(self) -> Mapping[str, Any]:
        """The registry's `input` table of the model."""
        return self._card.input

    @property
    def card(self) -> ModelCard:
        """All that the registry says about the model."""
        return self._card

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the graph."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the graph."""
        return self._outputs

    def dtype_of(self, input_name: str) -> type[np.generic]:
        """Element type of an input of the graph."""
        return self._dtypes[input_name]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run once; outputs of floating type come as float32.

        Raises
        ------
        ValueError
            A feed's name, type or shape does not fit the graph.
        """
        self._check(feeds)
        names = [o.name for o in self._outputs]
        values = self._session.run(names, {name: np.ascontiguousarray(value) for name, value in feeds.items()})
        return {
            name: value.astype(np.float32, copy=False) if value.dtype.kind == "f" else value
            for name, value in zip(names, values)
        }

    def _check(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        wanted = {i.name for i in self._inputs}
        if set(feeds) != wanted:
            given = ", ".join(sorted(feeds)) or "nothing"
            raise ValueError(f"the model {self.identity} takes {', '.join(sorted(wanted))}, not {given}")
        for spec in self._inputs:
            value = feeds[spec.name]
            dtype = self._dtypes[spec.name]
            if not isinstance(value, np.ndarray) or value.dtype != dtype:
                kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
                raise ValueError(f"{spec.name} of {self.identity} must be an array of {np.dtype(dtype)}, not {kind}")
            fits = len(value.shape) == len(spec.shape) and all(w in {-1, h} for w, h in zip(spec.shape, value.shape))
            if not fits:
                raise ValueError(f"{spec.name} of {self.identity} must have shape {spec.shape}, not {value.shape}")


def _shape(shape: list[Any]) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) and d >= 0 else -1 for d in shape)


def _dtype(kind: str, card: ModelCard) -> type[np.generic]:
    if kind not in _DTYPES:
        raise UserError(f'The model "{card.identity}" uses {kind}, which Puncta does not feed; export it with tensors.')
    return _DTYPES[kind]


def available_providers() -> tuple[str, ...]:
    """Providers that this installation of ONNX Runtime offers and Puncta knows, the reference first."""
    offered = set(ort.get_available_providers())
    return tuple(name for name, full in _PROVIDERS.items() if full in offered)


def runtime_version() -> str:
    """Version of ONNX Runtime."""
    return str(ort.__version__)


def open_session(card: ModelCard, tuning: Tuning | None = None) -> OrtSession:
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
    try:
        session = ort.InferenceSession(data, _options(tuning), providers=_provider_list(tuning))
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


def _provider_list(tuning: Tuning) -> list[Any]:
    if tuning.provider == "openvino":
        # The reference provider stays behind it for operators it does not know.
        return [
            (_PROVIDERS["openvino"], {"device_type": "CPU", "num_of_threads": str(tuning.threads)}),
            _PROVIDERS["cpu"],
        ]
    return [_PROVIDERS["cpu"]]
