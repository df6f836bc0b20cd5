// SPDX-License-Identifier: Apache-2.0
// Page of the points of a study (`moesim sweep`, `moesim results`; format moesim-results).
"use strict";

const kNoSetting = ["point", "state", "message", "seconds"];
const isMetric = (column) => /^(summary|steps|memory|money|evidence)\b/.test(column) && !kSettingsOfTables.some((table) => column.startsWith(table));
const kSettingsOfTables = ["memory.kv_dtype", "memory.recompute", "memory.zero_stage", "memory.gradient_dtype", "memory.reserved"];
/// The last key of a path that states a unit: summary.step_s.p99 is a time.
const unitKey = (column) => column.split(".").reverse().find((part) => /_(s|bytes|ratio|flops)$|flops/.test(part)) || column.split(".").pop();
const columnName = (column) => column.replace(/^summary\./, "");
const columnText = (column, value) => (typeof value === "number" && isMetric(column) ? quantityText(unitKey(column), value) : String(value));

function resultColumns(report) {
  const distinct = (column, points = report.points) => [...new Set(points.map((point) => point[column]))];
  const filled = report.columns.filter((column) => report.points.some((point) => point[column] !== null && point[column] !== undefined));
  const settings = filled.filter((column) => !kNoSetting.includes(column) && !isMetric(column) && distinct(column).length > 1);
  const metrics = filled.filter((column) => isMetric(column) && report.points.some((point) => typeof point[column] === "number"));
  return { distinct, filled, settings, metrics };
}

function pointsFigure(report, columns, state) {
  const { settings, metrics } = columns;
  const axesFrom = [...settings, ...metrics];
  const spec = (width) => {
    const rows = state.rows.filter((point) => point[state.x] != null && typeof point[state.y] === "number");
    const isTime = /_s$/.test(unitKey(state.y)) && !/_per_s$/.test(unitKey(state.y)) && isMetric(state.y);
    const unit = isTime ? timeUnit(rows.map((point) => point[state.y])) : { factor: 1, name: "" };
    const isNumber = rows.every((point) => typeof point[state.x] === "number");
    const colours = state.colour ? [...new Set(rows.map((point) => String(point[state.colour])))] : [];
    const values = rows.map((point, i) => ({ x: point[state.x], y: point[state.y] * unit.factor, colour: state.colour ? String(point[state.colour]) : "", order: i, point: point.point,
      yText: columnText(state.y, point[state.y]), xText: columnText(state.x, point[state.x]), settings: settings.map((column) => column + " = " + point[column]).join(", ") }));
    const x = isNumber ? { field: "x", type: "quantitative", title: columnName(state.x), scale: state.log && values.every((value) => value.x > 0) ? { type: "log", base: 2, nice: false, padding: 16 } : { zero: false, padding: 16 }, axis: { format: "~s", labelOverlap: true, tickCount: 7 } }
      : { field: "x", type: "nominal", sort: null, title: columnName(state.x), axis: { labelAngle: colours.length < 7 && width > 600 ? 0 : -40, labelOverlap: true, labelLimit: 140 } };
    const y = { field: "y", type: "quantitative", title: columnName(state.y) + (unit.name ? " (" + unit.name + ")" : ""), scale: { zero: false, padding: 14 }, axis: { format: "~s", tickCount: 6 } };
    const colour = state.colour ? { color: { field: "colour", type: "nominal", sort: null, scale: colourScale(colours), legend: { ...legendFor(width, colours), title: columnName(state.colour) } } } : { color: { value: colourScale(["dispatch"]).range[0] } };
    return {
      height: Math.min(400, Math.max(260, width * 0.5)), data: { values },
      layer: [...(settings.includes(state.x) ? [{ mark: { type: "line", strokeWidth: 1.5, opacity: 0.7 }, encoding: { x, y: { ...y, aggregate: "mean" }, ...colour } }] : []),
        { mark: { type: "point", filled: true, size: 60, opacity: 0.85 }, encoding: { x, y, ...colour,
          tooltip: [{ field: "point" }, { field: "xText", title: columnName(state.x) }, { field: "yText", title: columnName(state.y) }, { field: "settings" }] } }],
    };
  };
  const chart = figure({ caption: "A dot is a point; lines join the means where other settings differ. Choose what to see:", label: "Points of the study " + report.study + ": " + columnName(state.y) + " against " + columnName(state.x), spec });
  const change = (of) => (value) => {
    state[of] = value;
    chart.querySelector(".chart").setAttribute("aria-label", "Points of the study " + report.study + ": " + columnName(state.y) + " against " + columnName(state.x));
    redraw(chart);
  };
  const named = (list) => list.map((column) => [column, columnName(column)]);
  chart.querySelector("figcaption").after(choices(chooser("across", named(axesFrom), state.x, change("x")), chooser("upwards", named([...metrics, ...settings]), state.y, change("y")),
    chooser("colour", [["", "none"], ...named(settings)], state.colour, change("colour")), chooser("scale across", [["", "even"], ["log", "logarithmic"]], state.log ? "log" : "", (value) => change("log")(value === "log"))));
  return chart;
}

function showResults(report, extra) {
  const columns = resultColumns(report);
  const done = report.points.filter((point) => point.state === "done" || point.state === undefined);
  const refused = report.points.filter((point) => point.state === "refused");
  lead("moesim results", report.study, countText(report.points.length + extra.left_out) + " points, " + countText(done.length) + " done" + (refused.length > 0 ? ", " + countText(refused.length) + " refused" : ""));
  if (extra.left_out > 0) section("summary", "Summary", element("p", { class: "note" }, "The page shows the first " + countText(report.points.length) + " points; results.csv has all of them."));
  const { settings, metrics, distinct } = columns;
  const varied = settings.filter((column) => distinct(column, done).length > 1);
  const across = varied[0] || metrics[1] || metrics[0];
  const state = { x: across, y: metrics[0], colour: varied.find((column) => column !== across && distinct(column, done).length <= 8) || "", log: false, rows: done };
  const chart = metrics.length > 0 && done.length > 0 ? pointsFigure(report, columns, state) : null;
  const table = sortableTable("Points", columns.filled.filter((column) => column !== "message").map((column) => ({ name: columnName(column), value: (point) => point[column], text: (value) => columnText(column, value) })), report.points);
  const wanted = {};
  const apply = () => {
    const holds = (point) => Object.entries(wanted).every(([column, value]) => value === "" || String(point[column]) === value);
    state.rows = done.filter(holds);
    table.show(report.points.filter(holds));
    if (chart) redraw(chart);
  };
  const filters = [...settings, "evidence.grade", "state"].filter((column) => report.columns.includes(column) && distinct(column).length > 1 && distinct(column).length <= 30).map((column) =>
    chooser(columnName(column), [["", "all"], ...distinct(column).map((value) => [String(value), String(value)])], "", (value) => { wanted[column] = value; apply(); }));
  if (filters.length > 0) section("filter", "Filter", element("p", { class: "quiet" }, "Of chart and table."), choices(...filters));
  if (chart) section("chart", "Chart", chart);
  section("points", "Points", element("p", { class: "quiet" }, "A click on a heading sorts."), table);
  if (refused.length > 0) section("refused", "Refused", tableElement("Refused points", ["point", "message"], refused.slice(0, 200).map((point) => [point.point, String(point.message).split("\n")[0]]), [1]));
}
