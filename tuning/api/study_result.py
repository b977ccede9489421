"""StudyResult: the Python API of a study: trials, best trial, data frames, report, promotion."""

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
    """A study. Each access reads its folder, so the results are current even while its search is running.

    folder: Path. The study's folder, `<studies_dir>/<study>`.
    stopped_by: str or None. What stopped the search that returned this result: "Ctrl-C" or a signal's name.
    limit: str or None. The limit that ended the search, such as "--time 2 h 00 min". Both are None for a loaded study.
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
        """The objective of the search."""
        return self._read().objective

    @property
    def trials(self) -> list[TrialRecord]:
        """A TrialRecord for every trial, by number."""
        return self._read().records

    @property
    def best(self) -> TrialRecord | None:
        """The best trial: of those trained for longest, the one with the best objective. None before the first rung."""
        return trial_record.best(self.trials)

    def recipe(self, number: int) -> Recipe:
        """The recipe of a trial. Raises UserError when there is no such trial."""
        return recipes.build(self._read().record(number).recipe, where=f"trial {number}")

    def trial_folder(self, number: int) -> Path:
        """The folder of a trial's files: recipe.yaml, checkpoints, pictures, ... UserError if there is no such trial."""
        self._read().record(number)
        return self.folder / "trials" / str(number)

    def curve(self, number: int) -> pd.DataFrame:
        """A trial's training curve, one row per recorded step, indexed by `step`.

        Columns: `training_loss/<part>`, `learning_rate` and `images_per_second`.
        """
        import pandas as pd

        lines = [line for _, line in curves.read(self.trial_folder(number) / "metrics.jsonl")]
        rows = [{"step": line["step"], **line["metrics"]} for line in lines]
        return pd.DataFrame(rows, columns=None if rows else ["step"]).set_index("step")

    def to_dataframe(self) -> pd.DataFrame:
        """All trials, one row each, indexed by `trial`, the trial's number.

        Columns: `state`, `reason`, `step`, the objective (under its name) and every other metric of the last rung,
        `seconds_training`, `seconds_overhead`, `recipe_id`, and each sampled parameter as `params.<name>`.
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
        """Make the study's report.

        form: "html", "markdown" or "json".
        out: the file to write. Defaults to report.html in the study's folder for "html", to no file for other forms.
        data: where the study's data are now, if they have moved; for the pictures.
        price_per_hour: of one worker, in any currency.
        Returns the path of the file; the text of the report if no file is written.
        Raises UserError for any other form.
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
        threshold_for: str | None = None,
    ) -> Promoted:
        """Export a trial, register it in MLflow's model registry, and make it the champion.

        trial: its number. Defaults to the best completed trial.
        tracking_uri: of the MLflow store. Defaults to the one that the study was logged to.
        model: name of the registered model. Defaults to the study's name.
        say: called with each line of progress.
        threshold_for: what the score threshold of serving is to meet on the validation images: "f1" (best F1),
            "precision>=.9" or "recall>=.8". Defaults to what the export has, at first "f1".
        Raises UserError when there is no such trial, its export does not match the trained model, or no score meets
        the condition.
        """
        from tuning.api import promotion

        study = self._read()
        uri = promotion.store_of(study, tracking_uri)
        return promotion.promote(study, trial, uri, model or study.manifest.study, None, say, threshold_for)

    def __repr__(self) -> str:
        return f"StudyResult({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The table that a notebook shows: state, step and objective of each trial."""
        columns: list[Any] = ["state", "step", self.objective.name]
        frame = self.to_dataframe()
        shown = frame[[name for name in columns if name in frame]]
        return str(shown.to_html())

    def _read(self) -> StudyRead:
        return reading.read(str(self.folder), self.folder.parent)
