"""Clock: the times that a file gives its frames, as seconds that only grow.

Recordings are joined with `cat`, cameras set their clocks, and MPEG-TS counters wrap around: then the time jumps.
"""

from __future__ import annotations

from fractions import Fraction

BACK = Fraction(1, 5)  # seconds back from which it is a jump; less is disorder, as in a damaged stream
GAP = Fraction(600)  # seconds ahead from which it is one; less may be a camera that waits for motion
LEAST = Fraction(1, 1000)  # between two frames: WebM stores milliseconds


class Clock:
    """Times of one stream, in the order of presentation.

    start: the stream time at which the video begins. frame_time: of a frame that is not followed by another.
    offset, last: the state after the frames so far; the correction of later times, and the time of the last frame.
    All in seconds.
    """

    def __init__(
        self,
        start: Fraction,
        frame_time: Fraction,
        offset: Fraction = Fraction(0),
        last: Fraction | None = None,
    ) -> None:
        self._start, self._frame_time = start, frame_time
        self.offset, self.last = offset, last
        self.jumps: list[str] = []

    def time(self, stamp: Fraction | None) -> Fraction:
        """Seconds since the start of the next frame, whose stream time is `stamp`; at least LEAST after the last."""
        following = Fraction(0) if self.last is None else self.last + self._frame_time
        if stamp is None:
            time = following
        else:
            time = stamp - self._start + self.offset
            if is_jump(time, self.last):
                by = float(time - following)
                self.jumps.append(
                    f"the clock of the video jumps by {by:+.1f} s at {float(following):.1f} s; the jump was removed"
                )
                self.offset += following - time
                time = following
        self.last = max(time, Fraction(0) if self.last is None else self.last + LEAST)
        return self.last


def is_jump(time: Fraction, last: Fraction | None) -> bool:
    """Whether `time` does not continue after `last`; None: nothing came before, so time was 0."""
    if last is None:
        return time > GAP
    return time < last - BACK or time > last + GAP
