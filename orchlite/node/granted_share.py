"""The variables by which a cluster tells a job its share of the node: which accelerators, and how many threads."""

from __future__ import annotations

import os
import re

_NAMES = re.compile(
    r"[A-Z_]+_VISIBLE_[A-Z]+|OMP_NUM_THREADS|ONEAPI_DEVICE_SELECTOR|ZE_AFFINITY_MASK|TPU(_CHIPS_PER)?_HOST_BOUNDS|FURIOSA_DEVICES|RBLN_DEVICES"
)
"""CUDA_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES, NEURON_RT_VISIBLE_CORES, TPU_VISIBLE_CHIPS and what else names the devices of a process."""


def granted_share() -> dict[str, str]:
    """Return those of this process's variables that the program of the run gets, too, unless its task sets them."""
    return {name: value for name, value in os.environ.items() if _NAMES.fullmatch(name)}
