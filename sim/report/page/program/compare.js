// SPDX-License-Identifier: Apache-2.0
// Page of `moesim compare` (format moesim-compare).
"use strict";

const signedTime = (s) => (s < 0 ? "-" : "+") + timeText(Math.abs(s));

function differenceRows(list, unit, text) {
  return list.filter((d) => d["a" + unit] !== 0 || d["b" + unit] !== 0).map((d) => {
    const change = d["change" + unit];
    return [wordsOf(d.name), text(d["a" + unit]), text(d["b" + unit]), (change < 0 ? "-" : "+") + text(Math.abs(change)),
      orDash(d["half_width" + unit], text), d.verdict === "none" ? "none" : d["a" + unit] === 0 ? d.verdict : signedShareText(d["b" + unit] / d["a" + unit] - 1)];
  });
}

const kDifferenceHeader = ["", "A", "B", "B - A", "noise", "difference"];

/// Changes of times to the left (faster) and right (slower) of zero, with the noise as a line.
function changesFigure(caption, list, sorted) {
  const shown = list.filter((d) => d.a_s !== 0 || d.b_s !== 0);
  const unit = timeUnit(shown.map((d) => Math.abs(d.change_s)));
  const rows = shown.map((d) => ({ name: wordsOf(d.name), value: d.change_s * unit.factor, verdict: d.verdict === "none" ? "none" : d.verdict === "less" ? "faster" : "slower",
    low: (d.change_s - (d.half_width_s || 0)) * unit.factor, high: (d.change_s + (d.half_width_s || 0)) * unit.factor,
    text: signedTime(d.change_s), noise: orDash(d.half_width_s, timeText), a: timeText(d.a_s), b: timeText(d.b_s) }));
  const colours = { domain: ["faster", "slower", "none"], range: [colourScale(["combine"]).range[0], colourScale(["hot_expert"]).range[0], cssColour("--soft")] };
  return figure({
    caption, label: caption + " " + rows.map((row) => row.name + " " + row.text + (row.verdict === "none" ? " (none)" : "")).join("; "),
    spec: (width) => ({
      height: rowsHeight(rows.length, rows.length > 30 ? 14 : 24) + 30, data: { values: rows },
      encoding: { y: { field: "name", type: "nominal", sort: sorted ? null : undefined, title: null, axis: { ticks: false, domain: false, labelLimit: 140, labelOverlap: true } } },
      layer: [
        { mark: { type: "bar" }, encoding: { x: { field: "value", type: "quantitative", title: "B - A (" + unit.name + ")", axis: { tickCount: width < 500 ? 4 : 10 } },
          color: { field: "verdict", type: "nominal", scale: colours, legend: legendAbove(width, "difference") },
          tooltip: [{ field: "name", title: "of" }, { field: "a", title: "A" }, { field: "b", title: "B" }, { field: "text", title: "B - A" }, { field: "noise" }, { field: "verdict" }] } },
        { mark: { type: "rule", strokeWidth: 2, color: cssColour("--ink") }, encoding: { x: { field: "low", type: "quantitative" }, x2: { field: "high" } } },
        { data: { values: [{ zero: 0 }] }, mark: { type: "rule" }, encoding: { x: { field: "zero", type: "quantitative" }, y: null } }],
    }),
    header: kDifferenceHeader, rows: () => differenceRows(list, "_s", timeText),
  });
}

function showCompare(report) {
  const step = report.step;
  const isServing = report.step_kind === "serving";
  const what = isServing ? "latency, mean" : "step, mean";
  lead("moesim compare", report.a.scenario + " and " + report.b.scenario, report.seeds.length + " seed(s) from " + report.seeds[0] + ", " + countText(report.steps) + (isServing ? " request(s) each" : " step(s) each"));
  section("summary", "Summary", cards([["A: " + what, timeText(step.a_s), "evidence: " + report.a.evidence.grade], ["B: " + what, timeText(step.b_s), "evidence: " + report.b.evidence.grade],
    ["B - A", signedTime(step.change_s), signedShareText(step.b_s / step.a_s - 1)], ["difference", step.verdict === "none" ? "none" : step.verdict === "less" ? "B is faster" : "B is slower",
      "noise: " + orDash(step.half_width_s, timeText)]]),
    element("p", { class: "quiet" }, report.seeds.length === 1 ? "With one seed the noise is unknown, so every difference is called none."
      : "Noise is half of the 95 % interval of B - A over seeds; a difference within it is called none. A noise of 0 means that the seed draws nothing here."),
    report.layers_a === report.layers_b ? null : element("p", { class: "note" }, "A has " + report.layers_a + " MoE layers and B has " + report.layers_b + "; the first ones are aligned."));
  section("changed", "What was changed", report.changed.length === 0 ? element("p", {}, "The scenarios are the same.")
    : tableElement("Changed keys", ["key", "A", "B"], report.changed.map((key) => [key.key, key.a || "(not set)", key.b || "(not set)"]), [1, 2]));
  const shownTimes = report.times.filter((d) => d.a_s !== 0 || d.b_s !== 0);
  section("path", "Where the time went", report.critical_path.length > 0 ? changesFigure("Critical path of the step, mean: the changes sum to that of the step. The line is the noise.", report.critical_path, true) : null,
    shownTimes.length > 0 ? changesFigure(isServing ? "Times of requests: mean, percentiles and largest. The line is the noise." : "Other times of the step.", shownTimes, true) : null,
    tableElement("Quantities", kDifferenceHeader, [...differenceRows([step, ...report.critical_path, ...report.times], "_s", timeText), ...differenceRows(report.rates, "_per_s", (r) => quantityText("", r)),
      ...differenceRows(report.bytes, "_bytes", bytesText), ...differenceRows(report.ratios, "_ratio", (r) => r.toFixed(4)), ...differenceRows(report.counts, "", (n) => quantityText("", n))]));
  if (report.layers.length > 0) section("layers", "Layers", changesFigure("Makespan of each layer, mean.", report.layers, true));
  for (const [name, side] of [["A", report.a], ["B", report.b]]) {
    section("sources-" + name.toLowerCase(), "Inputs and scenario of " + name, tableElement("Inputs of " + name, ["file", "SHA-256"], side.inputs.map((input) => [input.path, input.sha256]), [0]),
      folded("Resolved scenario of " + name, () => element("pre", { tabindex: "0" }, side.resolved_scenario)));
  }
}
