from .backends import CpuEngine, CudaEngine
from .core import VLLM_MINOR, build_core, installed_vllm, vllm_version
from .driver import Driver
from .real_engine import VllmEngine

__all__ = [
    "VLLM_MINOR",
    "CpuEngine",
    "CudaEngine",
    "Driver",
    "VllmEngine",
    "build_core",
    "installed_vllm",
    "vllm_version",
]
