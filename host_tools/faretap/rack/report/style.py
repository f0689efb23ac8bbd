"""Colours and layout of the page, light and dark."""

from __future__ import annotations

STYLE = (
    """\
:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1b1f24; --soft: #5b6570; --line: #d5dae0; --box: #f4f6f8;
  --accepted: #0b7a75; --declined: #b26a00; --retry: #6b4fbb; --bad: #c0202a; --bar: #4a7fb5;
  --detect: #8aa1b8; --select: #4a7fb5; --read: #2f5d8a; --verify: #0b7a75; --decide: #8cb369;
  --commit: #d99a2b; --signal: #b5654a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --text: #e4e8ec; --soft: #98a3ae; --line: #343b43; --box: #1d2227;
    --accepted: #3fc1b8; --declined: #f0a53c; --retry: #ab94f2; --bad: #ff6b70; --bar: #6fa3d8;
    --detect: #7c8ea1; --select: #6fa3d8; --read: #4f86bd; --verify: #3fc1b8; --decide: #a5cc80;
    --commit: #e9b44c; --signal: #d0836a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans CJK SC", sans-serif;
}
h1 { font-size: 1.5rem; margin: 0.2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
p { margin: 0.3rem 0 0.6rem; }
.facts, section > p { color: var(--soft); overflow-wrap: anywhere; }
.verdict { font-size: 1rem; padding: 0.1rem 0.6rem; border-radius: 1rem; color: var(--back); }
.verdict.passed { background: var(--accepted); }
.verdict.failed { background: var(--bad); }
.tiles { display: flex; flex-wrap: wrap; gap: 0.6rem; margin-top: 0.8rem; }
.tile {
  background: var(--box); border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 0.4rem 0.8rem; color: var(--soft); font-size: 0.85rem;
}
.tile b { display: block; font-size: 1.2rem; color: var(--text); }
.tile.bad b { color: var(--bad); }
.failures { border-left: 4px solid var(--bad); padding-left: 0.8rem; margin-top: 1.2rem; }
.failures h2 { color: var(--bad); margin-top: 0; }
.wide { overflow-x: auto; margin-bottom: 0.6rem; }
.wide > svg { min-width: 40rem; }
table { border-collapse: collapse; font-size: 0.88rem; }
th, td { text-align: left; padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { vertical-align: top; }
td:last-child { min-width: 4rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.bad td:first-child { color: var(--bad); font-weight: 600; }
tr.total td { font-weight: 600; border-bottom: none; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 0.8rem; }
figure {
  margin: 0; background: var(--box); border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 0.4rem;
}
figcaption { font-size: 0.85rem; font-weight: 600; padding: 0 0.3rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 10px system-ui, sans-serif; fill: var(--soft); }
svg text.name { font-weight: 600; font-size: 11px; fill: var(--text); }
svg text.event { fill: var(--bad); }
.bar { fill: var(--bar); }
.mark, line.event { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 3 2; }
.axis { stroke: var(--soft); stroke-width: 1; }
line.guide { stroke: var(--line); stroke-width: 1; }
circle.accepted { fill: var(--accepted); }
rect.declined { fill: var(--declined); }
polygon.retry { fill: var(--retry); }
path.nothing { stroke: var(--bad); stroke-width: 1.6; }
circle.ring { fill: none; stroke: var(--bad); stroke-width: 1.4; }
.column { fill: var(--bar); opacity: 0.45; }
.median { stroke: var(--text); stroke-width: 1; }
.legend { font-size: 0.85rem; }
.key { margin-right: 0.9rem; white-space: nowrap; }
.key.accepted { color: var(--accepted); }
.key.declined { color: var(--declined); }
.key.retry { color: var(--retry); }
.key.nothing, .key.ring { color: var(--bad); }
"""
    + "".join(
        f".phase.{p} {{ fill: var(--{p}); }}\n"
        f".key.{p} {{ border-left: 0.8rem solid var(--{p}); padding-left: 0.3rem; }}\n"
        for p in ("detect", "select", "read", "verify", "decide", "commit", "signal")
    )
    + """\
@media print { .wide { overflow: visible; } }
"""
)
