// SPDX-License-Identifier: Apache-2.0
// Charts: one figure each with caption, drawing, spoken label and table. Redrawn when the theme changes.
"use strict";

const allCharts = [];

const isDark = () => document.documentElement.dataset.theme === "dark";
const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/// Dispatch is blue, experts orange, combine green, whatever the page.
const kColours = {
  gate: ["#8a6fc9", "#b39ddb"],
  launch_latency: ["#8b8f96", "#a8adb5"],
  sender: ["#8cc3e8", "#a6d4f2"],
  hot_link: ["#0b5cad", "#3d8fe0"],
  receiver: ["#4a98d3", "#6fb5ea"],
  dispatch: ["#0b5cad", "#5aa5ec"],
  experts: ["#f0a35e", "#f4b67e"],
  hot_expert: ["#c44900", "#ff7d33"],
  combine: ["#2e8b57", "#5cc98c"],
  straggler_wait: ["#b3175b", "#f06ba8"],
  attention: ["#6a3fa0", "#b28ae6"],
  tensor_parallel: ["#12808a", "#4cc3cd"],
  dense: ["#a8821a", "#e0bd57"],
  head: ["#5b6472", "#8d98a8"],
  slowed: ["#d98cb3", "#f2b6d2"],
  host: ["#3f4650", "#c3cad4"],
  pipeline: ["#7fb069", "#a5d68f"],
  bubble: ["#b9bec7", "#6f7783"],
  gradients: ["#7a2e12", "#d9825f"],
  weights: ["#1d4f73", "#86b6d9"],
  optimiser: ["#c9b800", "#fff066"],
};
const kSpare = [["#0b5cad", "#5aa5ec"], ["#c44900", "#ff9457"], ["#2e8b57", "#5cc98c"], ["#8a6fc9", "#b39ddb"],
  ["#a8821a", "#e0bd57"], ["#b3175b", "#f06ba8"], ["#12808a", "#4cc3cd"], ["#5b6472", "#a8adb5"]];

function colourScale(names, keys = names) {
  let spare = 0;
  return { domain: names, range: keys.map((key) => (kColours[key] || kSpare[spare++ % kSpare.length])[isDark() ? 1 : 0]) };
}

/// From nothing to much.
const heatRange = () => (isDark() ? ["#1d2128", "#3b4f8f", "#b0508f", "#f7a13d", "#fff3b0"]
  : ["#f4f5f7", "#a9c7e8", "#5b8fd0", "#2f4f9f", "#1b1f4b"]);
/// Below, at and above the mean.
const aroundOneRange = () => (isDark() ? ["#4fa3f0", "#262b33", "#ff8a3d"] : ["#2166ac", "#f4f4f4", "#b8480a"]);

function themeConfig() {
  const ink = cssColour("--ink"), soft = cssColour("--soft"), line = cssColour("--line");
  return {
    background: "transparent",
    font: "system-ui, 'DejaVu Sans', sans-serif",
    view: { stroke: null },
    axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12,
      titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.6 },
    legend: { labelColor: ink, titleColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", symbolType: "square", symbolOpacity: 1,
      labelLimit: 280 },
    text: { color: ink },
    rule: { color: soft },
    title: { color: ink },
  };
}

/// Of a chart with a bar a row and an axis below.
const rowsHeight = (rows, step) => rows * step + 45;

/// A legend above the chart, in columns that fit its width.
const legendAbove = (width, title = null) => ({ title, orient: "top", columns: Math.max(2, Math.floor(width / 135)), direction: "horizontal" });

async function draw(chart) {
  const width = Math.max(240, chart.host.clientWidth);
  const spec = { width: "container", autosize: { type: "fit", contains: "padding" }, ...chart.spec(width) };
  const result = await vegaEmbed(chart.host.firstChild, spec, {
    actions: false, renderer: chart.canvas ? "canvas" : "svg", config: themeConfig(), ast: false, tooltip: { theme: "custom" } });
  if (chart.view) chart.view.finalize();
  chart.view = result.view;
  const drawing = chart.host.querySelector("svg, canvas");
  drawing.setAttribute("aria-hidden", "true");
}

async function drawAll() {
  for (const chart of allCharts) await draw(chart);
  document.documentElement.dataset.drawn = String(allCharts.length);
}

/// @param of  {caption, label (what is heard), spec(width), canvas, header, rows(), words}
function figure(of) {
  const host = element("div", { class: "chart", role: "img", "aria-label": of.label || of.caption }, element("div", {}));
  allCharts.push({ host, spec: of.spec, canvas: of.canvas === true, view: null });
  return element("figure", {}, element("figcaption", {}, of.caption), host,
    of.header ? folded("Table", () => tableElement(of.label || of.caption, of.header, of.rows(), of.words)) : null);
}

