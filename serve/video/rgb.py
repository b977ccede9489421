"""Turns decoded frames into pictures: RGB, upright, with square pixels, and with the colours that players show."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace, VideoReformatter

from serve.video.hdr import HDR, tone_mapped

UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
NARROWEST, WIDEST = Fraction(1, 4), Fraction(4)  # aspect ratios of pixels; others are errors of the file


class Orientation:
    """How to turn and mirror a frame, from its display matrix.

    transposed: rows become columns, first. mirrored, flipped: then left and right, and top and bottom are exchanged.
    """

    def __init__(self, frame: Any) -> None:
        data = frame.side_data.get(Type.DISPLAYMATRIX)
        # x' = a x + c y, y' = b x + d y (libavutil/display.h)
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist() if data else (1, 0, 0, 0, 1)
        self.transposed = abs(a) < abs(b)
        self.mirrored, self.flipped = (c < 0, b < 0) if self.transposed else (a < 0, d < 0)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3), or (W, H, 3) when transposed."""
        if self.transposed:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise, 0, 90, 180 or 270; of a mirrored picture, before it is mirrored."""
        if self.transposed:
            return 270 if self.mirrored else 90
        return 180 if self.flipped else 0


class Pictures:
    """Converts the frames of one video; creating one takes as long as a conversion.

    ratio: width of a pixel divided by its height, as `pixel_ratio` gives it. notes: what was changed, for the user.
    """

    def __init__(self, ratio: Fraction = Fraction(1)) -> None:
        self._ratio = ratio
        self._converter = VideoReformatter()
        self.notes: dict[str, None] = {}

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) of the frame's picture in pixels."""
        width, height = self._squared(frame)
        return (width, height) if Orientation(frame).transposed else (height, width)

    def picture(self, frame: Any) -> np.ndarray:
        """An av frame -> (H, W, 3) uint8 RGB."""
        width, height = self._squared(frame)
        untagged = frame.colorspace == UNSPECIFIED
        # as players do: high definition is BT.709, all else BT.601
        guess = Colorspace.ITU709 if frame.height > 576 or frame.width >= 1280 else Colorspace.ITU601
        source = guess if untagged else None
        if frame.color_trc in HDR:
            deep = self._converter.reformat(
                frame, width, height, "rgb48le", source or Colorspace.BT2020, threads=1
            )
            self.notes[f"high dynamic range ({HDR[frame.color_trc]}) was mapped to standard range"] = None
            image = tone_mapped(deep.to_ndarray(), frame.color_trc)
        elif has_alpha(frame.format):
            clear = self._converter.reformat(frame, width, height, "rgba", source, threads=1).to_ndarray()
            if clear[..., 3].min() < 254:  # FFmpeg's conversion may be wrong by one
                self.notes["transparent parts are shown on black"] = None
            image = (clear[..., :3] * (clear[..., 3:] / np.float32(255))).round().astype(np.uint8)
        else:
            image = self._converter.reformat(frame, width, height, "rgb24", source, threads=1).to_ndarray()
        return np.ascontiguousarray(Orientation(frame)(image))

    def _squared(self, frame: Any) -> tuple[int, int]:
        """Width and height with square pixels, before the frame is turned; the shorter side grows."""
        if self._ratio > 1:
            return 2 * round(frame.width * self._ratio / 2), frame.height
        return frame.width, (2 * round(frame.height / self._ratio / 2) if self._ratio < 1 else frame.height)


def has_alpha(pixels: Any) -> bool:
    """Whether the av.VideoFormat has an alpha channel, or a palette, which may have transparent colours."""
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)


def pixel_ratio(stream: Any) -> Fraction:
    """Width of the stream's pixels divided by their height; 1 if unknown or absurd."""
    ratio = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    return ratio if NARROWEST <= ratio <= WIDEST else Fraction(1)
