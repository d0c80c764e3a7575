"""An environment in which every x86-64 machine with Linux computes the same bits.

BLAS, torch, numpy and the C library each choose kernels by the processor they find, and kernels round differently: sums of
other widths, products fused with additions or not. Digests made on one machine would say nothing on the next. So the runs are
told to use what every such processor has, SSE 4.2 at most, and one thread. What numba compiles needs no such order but for
Intel's library of functions: without its fast mathematics it neither fuses nor reorders, whatever the processor.
"""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import numpy as np

IS_PINNABLE = sys.platform == "linux" and platform.machine() == "x86_64"

_PACKAGES = ("numpy", "scipy", "numba", "pandas", "pyarrow", "torch", "transformers", "tokenizers", "peft")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_CHOICES = ("OPENBLAS", "MKL", "ONEDNN", "DNNL", "ATEN", "NPY", "NUMBA", "OMP", "KMP", "GLIBC", "CROWD_SIM", "RAY")
"""What the machine's own environment may have chosen, by the beginnings of the names."""


def environment() -> dict[str, str]:
    """This process's environment with the machine's choices replaced."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CHOICES)}
    return {
        **kept,
        **dict.fromkeys(_THREADS, "1"),
        "OPENBLAS_CORETYPE": "Nehalem",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": " ".join(_dispatched()),
        "NUMBA_DISABLE_INTEL_SVML": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",  # libm's exp, log and the like
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "agg",
    }


def check() -> None:
    """See that the libraries of this process obey; a name that a later version of one does not know would go unnoticed.

    Raises:
        RuntimeError: one does not.
    """
    from threadpoolctl import threadpool_info

    kernels = {lib["architecture"] for lib in threadpool_info() if lib["internal_api"] == "openblas"} - {"Nehalem"}
    if (torch := sys.modules.get("torch")) is not None:
        kernels |= {torch.backends.cpu.get_cpu_capability()} - {"DEFAULT"}
    if kernels := [*_dispatched(), *sorted(kernels)]:
        raise RuntimeError(f"kernels of this machine's own are in use: {', '.join(kernels)}")


def versions() -> dict[str, str]:
    """Of what decides on bits besides this project."""
    found = {"libc": " ".join(platform.libc_ver())}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of the extra llm
            continue
    return found


def _dispatched() -> list[str]:
    """What numpy would use beyond its baseline; to name anything else is a warning of its."""
    return np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