/// Seconds of each part as bars with their share of the whole.
function partsFigure(caption, parts) {
  const names = Object.keys(parts).filter((key) => parts[key] > 0);
  const total = names.reduce((sum, key) => sum + parts[key], 0);
  const unit = timeUnit(names.map((key) => parts[key]));
  const plain = names.map((key) => key.replace(/_s$/, ""));
  const rows = names.map((key) => ({ part: wordsOf(key), value: parts[key] * unit.factor,
    text: timeText(parts[key]) + ", " + (100 * parts[key] / total).toFixed(1) + " %" }));
  return figure({
    caption,
    label: caption + " " + rows.map((row) => row.part + " " + row.text).join("; "),
    spec: (width) => ({
      height: rowsHeight(rows.length, 26), data: { values: rows },
      encoding: { y: { field: "part", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelLimit: 160 } },
        x: { field: "value", type: "quantitative", title: unit.name, axis: { tickCount: 8 },
          scale: { domain: [0, Math.max(...rows.map((row) => row.value)) * (width < 500 ? 1.9 : 1.25)], nice: false } } },
      layer: [
        { mark: { type: "bar", cornerRadiusEnd: 2 }, encoding: {
          color: { field: "part", type: "nominal", legend: null, scale: colourScale(rows.map((row) => row.part), plain) },
          tooltip: [{ field: "part" }, { field: "text", title: "time, share" }] } },
        { mark: { type: "text", align: "left", dx: 6, fontSize: 12 }, encoding: { text: { field: "text" } } }],
    }),
    header: ["part", "time", "share"],
    rows: () => names.map((key) => [wordsOf(key), timeText(parts[key]), shareText(parts[key] / total)]),
  });
}

/// Step times in order, with the mean and P99.
function stepsFigure(steps, spread) {
  const unit = timeUnit(steps.map((step) => step.makespan_s));
  const marks = [["mean", spread.mean], ["P99", spread.p99]].map(([name, s]) => ({ name: name + " " + timeText(s), value: s * unit.factor }));
  return figure({
    caption: "Makespan of each step. The steps are independent; the spread is that of the routing.",
    label: "Step times: mean " + timeText(spread.mean) + ", P50 " + timeText(spread.p50) + ", P99 " + timeText(spread.p99),
    canvas: steps.length > 500,
    spec: () => ({
      height: 220,
      layer: [
        { data: { values: steps.map((step) => ({ step: step.step, value: step.makespan_s * unit.factor, text: timeText(step.makespan_s) })) },
          mark: { type: "point", filled: true, size: steps.length > 200 ? 16 : 50, color: colourScale(["dispatch"]).range[0] },
          encoding: { x: { field: "step", type: "quantitative", title: "step", axis: { tickMinStep: 1, format: "d", grid: false }, scale: { nice: false, padding: 12 } },
            y: { field: "value", type: "quantitative", title: unit.name, scale: { zero: false, padding: 14 } },
            tooltip: [{ field: "step" }, { field: "text", title: "time" }] } },
        { data: { values: marks }, mark: { type: "rule", strokeDash: [5, 4] }, encoding: { y: { field: "value", type: "quantitative" } } },
        { data: { values: marks }, mark: { type: "text", align: "right", dy: -7, fontSize: 12 },
          encoding: { y: { field: "value", type: "quantitative" }, x: { value: "width" }, text: { field: "name" } } }],
    }),
    header: ["step", "time"], rows: () => steps.map((step) => [step.step, timeText(step.makespan_s)]),
  });
}

/// A matrix as coloured cells. @param of {caption, label, xs, ys, xTitle, yTitle, cells: [[row]], value(cell) for the colour,
/// text(cell, x, y) for the tooltip, aroundOne, legend, cellText}
function matrixFigure(of) {
  const values = [];
  for (let y = 0; y < of.ys.length; ++y) {
    for (let x = 0; x < of.xs.length; ++x) values.push({ x: of.xs[x], y: of.ys[y], v: of.value(y, x), t: of.text(y, x) });
  }
  const top = Math.max(...values.map((cell) => cell.v), of.aroundOne ? 1.001 : 1e-300);
  const height = Math.min(600, 110 + of.ys.length * (of.ys.length > 40 ? 8 : 16));
  return figure({
    caption: of.caption, label: of.label, canvas: true,
    spec: (width) => ({
      height: of.square ? Math.min(width * 0.75, 560) : height,
      data: { values },
      mark: { type: "rect", tooltip: true },
      encoding: {
        x: { field: "x", type: "ordinal", title: of.xTitle, sort: null, axis: { labelOverlap: "greedy", labelAngle: 0, ticks: false, domain: false, labelSeparation: 6 } },
        y: { field: "y", type: "ordinal", title: of.yTitle, sort: null, axis: { labelOverlap: "greedy", ticks: false, domain: false, labelSeparation: 2 } },
        color: { field: "v", type: "quantitative",
          scale: of.aroundOne ? { domain: [0, 1, top], range: aroundOneRange(), interpolate: "rgb" } : { domain: [0, top], range: heatRange(), interpolate: "rgb" },
          legend: { title: of.legend, orient: "top", gradientLength: Math.min(240, width - 60), format: of.legendFormat || ".2~f", tickCount: 4 } },
        tooltip: [{ field: "y", title: of.yTitle }, { field: "x", title: of.xTitle }, { field: "t", title: of.what }],
      },
      config: { scale: { bandPaddingInner: of.xs.length > 100 ? 0 : 0.04, rectBandPaddingInner: of.xs.length > 100 ? 0 : 0.04 } },
    }),
    header: [of.yTitle + " \\ " + of.xTitle, ...of.xs],
    rows: () => of.ys.map((name, y) => [name, ...of.xs.map((_, x) => of.cellText(y, x))]),
  });
}
