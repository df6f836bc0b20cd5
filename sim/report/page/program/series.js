// SPDX-License-Identifier: Apache-2.0
// Charts over time, and how values are spread.
"use strict";

/// Quantities over time as steps. @param of {caption, label, start: [s], lines: [{name, values, colour}], text(value), title, format}
/// `values` holds null where nothing is known.
function overTimeFigure(of) {
  const unit = timeUnit(of.start);
  const values = of.lines.flatMap((line) => of.start.map((s, i) => ({ t: s * unit.factor, v: line.values[i], line: line.name,
    text: orDash(line.values[i], of.text), at: timeText(s) }))).filter((value) => value.v !== null);
  const names = of.lines.map((line) => line.name);
  const t = (width) => ({ field: "t", type: "quantitative", title: "time (" + unit.name + ")", axis: { grid: false, tickCount: Math.floor(width / 90) }, scale: { nice: false } });
  const v = { field: "v", type: "quantitative", title: of.title, axis: of.format ? { format: of.format, tickCount: 5 } : { tickCount: 5 } };
  return figure({
    caption: of.caption, label: of.label || of.caption, canvas: values.length > 1500,
    spec: (width) => ({
      height: 185 + 17 * (names.length > 1 ? Math.ceil(names.length / legendFor(width, names).columns) : 0), data: { values },
      encoding: { x: t(width), y: v, color: { field: "line", type: "nominal", sort: null, legend: names.length > 1 ? legendFor(width, names) : null,
        scale: colourScale(names, of.lines.map((line) => line.colour)) } },
      layer: [{ mark: { type: "line", interpolate: "step-after", strokeWidth: 1.6, clip: true } },
        { mark: { type: "point", filled: true, size: 60, opacity: 0 }, encoding: { tooltip: [{ field: "at", title: "from" }, { field: "line", title: "of" }, { field: "text", title: of.title }] } }],
    }),
    header: ["from", ...names],
    rows: () => of.start.map((s, i) => [timeText(s), ...of.lines.map((line) => orDash(line.values[i], of.text))]),
  });
}

/// A legend in columns that are wide enough for the longest name.
const legendFor = (width, names) => ({ title: null, orient: "top", direction: "horizontal", labelLimit: width - 60,
  columns: Math.max(1, Math.floor(width / (40 + 7.2 * Math.max(...names.map((name) => name.length))))) });

/// The share of values that are no larger, from quantiles evenly spaced. @param marks [name, seconds] on the curve
/// @param slo seconds or null
function spreadFigure(caption, quantiles, marks, slo) {
  const unit = timeUnit(quantiles);
  const n = quantiles.length;
  const values = quantiles.map((s, i) => ({ v: s * unit.factor, share: (i + 1) / n, text: timeText(s), of: shareText((i + 1) / n) }));
  const dots = marks.map(([name, s, share], i) => ({ v: s * unit.factor, share, name: name + " " + timeText(s), i }));
  const least = values[0].v;
  const most = values[n - 1].v;
  const isWide = least > 0 && most / least > 30;
  /// Room for the labels on the right.
  const domain = (width) => { const room = width < 500 ? 0.6 : 0.3; return isWide ? [least * 0.9, most * (most / least) ** room] : [least - (most - least) * 0.02 - 1e-9, most + (most - least) * room + 1e-9]; };
  const axis = (width) => ({ field: "v", type: "quantitative", title: unit.name, axis: { grid: false, tickCount: 6, labelOverlap: true, format: "~r" }, scale: { ...(isWide ? { type: "log" } : { zero: false }), nice: false, domain: domain(width) } });
  const y = { field: "share", type: "quantitative", title: "share of requests", axis: { format: "~%", values: [0, 0.25, 0.5, 0.75, 1] }, scale: { domain: [0, 1.04], nice: false } };
  const rule = slo === null || slo * unit.factor < least || slo * unit.factor > most + (most - least) * 0.3 ? [] : [{ v: slo * unit.factor, share: quantiles.filter((s) => s <= slo).length > n / 2 ? 0.07 : 0.95, name: "SLO " + timeText(slo) }];
  return figure({
    caption, label: caption + " " + dots.map((dot) => dot.name).join(", "),
    spec: (width, x = axis(width)) => ({
      height: 190,
      layer: [
        { data: { values }, mark: { type: "line", interpolate: "step-after", strokeWidth: 2, color: colourScale(["dispatch"]).range[0] }, encoding: { x, y } },
        { data: { values }, mark: { type: "point", filled: true, opacity: 0, size: 50 }, encoding: { x, y, tooltip: [{ field: "of", title: "share" }, { field: "text", title: "at most" }] } },
        ...(rule.length > 0 ? [{ data: { values: rule }, mark: { type: "rule", strokeDash: [5, 4], color: colourScale(["hot_expert"]).range[0] }, encoding: { x } },
          { data: { values: rule }, mark: { type: "text", align: "left", dx: 5, fontSize: 12 }, encoding: { x, y: { ...y, field: "share" }, text: { field: "name" } } }] : []),
        { data: { values: dots }, mark: { type: "point", filled: true, size: 60, color: cssColour("--ink") }, encoding: { x, y, tooltip: [{ field: "name", title: "is" }] } },
        ...dots.map((dot) => ({ data: { values: [dot] }, mark: { type: "text", align: "left", dx: 8, dy: [2, 22, 9][dot.i], fontSize: 12 }, encoding: { x, y, text: { field: "name" } } }))],
    }),
  });
}
