"""Maps pictures of high dynamic range (PQ and HLG, ITU-R BT.2100) to standard range with BT.709 colours."""

from __future__ import annotations

import functools

import cv2
import numpy as np

HDR = {16: "PQ", 18: "HLG"}  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67
WHITE_NITS = 203.0  # of a white page, BT.2408
HLG_WHITE = 0.75  # the same as an HLG signal
KNEE = 0.8  # brighter values than this share of white are compressed
STEPS = 4096
# linear BT.2020 -> linear BT.709 (BT.2087)
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def tone_mapped(image: np.ndarray, transfer: int) -> np.ndarray:
    """(H, W, 3) uint16 RGB with BT.2020 primaries and this transfer characteristic -> uint8 RGB, BT.709.

    transfer: a key of HDR.
    """
    linear = _linear(transfer)[image >> 4]
    linear = cv2.transform(linear, TO_709).clip(0.0, None)
    mapped = np.where(linear > KNEE, KNEE + (1 - KNEE) * (1 - np.exp((KNEE - linear) / (1 - KNEE))), linear)
    result: np.ndarray = _encoded()[(mapped * (STEPS - 1)).astype(np.uint16)]
    return result


@functools.cache
def _linear(transfer: int) -> np.ndarray:
    """(STEPS,) float32: the light of each signal level, 1 for white. BT.2100, tables 4 and 5."""
    signal = np.linspace(0.0, 1.0, STEPS)
    if transfer == 16:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = signal ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        light = nits / WHITE_NITS
    else:
        light = _hlg(signal) / _hlg(np.array([HLG_WHITE]))
    return np.asarray(light, np.float32)


def _hlg(signal: np.ndarray) -> np.ndarray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    light: np.ndarray = scene**1.2  # the display's system gamma
    return light


@functools.cache
def _encoded() -> np.ndarray:
    """(STEPS,) uint8: the signal of each level of light, for a display with the gamma 2.4 of BT.1886."""
    return (255 * np.linspace(0.0, 1.0, STEPS) ** (1 / 2.4)).round().astype(np.uint8)
