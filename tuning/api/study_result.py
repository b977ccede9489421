"""StudyResult: a study opened from a program: its trials, its best one, tables, reports, promotion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.objective import Objective
from trainers.recipe import Recipe
from tuning.study import curves, reading, trial_record
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

    from tuning.api.promotion import Promoted


class StudyResult:
    """A study's folder, read when it is asked; a search may be at work on it.

    folder: `<studies>/<study>`. stopped_by: what stopped the search that returned this (Ctrl-C, a signal), limit: the
        limit of its budget that it reached; None where nothing did, and of a study that was loaded.
    """

    def __init__(self, folder: Path, stopped_by: str | None = None, limit: str | None = None) -> None:
        self.folder = Path(folder)
        self.stopped_by = stopped_by
        self.limit = limit

    @property
    def name(self) -> str:
        """The study's name."""
        return self._read().manifest.study

    @property
    def objective(self) -> Objective:
        """What it optimises."""
        return self._read().objective

    @property
    def trials(self) -> list[TrialRecord]:
        """Every trial by number."""
        return self._read().records

    @property
    def best(self) -> TrialRecord | None:
        """The best trial, as the search ranks: the longest trained first, then by the objective. None before a rung."""
        return trial_record.best(self.trials)

    def recipe(self, number: int) -> Recipe:
        """The recipe of a trial. Raises UserError when there is no such trial."""
        return recipes.build(self._read().record(number).recipe, where=f"trial {number}")

    def trial_folder(self, number: int) -> Path:
        """Where a trial's files are: recipe.yaml, checkpoints, pictures, ..."""
        self._read().record(number)
        return self.folder / "trials" / str(number)

    def curve(self, number: int) -> pd.DataFrame:
        """A trial's training curve: a row for each step that is kept, with its losses, learning rate and images/s."""
        import pandas as pd

        lines = [line for _, line in curves.read(self.trial_folder(number) / "metrics.jsonl")]
        rows = [{"step": line["step"], **line["metrics"]} for line in lines]
        return pd.DataFrame(rows, columns=None if rows else ["step"]).set_index("step")

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each trial, indexed by its number.

        Columns: `state`, `reason`, `step`, the objective under its name, every other metric of the last rung,
        `seconds_training`, `seconds_overhead`, `recipe_id`, and what the search suggested as `params.<name>`.
        """
        import pandas as pd

        study = self._read()
        rows = []
        for record, trial in zip(study.records, study.trials, strict=True):
            last = record.rungs[-1] if record.rungs else None
            rows.append(
                {
                    "trial": record.number,
                    "state": record.state,
                    "reason": record.verdict.reason if record.verdict else "",
                    "step": record.step,
                    study.objective.name: record.value,
                    **({k: v for k, v in last.metrics.items() if k != study.objective.name} if last else {}),
                    "seconds_training": record.seconds_training,
                    "seconds_overhead": record.seconds_overhead,
                    "recipe_id": record.recipe_id,
                    **{f"params.{name}": value for name, value in trial.params.items()},
                }
            )
        return pd.DataFrame(rows, columns=None if rows else ["trial"]).set_index("trial")

    def report(
        self,
        form: str = "html",
        out: str | Path | None = None,
        data: str | None = None,
        price_per_hour: float | None = None,
    ) -> Path | str:
        """The report: of "html" the file that was written (report.html in the study's folder unless `out` says), of
        "markdown" and "json" the text, or the file `out`.

        data: where the study's data are now, for the pictures. price_per_hour: of one worker, in any currency.
        Raises UserError for another form.
        """
        from trainers.files import write_text
        from tuning.reporting.report import report
        from tuning.reporting.writing import FORMATS

        if form not in FORMATS:
            raise UserError(f"form: must be one of {', '.join(FORMATS)}, not {form!r}")
        text = FORMATS[form](report(self._read(), data, price_per_hour))
        path = self.folder / "report.html" if form == "html" and out is None else out
        if path is None:
            return text
        write_text(Path(path), text)
        return Path(path)

    def promote(
        self,
        trial: int | None = None,
        tracking_uri: str | None = None,
        model: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> Promoted:
        """Make a trial, or the best completed one, the champion of a registered model, and return its version.

        model: the registered model's name, the study's unless given. tracking_uri: of the MLflow store, the one that the
            study was logged to unless given. say: is called with what is being done.
        Raises UserError when there is no such trial, or its export is not what was trained.
        """
        from tuning.api import promotion

        study = self._read()
        uri = promotion.store_of(study, tracking_uri)
        return promotion.promote(study, trial, uri, model or study.manifest.study, None, say)

    def __repr__(self) -> str:
        return f"StudyResult({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """A notebook's view: the ranking's table."""
        columns: list[Any] = ["state", "step", self.objective.name]
        frame = self.to_dataframe()
        shown = frame[[name for name in columns if name in frame]]
        return str(shown.to_html())

    def _read(self) -> StudyRead:
        return reading.read(str(self.folder), self.folder.parent)
