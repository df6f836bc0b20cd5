// SPDX-License-Identifier: Apache-2.0
// Pages of `moesim run --backend gpu` (format moesim-gpu-report) and `both` (moesim-comparison).
"use strict";

const kPhaseNames = ["gate", "dispatch", "experts", "combine"];
const localText = (phase, whole) => phase + (whole ? "" : " (local)");

/// Bars in groups of two. @param rows {row, side, s}
function pairsFigure(caption, rows, sides, colours, title) {
  const unit = timeUnit(rows.map((row) => row.s));
  const values = rows.map((row) => ({ ...row, v: row.s * unit.factor, text: timeText(row.s) }));
  const names = [...new Set(rows.map((row) => row.row))];
  return figure({
    caption, label: caption + " " + names.slice(0, 6).map((name) => name + ": " + values.filter((value) => value.row === name).map((value) => value.side + " " + value.text).join(", ")).join("; "),
    spec: (width) => ({
      height: rowsHeight(names.length, 38) + 30, data: { values },
      encoding: { y: { field: "row", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelLimit: 160 } }, yOffset: { field: "side", sort: sides } },
      layer: [{ mark: { type: "bar", cornerRadiusEnd: 2 }, encoding: { x: { field: "v", type: "quantitative", title: title + " (" + unit.name + ")", scale: { nice: false, domain: [0, Math.max(...values.map((value) => value.v)) * (width < 500 ? 1.5 : 1.15)] } },
        color: { field: "side", type: "nominal", sort: sides, legend: legendFor(width, sides), scale: colourScale(sides, colours) }, tooltip: [{ field: "row", title: "of" }, { field: "side", title: "is" }, { field: "text", title: "time" }] } },
      { mark: { type: "text", align: "left", dx: 5, fontSize: 11 }, encoding: { x: { field: "v", type: "quantitative" }, text: { field: "text" } } }],
    }),
  });
}

function gpuHead(report) {
  return cards([["device", report.device, report.gpus_attached + " attached"], ["ranks", countText(report.ranks), report.network_measured ? "one a GPU, transfers measured" : "in turn on one GPU, without transfers"],
    ...kPhaseNames.map((phase) => [localText(phase, report.summary.phases[phase].whole), timeText(report.summary.phases[phase].max_s), "slowest rank, all layers; mean " + timeText(report.summary.phases[phase].mean_s)])]);
}

/// Each stage of the layers: slowest rank, mean over layers and steps.
function stagesTable(report) {
  const sums = new Map();
  let layers = 0;
  for (const step of report.steps) {
    for (const layer of step.layers) {
      ++layers;
      for (const [stage, times] of Object.entries(layer.stages)) {
        const sum = sums.get(stage) || { mean: 0, max: 0 };
        sums.set(stage, { mean: sum.mean + times.mean_s, max: sum.max + times.max_s });
      }
    }
  }
  return tableElement("Stages of a layer", ["stage", "mean of ranks", "slowest rank"], [...sums].map(([stage, sum]) => [stage.replaceAll("_", " "), timeText(sum.mean / layers), timeText(sum.max / layers)]));
}

function showGpu(report) {
  lead("moesim run --backend gpu", report.scenario, report.steps.length + " step(s) of " + report.steps[0].layers.length + " MoE layers, measured on " + report.device);
  section("summary", "Summary", gpuHead(report), ...noteElements(report.notes));
  section("phases", "Phases", pairsFigure("Each phase summed over layers, mean over steps; (local): without the transfer.", kPhaseNames.flatMap((phase) => { const of = report.summary.phases[phase]; return [
    { row: localText(phase, of.whole), side: "mean of ranks", s: of.mean_s }, { row: localText(phase, of.whole), side: "slowest rank", s: of.max_s }]; }), ["mean of ranks", "slowest rank"], ["sender", "hot_link"], "time"),
  element("h3", {}, "Stages of a layer, mean over layers and steps"), stagesTable(report));
  section("missing", "Not measured", element("p", {}, report.not_measured.join(", ") + "."));
  sourcesSection(report);
}

const errorText = (row, of) => (row.whole ? orDash(row[of + "_error_ratio"], signedShareText) : "not comparable");

function errorsFigure(layers) {
  const values = layers.flatMap((layer) => kPhaseNames.filter((phase) => layer.phases[phase].max_error_ratio !== null).map((phase) => ({ layer: layer.layer, phase, error: layer.phases[phase].max_error_ratio,
    text: signedShareText(layer.phases[phase].max_error_ratio), simulated: timeText(layer.phases[phase].simulated.max_s), measured: timeText(layer.phases[phase].measured.max_s) })));
  if (values.length === 0) return null;
  const shown = kPhaseNames.filter((phase) => values.some((value) => value.phase === phase));
  return figure({
    caption: "Error of the slowest rank in each layer: simulated / measured - 1.", label: "Errors by layer and phase",
    spec: (width) => ({
      height: 220,
      layer: [{ data: { values: [{ error: 0 }] }, mark: { type: "rule" }, encoding: { y: { field: "error", type: "quantitative" } } },
        { data: { values }, mark: { type: "point", filled: true, size: 55 }, encoding: { x: { field: "layer", type: "quantitative", title: "MoE layer", axis: { tickMinStep: 1, format: "d", grid: false }, scale: { nice: false, zero: false, padding: 14 } },
          y: { field: "error", type: "quantitative", title: "error", axis: { format: "+~%" }, scale: { padding: 10 } }, color: { field: "phase", type: "nominal", sort: null, legend: legendFor(width, shown), scale: colourScale(shown) },
          tooltip: [{ field: "layer" }, { field: "phase" }, { field: "simulated" }, { field: "measured" }, { field: "text", title: "error" }] } }],
    }),
    header: ["layer", ...shown], rows: () => layers.map((layer) => [layer.layer, ...shown.map((phase) => errorText(layer.phases[phase], "max"))]),
  });
}

function showComparison(report) {
  const { simulated, measured } = report;
  lead("moesim run --backend both", simulated.scenario, "simulated (evidence: " + simulated.evidence.grade + ") beside measured on " + measured.device);
  const compared = kPhaseNames.filter((phase) => report.phases[phase].whole);
  section("summary", "Summary", cards(compared.map((phase) => [phase + ", error", errorText(report.phases[phase], "max"), "slowest rank; mean " + errorText(report.phases[phase], "mean")])),
    element("p", { class: "quiet" }, "Error: simulated / measured - 1, all layers."), ...noteElements(measured.notes));
  const rows = (of) => kPhaseNames.flatMap((phase) => [["simulated", report.phases[phase].simulated[of]], ["measured", report.phases[phase].measured[of]]].map(([side, s]) => ({ row: localText(phase, report.phases[phase].whole), side, s })));
  section("phases", "Phases", pairsFigure("Slowest rank, summed over layers; (local): the measured part holds no transfer, so the two are not comparable.", rows("max_s"), ["simulated", "measured"], ["dispatch", "hot_expert"], "time"),
    tableElement("Phases", ["phase", "mean simulated", "measured", "error", "slowest simulated", "measured", "error"], kPhaseNames.map((phase) => { const row = report.phases[phase];
      return [localText(phase, row.whole), timeText(row.simulated.mean_s), timeText(row.measured.mean_s), errorText(row, "mean"), timeText(row.simulated.max_s), timeText(row.measured.max_s), errorText(row, "max")]; })));
  const errors = errorsFigure(report.layers);
  if (errors) section("layers", "Layers", errors);
  section("stages", "Stages measured", stagesTable(measured));
  sourcesSection(simulated);
}
