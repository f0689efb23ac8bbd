"""A run as JUnit XML, as CI servers read it: a test case a check, and one for riders of a name.

The attributes are those that both the Ant schema and the Jenkins schema allow.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

from faretap.rack.report.figures import Riders, riders
from faretap.rack.report.text import legal
from faretap.rack.results import Run, Tap

_TAPS = 20  # of one name that a failure tells in full


def junit(run: Run) -> str:
    """The text of the file."""
    cases = [*_checks(run), *(_riders(run, group) for group in riders(run))]
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": legal(run.name) or "run",
            "id": "0",
            "package": "faretap",
            "timestamp": datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": "localhost",
            "tests": str(len(cases)),
            "failures": str(failures),
            "errors": "0",
            "skipped": str(skipped),
            "time": f"{run.seconds or 0:.3f}",
        },
    )
    properties = ET.SubElement(suite, "properties")
    told = {"seed": run.seed, "source": run.source}
    for slot in run.slots:
        said = (slot.board, slot.version, slot.hash, slot.serial)
        told[f"slot.{slot.name}"] = " ".join(filter(None, said))
    for name, value in told.items():
        if value not in (None, ""):
            ET.SubElement(properties, "property", {"name": legal(name), "value": legal(value)})
    suite.extend(cases)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _checks(run: Run) -> list[ET.Element]:
    cases = []
    for check in run.checks:
        where = f"{run.name}.checks" + (f".{check.slot}" if check.slot else "")
        case = _case(where, check.name, 0.0)
        if check.skipped:
            ET.SubElement(case, "skipped", {"message": legal(check.text)})
        elif not check.ok:
            _failure(case, "check", check.text or "failed")
        cases.append(case)
    return cases


def _riders(run: Run, group: Riders) -> ET.Element:
    taps = [t for t in run.taps if (t.rider, t.expected) == (group.rider, group.expected)]
    seconds = sum(_seconds(t) for t in taps)
    name = f"{group.rider}: {group.expected}" if group.expected else group.rider
    case = _case(f"{run.name}.riders", name, seconds)
    wrong = [t for t in taps if not t.ok]
    if wrong:
        lines = [_line(tap) for tap in wrong[:_TAPS]]
        if len(wrong) > _TAPS:
            lines.append(f"… and {len(wrong) - _TAPS} more")
        message = f"{len(wrong)} of {len(taps)} taps not as expected"
        _failure(case, "outcome", message, "\n".join(lines))
    return case


def _line(tap: Tap) -> str:
    notes = f" ({'; '.join(tap.notes)})" if tap.notes else ""
    return f"{tap.at:.3f} s, {tap.slot}: {tap.result}{notes}"


def _seconds(tap: Tap) -> float:
    ms = tap.wall_ms if tap.wall_ms is not None else tap.total_ms
    return (ms or 0.0) / 1000


def _case(where: str, name: str, seconds: float) -> ET.Element:
    values = {"classname": legal(where), "name": legal(name), "time": f"{seconds:.3f}"}
    return ET.Element("testcase", values)


def _failure(case: ET.Element, kind: str, message: str, text: str = "") -> None:
    failure = ET.SubElement(case, "failure", {"type": kind, "message": legal(message)})
    failure.text = legal(text or message)
