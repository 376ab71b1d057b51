"""The surveys of the sites that have joined a run, and their findings in the journal."""

from pathlib import Path

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.survey import Survey
from federator.runtime.server.exchange import Answer
from federator.runtime.server.journal import Surveyed, append, now
from federator.runtime.server.survey.finding import Finding
from federator.runtime.server.survey.findings import findings


class Surveys:
    """Keeps what each site told last.

    Args:
        run: the run's folder.
        settings: what is evaluated.
    """

    def __init__(self, run: Path, settings: EvaluationSettings) -> None:
        self._run, self._settings = run, settings
        self._told: dict[str, Survey | None] = {}
        self._new = False

    def take(self, answer: Answer) -> None:
        """Keep what a site tells that has joined."""
        if answer.outcome is not None and answer.failure is None:
            self._told[answer.site] = answer.outcome.survey
            self._new = True

    def write(self) -> list[Finding]:
        """Write what all sites told, and what is odd there, into the journal; return the latter.

        Nothing is written, and nothing returned, if no site has joined since the last time.
        """
        if not self._new:
            return []
        self._new = False
        known = {site: one for site, one in self._told.items() if one is not None}
        names = self._settings.names or tuple(map(str, range(self._settings.task.size)))
        found = findings(known, names, self._settings.task)
        append(self._run, Surveyed(time=now(), sites=self._told, findings=found))
        return found
