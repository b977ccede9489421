"""Folders of images and masks for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)  # RGB of background, people, target
MAP = "classes: {background: [255, 0, 0], people: [0, 255, 0], target: [0, 0, 255]}\n"


def square_scene(seed: int, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """An image (side, side, 3) uint8 RGB with a green and a blue square, and its mask: 0, 1 and 2."""
    random = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    for index in (1, 2):
        size = int(random.integers(side // 6, side // 3))
        x, y = random.integers(0, side - size, 2)
        mask[y : y + size, x : x + size] = index
    light = np.array([[120, 110, 100], [60, 200, 60], [60, 60, 220]])[mask]
    image = (light + random.normal(0, 8, light.shape)).clip(0, 255).astype(np.uint8)
    return image, mask


def write_rgb(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


def write_folder(root: Path, count: int = 10, side: int = 48, part: str = "") -> Path:
    """`count` scenes in `<root>/<part>/images` and `masks`, colour-coded, and a masks.yaml."""
    for i in range(count):
        image, mask = square_scene(i + 100 * len(part), side)
        write_rgb(root / part / "images" / f"{i}.png", image)
        write_rgb(root / part / "masks" / f"{i}.png", COLOURS[mask])
    (root / "masks.yaml").write_text(MAP)
    return root
