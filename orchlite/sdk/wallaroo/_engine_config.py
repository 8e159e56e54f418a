"""`wallaroo.engine_config`: the processors that models are built for. orchlite keeps the choice, and runs every model on this machine."""

from __future__ import annotations

from enum import StrEnum

from ._absent import fill
from ._submodules import members


class Architecture(StrEnum):
    """The architecture of a processor."""

    __module__ = "wallaroo.engine_config"

    X86 = "x86"
    ARM = "arm"
    Power10 = "power10"

    @classmethod
    def default(cls) -> Architecture:
        """Return the architecture that is meant where none is named."""
        return cls.X86


class Acceleration(StrEnum):
    """An accelerator of inference."""

    __module__ = "wallaroo.engine_config"

    _None = "none"
    CUDA = "cuda"
    Jetson = "jetson"
    OpenVINO = "openvino"
    QAIC = "qaic"
    ROCM = "rocm"

    @classmethod
    def default(cls) -> Acceleration:
        """Return no acceleration."""
        return cls._None

    def is_applicable(self, arch: Architecture) -> bool:
        """Return whether the platform has this accelerator for the architecture."""
        return _ONLY_ON.get(self, arch) == arch

    def requires_config(self) -> bool:
        """Return whether the accelerator has settings of its own."""
        return self is Acceleration.QAIC


_ONLY_ON = {
    Acceleration.Jetson: Architecture.ARM,
    Acceleration.OpenVINO: Architecture.X86,
    Acceleration.QAIC: Architecture.X86,
    Acceleration.ROCM: Architecture.X86,
}

fill(Acceleration, [name for name in members("engine_config", "Acceleration") if "=" not in name])


class InvalidAccelerationError(Exception):
    """The platform does not have this accelerator for this architecture."""

    __module__ = "wallaroo.engine_config"

    def __init__(self) -> None:
        super().__init__(
            "The specified model architecture configuration is not available. Please try this operation again using a different "
            "configuration or contact support@wallaroo.ai for questions or help."
        )
