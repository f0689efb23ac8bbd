"""faretap demo: the main job on a virtual validator, with progress on screen."""

from __future__ import annotations

from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from faretap.cli.common import Json, app, err, out, print_json
from faretap.cli.inspect import screen_panel
from faretap.records.table import fitted


@app.command()
def demo(json: Json = False) -> None:
    """Flash a virtual validator, present cards, a phone and codes, and read the records."""
    from faretap.demo import run

    console = err if json else out
    with Progress(
        TextColumn("{task.description:28}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
        transient=not console.is_terminal,
    ) as bar:
        task = bar.add_task("flashing", total=1, visible=False)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or 1, visible=True)

        def event(kind: str, data: dict[str, Any]) -> None:
            if kind == "flashed":
                bar.update(task, visible=False)
            for item in _shown(kind, data):
                console.print(item, highlight=False)

        report = run(event, progress)
    if json:
        print_json(report)
    else:
        out.print(f"{report['seconds']:.1f} s from bare flash to records")


def _shown(kind: str, data: dict[str, Any]) -> list[Any]:
    if kind == "started":
        return [f"A virtual validator with an empty flash, at {data['port']}"]
    if kind == "flashed":
        return [
            f"Flashed by esptool: {data['written']:,} bytes in "
            f"{sum(data['seconds'].values()):.1f} s"
        ]
    if kind == "running":
        return [
            f"It runs {data['board']} {data['version']} ({data['hash']}) on MicroPython "
            f"{data['micropython']}; configuration {data['config']['version']}, life cycle "
            f"{data['life_cycle']}, "
            f"heap free {data['heap_free']:,} bytes, "
            f"reader {data['reader'].get('chip', '?')}, "
            f"scanner {data['scanner'].get('engine', '?')}"
        ]
    if kind == "tapped":
        what = "Card" if data["kind"] == "card" else "Code"
        return [f"\n{what} {data['name']}:", screen_panel(data["screen"])]
    return ["\nRecords read back, phases in ms:", fitted(data["records"], out.width)]
