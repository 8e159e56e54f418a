"""How numbers look after a journey as JSON: the platform sends DataFrames as text, and so do its clients.

A client writes floats with 10 decimals (`DataFrame.to_json`); the engine writes float32 with the fewest digits that still name the same
float32: 718013.7, not 718013.6875.
"""

from __future__ import annotations

from typing import Any

from orchlite.inference import libraries as lib

_SENT_DECIMALS = 10
_WITHOUT_DECIMALS = 1e15
"""From here on, a float64 has no digit behind the point that 10 decimals could cut off."""

_FEW = 32
"""Up to this many numbers, text is quicker than arithmetic on arrays."""

_POWERS = [float(10**power) for power in range(23)]
"""The powers of 10 that float64 holds exactly."""

_EASY = (-14, 27)
"""Decimal exponents of numbers that up to 9 digits scale by one of these powers."""


def as_sent(numbers: Any) -> Any:
    """Return an array of floats with the decimals that survive `DataFrame.to_json`; one of another type as it is."""
    np = lib.np
    if numbers.dtype.kind != "f" or not numbers.size:
        return numbers
    wide = numbers.astype(np.float64, copy=False)
    if np.abs(wide).max() < _WITHOUT_DECIMALS:  # False with NaN
        return np.round(wide, _SENT_DECIMALS)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(np.abs(wide) < _WITHOUT_DECIMALS, np.round(wide, _SENT_DECIMALS), wide)


def as_written(numbers: Any) -> Any:
    """Return an array of float32 as float64 whose shortest text is that of the float32; one of another type as it is."""
    np = lib.np
    if numbers.dtype != np.float32:
        return numbers.astype(np.float64) if numbers.dtype == np.float16 else numbers
    flat = np.ascontiguousarray(numbers).reshape(-1)
    found = _by_text(flat) if flat.size <= _FEW else _by_arithmetic(flat)
    return found.reshape(numbers.shape)


def _by_text(flat: Any) -> Any:
    return lib.np.array([float(str(number)) for number in flat], dtype=lib.np.float64)


def _by_arithmetic(flat: Any) -> Any:
    """Round to 6, 7, 8 digits until the rounded number is the same float32 again. Any decimal of 6 digits survives float32."""
    np = lib.np
    wide = flat.astype(np.float64)
    found = wide.copy()
    with np.errstate(all="ignore"):
        exponents = np.floor(np.log10(np.abs(wide)))
        open_ = np.isfinite(exponents)
        hard = open_ & ((exponents < _EASY[0]) | (exponents > _EASY[1]))
        open_ &= ~hard
        for digits in range(6, 10):
            places = np.flatnonzero(open_)
            if not places.size:
                break
            rounded = _rounded(wide[places], digits - 1 - exponents[places].astype(np.int64))
            same = rounded.astype(np.float32) == flat[places]
            found[places[same]] = rounded[same]
            open_[places[same]] = False
    places = np.flatnonzero(hard)
    found[places] = _by_text(flat[places])
    return found


def _rounded(numbers: Any, decimals: Any) -> Any:
    # A quotient or product of two integers that float64 holds exactly is the float64 nearest to the decimal.
    np = lib.np
    powers = np.array(_POWERS)
    up, down = powers[np.maximum(decimals, 0)], powers[np.maximum(-decimals, 0)]
    return np.rint(numbers * up / down) / up * down
