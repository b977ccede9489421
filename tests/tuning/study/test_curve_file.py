"""A trial's curve on disk, of which tracking has noted how far it has logged it."""

from tuning.study.curves import CurveFile, read
from tuning.study.step_result import StepResult


def test_a_curve_that_is_not_the_one_that_was_logged_is_logged_from_its_beginning(tmp_path):
    """The note is written through to the disk and to S3; the curve may be that of a moment before, and grow again."""
    path = tmp_path / "metrics.jsonl"
    CurveFile(path, 90).append(StepResult(0, 17, "progress", steps=range(1, 18), curves={"loss": [0.5] * 17}))
    ends = [after for after, _ in read(path)]
    assert [line["step"] for _, line in read(path, ends[9])] == list(range(11, 18))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:10]))
    assert [line["step"] for _, line in read(path, ends[16])] == list(range(1, 11))
    CurveFile(path, 90).append(
        StepResult(0, 30, "progress", steps=range(11, 31), curves={"loss": [0.125] * 20})
    )
    assert [line["step"] for _, line in read(path, ends[16])] == list(range(1, 31))
