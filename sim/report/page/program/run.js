// SPDX-License-Identifier: Apache-2.0
// Page of `moesim run` over MoE layers (format moesim-report).
"use strict";

function bandText(evidence, mean) {
  return evidence.band ? "P10-P90: " + timeText(mean * evidence.band.p10_ratio) + " to " + timeText(mean * evidence.band.p90_ratio)
    : "no band: not all phases that matter were measured";
}

function stepCards(summary, evidence) {
  const s = summary.step_s;
  return [
    ["step, mean", timeText(s.mean), evidence && evidence.phases ? bandText(evidence, s.mean) : null],
    summary.steps > 1 ? ["step, P99", timeText(s.p99), "P50 " + timeText(s.p50) + ", max " + timeText(s.max)] : null,
    ["evidence", evidence.grade, evidence.grade === "assumed" ? "compare, do not quote" : "weakest grade that matters"],
  ];
}

function runSummary(document, report) {
  const summary = report.summary;
  const effect = report.fault_effect;
  document.append(cards([...stepCards(summary, report.evidence),
    ["imbalance of ranks", ratioText(summary.rank_imbalance_ratio), "largest / mean, over layers and steps"],
    ["dropped", shareText(summary.dropped_ratio), "gate weight: " + orDash(summary.dropped_gate_weight_ratio, shareText)],
    summary.padding_rows > 0 ? ["padding", shareText(summary.padding_ratio), "of the rows computed"] : null,
    effect ? ["faults cost", signedShareText(effect.step_ratio - 1), "whole cluster: " + timeText(effect.step_mean_without_s)] : null,
    ["flows", countText(summary.flows), countText(summary.network_events) + " network events"]]));
}

/// The critical path of each layer, stacked: its parts sum to the layer's makespan.
function layerPathFigure(layers) {
  const parts = Object.keys(layers[0].critical_path).filter((part) => layers.some((layer) => layer.critical_path[part] > 0));
  const unit = timeUnit(layers.map((layer) => layer.makespan_s));
  const values = layers.flatMap((layer) => parts.map((part, order) => ({ layer: layer.layer, part: wordsOf(part), order,
    value: layer.critical_path[part] * unit.factor, text: timeText(layer.critical_path[part]), whole: timeText(layer.makespan_s) })));
  const slowest = layers.reduce((a, b) => (b.makespan_s > a.makespan_s ? b : a));
  return figure({
    caption: "Critical path of each layer: the parts sum to its makespan. Mean over steps.",
    label: "Critical path by layer; the slowest is layer " + slowest.layer + " with " + timeText(slowest.makespan_s),
    spec: (width) => ({
      height: 280, data: { values },
      mark: { type: "bar" },
      encoding: {
        x: { field: "layer", type: "ordinal", title: "MoE layer", axis: { labelOverlap: "greedy", labelAngle: 0, labelSeparation: 6 } },
        y: { field: "value", type: "quantitative", title: unit.name, stack: "zero" },
        color: { field: "part", type: "nominal", sort: null, legend: legendAbove(width),
          scale: colourScale(parts.map(wordsOf), parts.map((part) => part.replace(/_s$/, ""))) },
        order: { field: "order" },
        tooltip: [{ field: "layer", title: "layer" }, { field: "part" }, { field: "text", title: "time" }, { field: "whole", title: "layer in all" }],
      },
    }),
    header: ["layer", "makespan", ...parts.map(wordsOf)],
    rows: () => layers.map((layer) => [layer.layer, timeText(layer.makespan_s), ...parts.map((part) => timeText(layer.critical_path[part]))]),
  });
}

/// Each phase of each layer: mean rank and slowest rank.
function phaseFigure(layers) {
  const phases = Object.keys(layers[0].phases);
  const unit = timeUnit(layers.flatMap((layer) => phases.map((phase) => layer.phases[phase].max_s)));
  const values = layers.flatMap((layer) => phases.map((phase) => ({ layer: layer.layer, phase,
    mean: layer.phases[phase].mean_s * unit.factor, max: layer.phases[phase].max_s * unit.factor,
    meanText: timeText(layer.phases[phase].mean_s), maxText: timeText(layer.phases[phase].max_s) })));
  const colour = (width) => ({ field: "phase", type: "nominal", sort: null, legend: legendAbove(width), scale: colourScale(phases) });
  const tooltip = [{ field: "layer" }, { field: "phase" }, { field: "maxText", title: "slowest rank" }, { field: "meanText", title: "mean of ranks" }];
  const x = { field: "layer", type: "quantitative", title: "MoE layer", axis: { tickMinStep: 1, format: "d", grid: false }, scale: { nice: false, zero: false, padding: 14 } };
  return figure({
    caption: "Phases of each layer: the line is the slowest rank, the band reaches down to the mean of the ranks. A tall band is imbalance. Phases of different ranks overlap, so they do not add up.",
    label: "Time of gate, dispatch, experts and combine by layer",
    spec: (width) => ({
      height: 260, data: { values },
      layer: [
        ...(layers.length > 1 ? [{ mark: { type: "area", opacity: 0.18 }, encoding: { x, y: { field: "mean", type: "quantitative" }, y2: { field: "max" }, color: colour(width) } },
          { mark: { type: "line", strokeWidth: 1.8 }, encoding: { x, y: { field: "max", type: "quantitative", title: unit.name }, color: colour(width) } }] : []),
        { mark: { type: "rule" }, encoding: { x, y: { field: "mean", type: "quantitative" }, y2: { field: "max" }, color: colour(width), opacity: { value: layers.length > 1 ? 0 : 1 } } },
        { mark: { type: "point", filled: true, size: 36 }, encoding: { x, y: { field: "max", type: "quantitative", title: unit.name }, color: colour(width), tooltip } }],
    }),
    header: ["layer", ...phases.flatMap((phase) => [phase + " slowest", phase + " mean"])],
    rows: () => layers.map((layer) => [layer.layer, ...phases.flatMap((phase) => [timeText(layer.phases[phase].max_s), timeText(layer.phases[phase].mean_s)])]),
  });
}

