"""Deaths: how often the worker process of a trial has died alone, and when the trial is therefore given up."""

from __future__ import annotations

MOST = 3  # on one trial, without a checkpoint in between: the last one fails it


class Deaths:
    """Counts by trial. The loss of a machine is no death: a trial survives any number of them."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._saved: dict[int, int] = {}  # step of the checkpoint at a trial's last lost worker

    def too_many(self, number: int, saved_step: int, machine: str) -> bool:
        """A trial's worker is lost; returns whether the trial is to be given up.

        saved_step: of the trial's newest checkpoint, 0 for none. machine: that was lost with the worker; "" for none.
        """
        if saved_step > self._saved.get(number, 0):
            self._counts.pop(number, None)
        self._saved[number] = saved_step
        if not machine:
            self._counts[number] = self._counts.get(number, 0) + 1
        return not machine and self._counts[number] >= MOST
