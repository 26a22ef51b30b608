#!/usr/bin/env python3
"""Draws the dashboard's panels without Grafana, from a Prometheus that has scraped something.

    plot.py http://127.0.0.1:9090 SECONDS OUT.svg

asks for the last SECONDS what Grafana would ask, and writes one sheet with a plot of each panel. It needs nothing but
Python. It says less than Grafana (no legend beyond six lines, no thresholds), and is there to see that each query has an
answer, and what it looks like.
"""

import json
import math
import pathlib
import sys
import time
import urllib.parse
import urllib.request
from html import escape

DASHBOARD = pathlib.Path(__file__).parent / "dashboards" / "chorus.json"
POINTS = 60
COLUMNS, WIDTH, HEIGHT, GAP = 4, 300, 190, 14
COLOURS = ["#2a6fb0", "#d9722b", "#3a9a57", "#b03a5b", "#7a5bb0", "#8a7a2b"]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    url, seconds, out = sys.argv[1].rstrip("/"), max(int(sys.argv[2]), 15), sys.argv[3]
    end = time.time()
    span = (end - seconds, end, max(1, seconds / POINTS))
    panels = [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>',
    ]
    for number, panel in enumerate(panels):
        x = GAP + number % COLUMNS * (WIDTH + GAP)
        y = GAP + number // COLUMNS * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x} {y})">{draw(url, panel, span)}</g>')
    parts.append("</svg>\n")
    pathlib.Path(out).write_text("\n".join(parts))


def ask(url, expression, span):
    """The series of an expression over a time: label sets and points."""
    start, end, step = span
    # As Grafana does it: never less than four scrapes, or 15 s for whoever scrapes every second.
    window = f"{max(15, math.ceil(step * 4))}s"
    for variable, value in (("$__rate_interval", window), ("$job", "chorus"), ("$instance", ".*")):
        expression = expression.replace(variable, value)
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{query}", timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def draw(url, panel, span):
    title = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="3" fill="#fff" stroke="#ddd"/>'
    title += f'<text x="8" y="15" font-size="12" font-weight="bold">{escape(panel["title"], quote=False)}</text>'
    lines = []
    for target in panel["targets"]:
        for series in ask(url, target["expr"], span):
            points = [(float(t), float(v)) for t, v in series["values"] if math.isfinite(float(v))]
            if points:
                lines.append((legend(target["legendFormat"], series["metric"]), points))
    if not lines:
        return title + f'<text x="{WIDTH / 2}" y="95" fill="#888" text-anchor="middle">nothing, which is an answer</text>'
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "s")
    if panel["type"] == "stat":
        return title + f'<text x="{WIDTH / 2}" y="110" font-size="40" text-anchor="middle">{figure(lines[0][1][-1][1], unit)}</text>'
    return title + (heat(lines, span) if panel["type"] == "heatmap" else plot(lines, span, unit))


def legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{%s}}" % name, value)
    return form


def plot(lines, span, unit):
    top = max(max(v for _, v in points) for _, points in lines) or 1
    out = grid(figure(top, unit), figure(0, unit))
    for number, (name, points) in enumerate(sorted(lines)):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(straight([(across(t, span), round(150 - 115 * max(v, 0) / top)) for t, v in points]))
        out += f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        if number < 6:
            x, y = 50 + number % 3 * 84, 166 + number // 3 * 13
            out += f'<text x="{x}" y="{y}" fill="{colour}" font-size="9">{escape(name[:17], quote=False)}</text>'
    return out


def straight(points):
    """The corners of a line: what lies between two neighbours of its own height says nothing."""
    for number, (x, y) in enumerate(points):
        if 0 < number < len(points) - 1 and points[number - 1][1] == y == points[number + 1][1]:
            continue
        yield f"{x},{y}"


def heat(lines, span):
    """One row a bucket; each cell is what lies between its bound and the one below."""
    rows = sorted(((math.inf if le == "+Inf" else float(le)), dict(points)) for le, points in lines)
    cells, below = [], {}
    for number, (_, row) in enumerate(rows):
        cells += [(t, number, v - below.get(t, 0)) for t, v in row.items()]
        below = row
    most = max(v for _, _, v in cells) or 1
    high, wide = 115 / len(rows), math.ceil(240 / POINTS)
    out = grid("∞", figure(rows[0][0], "s"))
    # One path for each of a few shades, for a picture that is small.
    shades = {}
    for t, number, v in cells:
        if v > 0:
            place = f"M{across(t, span)} {150 - high * (number + 1):.1f}h{wide}v{high:.1f}h-{wide}z"
            shades.setdefault(math.ceil(6 * math.sqrt(v / most)), []).append(place)
    for shade, places in sorted(shades.items()):
        out += f'<path d="{"".join(places)}" fill="#d9722b" fill-opacity="{shade / 6:.2f}"/>'
    for number, (bound, _) in enumerate(rows):
        if bound in (0.001, 0.01, 0.1, 1):
            y = 150 - high * (number + 1) + 3
            out += f'<text x="44" y="{y:.0f}" fill="#666" text-anchor="end">{figure(bound, "s")}</text>'
    return out


def across(t, span):
    return round(48 + 240 * (t - span[0]) / (span[1] - span[0]))


def grid(top, bottom):
    lines = "".join(f'<path d="M48 {y}h240" stroke="#eee"/>' for y in (35, 92, 150))
    return lines + f'<text x="44" y="38" fill="#666" text-anchor="end">{top}</text><text x="44" y="153" fill="#666" text-anchor="end">{bottom}</text>'


def figure(value, unit):
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:.3g} ms" if value >= 0.001 else f"{value * 1e6:.3g} µs"
    suffix = {"s": " s", "cps": "/s", "bytes": "B", "Bps": "B/s"}.get(unit, "")
    for limit, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{prefix}{suffix.strip()}"
    return f"{value:.3g}{suffix}"


main()