/// Load of experts or ranks by layer against the mean of the layer.
function loadFigure(what, loads, steps) {
  const { block, cells, mean } = loads;
  const name = (i) => (block === 1 ? String(i) : i * block + "-" + (i * block + block - 1));
  const hottest = cells.flatMap((row, y) => row.map((v, x) => ({ v: mean[y] > 0 ? v / mean[y] : 0, x, y }))).reduce((a, b) => (b.v > a.v ? b : a));
  return matrixFigure({
    caption: (what === "expert" ? "Assignments that the gate gave each expert, before capacity" : "Assignments that each rank computes, after capacity") +
      ", against the mean of the layer" + (block > 1 ? "; a cell is the busiest of " + block + " " + what + "s" : "") +
      (steps > 1 ? "; sum of " + steps + " steps." : "."),
    label: "Load by layer and " + what + "; the hottest is " + what + " " + name(hottest.x) + " of layer " + hottest.y + " with " + ratioText(hottest.v) + " times the mean",
    xs: cells[0].map((_, x) => name(x)), ys: cells.map((_, y) => String(y)), xTitle: what, yTitle: "layer", what: "assignments, / mean",
    aroundOne: true, legend: "load / mean of the layer",
    value: (y, x) => (mean[y] > 0 ? cells[y][x] / mean[y] : 0),
    text: (y, x) => countText(cells[y][x]) + ", " + ratioText(mean[y] > 0 ? cells[y][x] / mean[y] : 0),
    cellText: (y, x) => countText(cells[y][x]),
  });
}

function trafficFigure(traffic) {
  const n = traffic.ranks_per_cell;
  const name = (i) => (n === 1 ? String(i) : i * n + "-" + (i * n + n - 1));
  const names = traffic.dispatch_bytes.map((_, i) => name(i));
  const top = Math.max(...traffic.dispatch_bytes.flat());
  return matrixFigure({
    caption: "Dispatch bytes from each rank to each rank, all layers and steps: one copy of a token for each rank that needs it, whatever way it takes" +
      (n > 1 ? "; a cell is " + n + " x " + n + " ranks." : "."),
    label: "Traffic between ranks; the busiest pair moves " + bytesText(top),
    xs: names, ys: names, xTitle: "to rank", yTitle: "from rank", what: "bytes", square: true, legend: "bytes", legendFormat: ".2~s",
    value: (y, x) => traffic.dispatch_bytes[y][x], text: (y, x) => bytesText(traffic.dispatch_bytes[y][x]),
    cellText: (y, x) => bytesText(traffic.dispatch_bytes[y][x]),
  });
}

function evidenceTable(evidence) {
  return tableElement("Evidence of each phase", ["phase", "grade", "kernel", "P10", "P90", "outside the measured range"],
    Object.entries(evidence.phases).map(([phase, of]) => [phase, of.grade, of.kernel || "–",
      orDash(of.band && of.band.p10_ratio, ratioText), orDash(of.band && of.band.p90_ratio, ratioText), of.outside.join("; ") || "–"]), [1, 2, 5]);
}

function sourcesSection(report) {
  section("sources", "Inputs and scenario",
    element("p", { class: "lead" }, "The run can be repeated from what stands here: moesim " + report.moesim_version + ", seed " + report.seed + "."),
    tableElement("Inputs", ["file", "SHA-256"], (report.inputs || []).map((input) => [input.path, input.sha256]), [0]),
    folded("Resolved scenario", () => element("pre", { tabindex: "0" }, report.resolved_scenario)));
}

function showRun(report, extra) {
  const summary = report.summary;
  const layers = summary.layers;
  const routing = report.routing;
  lead("moesim run", report.scenario, summary.steps + " step(s) of " + layers.length + " MoE layers; routing: " + routing.model + " (" + routing.origin + "), " +
    routing.experts + " experts, top-" + routing.top_k);
  const top = section("summary", "Summary");
  runSummary(top, report);
  top.append(...noteElements(report.notes), ...noteElements(report.faults.map((fault) => "fault: " + fault)));
  section("path", "Where the time goes",
    partsFigure("Critical path of a step, mean over steps: the parts sum to the mean step time.", summary.critical_path),
    layerPathFigure(layers), phaseFigure(layers));
  section("load", "Experts and ranks", element("h3", {}, "Experts"), loadFigure("expert", extra.experts, summary.steps),
    element("h3", {}, "Ranks"), loadFigure("rank", extra.ranks, summary.steps));
  const network = section("network", "Network", element("h3", {}, "Traffic between ranks"), trafficFigure(extra.traffic));
  network.append(...linkParts(extra));
  if (report.steps.length > 1) section("steps", "Steps", stepsFigure(report.steps, summary.step_s));
  section("evidence", "Evidence", element("p", {}, "Constants: " + report.evidence.source + "."), evidenceTable(report.evidence));
  sourcesSection(report);
}
