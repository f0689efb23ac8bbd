"""What a run gave, for people and for machines.

written = report(run, Path("reports/peak"))
print(written.html)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faretap.rack.report.junit import junit
from faretap.rack.report.page import page
from faretap.rack.results import ResultsError, Run, save
from faretap.writing import write_text


@dataclass(frozen=True)
class Written:
    """The files of a report: the data, JUnit XML, and a page that needs nothing else."""

    json: Path
    junit: Path
    html: Path


def report(run: Run, directory: Path) -> Written:
    """Write `run.json`, `junit.xml` and `report.html` into the folder, which is made."""
    data = save(run, directory)
    xml, html = directory / "junit.xml", directory / "report.html"
    write_text(xml, junit(run), ResultsError)
    write_text(html, page(run), ResultsError)
    return Written(data, xml, html)


__all__ = ["Written", "report"]
