"""The look of a report that stands alone: the dashboard's colours on a screen, black on white on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { --ground: #030805; --panel: #07110b; --line: #1b3d29; --text: #b9f5cb; --dim: #8fc4a1; --green: #00e060; --amber: #ffb000; --red: #ff5c5c; --blue: #58c9e8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 14px/1.45 ui-monospace, 'DejaVu Sans Mono', 'Cascadia Mono', Menlo, Consolas, monospace; }
main { max-width: 1100px; margin: 0 auto; padding: 2rem 1.2rem 4rem; }
h1 { font-size: 1.5rem; letter-spacing: .04em; text-transform: uppercase; margin: 0 0 .2rem; color: var(--green); overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; letter-spacing: .02em; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p { margin: .3rem 0; } .dim { color: var(--dim); } .none { color: var(--dim); font-style: italic; }
.verdict { margin: 1.2rem 0; padding: .8rem 1rem; border: 1px solid var(--line); border-left: 5px solid var(--dim); background: var(--panel); }
.verdict.believable { border-left-color: var(--green); } .verdict.doubtful { border-left-color: var(--amber); } .verdict.not { border-left-color: var(--red); }
.verdict b { text-transform: uppercase; letter-spacing: .05em; } .verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; }
.measures { display: grid; grid-template-columns: repeat(auto-fill, minmax(158px, 1fr)); gap: .5rem; }
.measures div { background: var(--panel); border: 1px solid var(--line); padding: .45rem .7rem; }
.measures span { display: block; color: var(--dim); font-size: .78rem; } .measures strong { font-size: 1.1rem; font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; background: #050d08; border: 1px solid var(--line); }
svg .grid { stroke: #143021; } svg .axis { fill: var(--dim); font-size: 11px; } svg .base { stroke: var(--dim); stroke-dasharray: 4 4; }
svg .curve { fill: none; stroke: var(--green); stroke-width: 1.4; stroke-linejoin: round; } svg .loss { fill: none; stroke: var(--red); stroke-width: 1; }
svg .fall { fill: var(--red); opacity: .22; } svg .bar { fill: var(--green); } svg .bar.down { fill: var(--red); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .84rem; }
th, td { padding: .22rem .5rem; text-align: right; border-bottom: 1px solid #12271a; white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } td:first-child, th:first-child, td.text, th.text { text-align: left; }
td.words { white-space: normal; text-align: left; overflow-wrap: anywhere; }
.up { color: var(--green); } .down { color: var(--red); } .doubt { color: var(--amber); } .fatal { color: var(--red); }
footer { margin-top: 3rem; color: var(--dim); font-size: .8rem; }
@media print {
  :root { --ground: #fff; --panel: #fff; --line: #bbb; --text: #111; --dim: #555; --green: #00702f; --amber: #8a5a00; --red: #b00020; --blue: #005a78; }
  @page { margin: 14mm; } body { font-size: 10px; } main { max-width: none; padding: 0; } svg { background: #fff; } svg .grid { stroke: #ddd; }
  th, td { border-bottom-color: #ddd; padding: .12rem .3rem; } h2 { break-after: avoid; } svg, .verdict, .measures div, tr { break-inside: avoid; }
  .measures { grid-template-columns: repeat(5, 1fr); } .wide { overflow: visible; } table { font-size: 8px; }
}
"""


def page(title: str, body: str) -> str:
    """A whole document; `title` and `body` are escaped already."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
