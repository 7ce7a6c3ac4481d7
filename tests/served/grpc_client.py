"""A client of Triton's gRPC protocol, compiled from the gateway's own description of it."""

import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import grpc
import numpy as np
from grpc_tools import protoc
from numpy.typing import NDArray

PROTOCOL = Path(__file__).resolve().parents[2] / "proto/inference.proto"
MEBIBYTE = 1 << 20

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Raw:
    """An input as a request has it, whether its parts fit together or not."""

    name: str
    shape: tuple[int, ...]
    content: bytes
    datatype: str = "UINT8"


class Client:
    """Calls one Triton; a failed call raises ``grpc.RpcError``."""

    def __init__(self, address: str) -> None:
        """``address`` is ``http://host:port``."""
        self._messages, stubs = _compiled()
        size = 64 * MEBIBYTE
        self._channel = grpc.insecure_channel(
            address.removeprefix("http://"),
            options=[("grpc.max_receive_message_length", size)],
        )
        self._service = stubs.GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def label(self, model: str) -> str:
        """The parameter "label" of the model's configuration."""
        answer = self._service.ModelConfig(self._messages.ModelConfigRequest(name=model))
        return str(answer.config.parameters["label"].string_value)

    def is_ready(self, model: str) -> bool:
        """Whether the model answers."""
        request = self._messages.ModelReadyRequest(name=model)
        return bool(self._service.ModelReady(request).ready)

    def infer(self, model: str, output: str, inputs: Mapping[str, Pixels]) -> Pixels:
        """The model's one output for inputs that have a batch dimension."""
        return self.result(self.start(model, output, inputs))

    def start(
        self,
        model: str,
        output: str,
        inputs: Mapping[str, Pixels],
        queue_timeout_us: int | None = None,
        datatype: str = "UINT8",
    ) -> Any:
        """Begins a call and gives its future, for ``result``; the datatype is only what it says."""
        raw = [
            Raw(name, array.shape, np.ascontiguousarray(array).tobytes(), datatype)
            for name, array in inputs.items()
        ]
        return self.start_raw(model, output, raw, queue_timeout_us)

    def start_raw(
        self,
        model: str,
        output: str,
        inputs: Sequence[Raw],
        queue_timeout_us: int | None = None,
    ) -> Any:
        """As ``start``, with inputs that need not fit together."""
        request = self._messages.ModelInferRequest(model_name=model)
        request.outputs.add(name=output)
        for each in inputs:
            request.inputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
            request.raw_input_contents.append(each.content)
        if queue_timeout_us is not None:
            request.parameters["timeout"].int64_param = queue_timeout_us
        return self._service.ModelInfer.future(request)

    def result(self, call: Any) -> Pixels:
        """Waits for a call that ``start`` began."""
        answer = call.result()
        (tensor,) = answer.outputs
        assert tensor.datatype == "UINT8"
        return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(tensor.shape)


def _compiled() -> tuple[ModuleType, ModuleType]:
    """The messages and the service of ``PROTOCOL``, as Python modules."""
    if "inference_pb2" not in sys.modules:
        with tempfile.TemporaryDirectory() as folder:
            status = protoc.main(
                [
                    "protoc",
                    f"--proto_path={PROTOCOL.parent}",
                    f"--python_out={folder}",
                    f"--grpc_python_out={folder}",
                    str(PROTOCOL),
                ]
            )
            assert status == 0, f"protoc refused {PROTOCOL}"
            sys.path.append(folder)
            importlib.import_module("inference_pb2_grpc")
            sys.path.remove(folder)
    return sys.modules["inference_pb2"], sys.modules["inference_pb2_grpc"]
