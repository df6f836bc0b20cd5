// SPDX-License-Identifier: Apache-2.0
// Page of `moesim plan` (format moesim-plan).
"use strict";

/// What an objective is called in a score, and how it reads.
const kObjectives = {
  throughput: ["tokens_per_s_per_gpu", "tokens/s a GPU"],
  latency: ["latency_s", "latency"],
  cost: ["usd_per_million_tokens", "USD per million tokens"],
};
const scoreKey = (objective) => (kObjectives[objective] || [objective])[0];
const scoreName = (key) => (Object.values(kObjectives).find(([of]) => of === key) || [key, key.replaceAll("_", " ")])[1];
const scoreText = (key, value) => orDash(value, (v) => (/usd/.test(key) ? quantityText("", v) + " USD" : quantityText(key, v)));
/// In the unit of an axis.
const scoreUnit = (key, values) => (/_s$/.test(key) && !/_per_s$/.test(key) ? timeUnit(values) : { factor: 1, name: "" });

const settingsText = (row) => Object.entries(row.settings).map(([key, value]) => key + " = " + value).join(", ");
const resourceText = (row) => (row.limit ? row.limit.resource : "unknown");

const kPlaceShapes = ["circle", "square", "triangle-up"];

function planPoints(report) {
  const front = new Set(report.front);
  return report.configurations.filter((row) => row.score).map((row) => ({ row, onFront: front.has(row.configuration), isChoice: row.configuration === report.choice,
    isOver: row.state !== "feasible", values: { ...row.score, gpus: row.gpus, memory_ratio: row.memory_ratio } }));
}

function frontFigure(report) {
  const points = planPoints(report);
  const keys = Object.keys(points[0].values).filter((key) => points.some((point) => point.values[key] !== null));
  const objectives = report.objectives.map(scoreKey).filter((key) => keys.includes(key));
  const axes = { x: objectives.find((key) => key !== objectives[0]) || keys[1], y: objectives[0] || keys[0] };
  const resources = [...new Set(points.map((point) => resourceText(point.row)))].sort();
  const places = ["on the front", "feasible", "over a limit"];
  const place = (point) => (point.onFront ? places[0] : point.isOver ? places[2] : places[1]);
  const options = keys.map((key) => [key, scoreName(key)]);
  const isOverSome = points.some((point) => point.isOver) && points.some((point) => !point.isOver);
  let isWithin = isOverSome;
  const spec = (width) => {
    const shown = points.filter((point) => !isWithin || !point.isOver);
    const units = { x: scoreUnit(axes.x, shown.map((point) => point.values[axes.x])), y: scoreUnit(axes.y, shown.map((point) => point.values[axes.y])) };
    const values = shown.filter((point) => point.values[axes.x] !== null && point.values[axes.y] !== null).map((point) => ({ x: point.values[axes.x] * units.x.factor, y: point.values[axes.y] * units.y.factor,
      place: place(point), resource: resourceText(point.row), n: "configuration " + point.row.configuration + (point.isChoice ? " (the choice)" : ""), settings: settingsText(point.row), isChoice: point.isChoice,
      limit: point.row.limit ? point.row.limit.part.replaceAll("_", " ") + ", " + shareText(point.row.limit.share_ratio) : "–", gpus: point.row.gpus, xText: scoreText(axes.x, point.values[axes.x]), yText: scoreText(axes.y, point.values[axes.y]) }));
    const axis = (of) => ({ field: of, type: "quantitative", title: scoreName(axes[of]) + (units[of].name ? " (" + units[of].name + ")" : ""), scale: { zero: false, padding: 16 }, axis: { format: "~s", tickCount: 6 } });
    const isPair = objectives.length === 2 && [axes.x, axes.y].every((key) => objectives.includes(key));
    return {
      height: Math.min(420, Math.max(280, width * 0.55)),
      layer: [
        ...(isPair ? [{ data: { values: values.filter((value) => value.place === places[0]) }, mark: { type: "line", strokeWidth: 1, strokeDash: [4, 3], color: cssColour("--soft") }, encoding: { x: axis("x"), y: axis("y"), order: { field: "x" } } }] : []),
        ...[[places.slice(1), false], [places.slice(0, 1), true]].map(([of, filled]) => ({ data: { values: values.filter((value) => of.includes(value.place)) }, mark: { type: "point", size: 85, strokeWidth: 1.8, filled, opacity: 1 }, encoding: { x: axis("x"), y: axis("y"),
          color: { field: "resource", type: "nominal", sort: null, legend: { ...legendFor(width, resources), title: "limited by" }, scale: colourScale(resources) },
          shape: { field: "place", type: "nominal", sort: null, scale: { domain: places, range: kPlaceShapes }, legend: { ...legendFor(width, places), ...(width < 500 ? { columns: 1 } : {}), symbolStrokeColor: cssColour("--ink"), symbolFillColor: "transparent", symbolType: undefined } },
          tooltip: [{ field: "n", title: "is" }, { field: "place", title: "stands" }, { field: "xText", title: scoreName(axes.x) }, { field: "yText", title: scoreName(axes.y) }, { field: "gpus", title: "GPUs" }, { field: "limit", title: "limited by" }, { field: "settings" }] } })),
        { data: { values: values.filter((value) => value.isChoice) }, mark: { type: "point", size: 330, strokeWidth: 2, color: cssColour("--ink") }, encoding: { x: axis("x"), y: axis("y") } }],
    };
  };
  const chart = figure({ caption: "Simulated configurations: full dots are on the Pareto front, the choice is ringed" + (isOverSome ? ", triangles are over a limit" : "") + ". Colour: the resource that limits it.",
    label: points.length + " simulated configurations, " + report.front.length + " on the front", spec });
  chart.querySelector("figcaption").after(choices(chooser("across", options, axes.x, (key) => { axes.x = key; redraw(chart); }), chooser("upwards", options, axes.y, (key) => { axes.y = key; redraw(chart); }),
    ...(isOverSome ? [chooser("show", [["within", "those within the limits"], ["all", "all simulated"]], "within", (value) => { isWithin = value === "within"; redraw(chart); })] : [])));
  return chart;
}

/// What a change of each input does to the choice, widest first.
function tornadoFigure(report, base) {
  const { swings, vary_ratio: vary, objective } = report.sensitivity;
  const key = scoreKey(objective);
  const unit = scoreUnit(key, swings.flatMap((swing) => [swing.low, swing.high]));
  const sides = ["input lower", "input higher"];
  const values = swings.flatMap((swing) => [[sides[0], swing.low], [sides[1], swing.high]].map(([side, value]) => ({ input: swing.input, side, value: value * unit.factor, base: base * unit.factor,
    text: scoreText(key, value), change: signedShareText(value / base - 1) })));
  return figure({
    caption: scoreName(key) + " of the choice when one input is " + shareText(vary) + " lower or higher; the line is the choice as it stands.",
    label: "Sensitivity: " + swings.slice(0, 3).map((swing) => swing.input + " " + scoreText(key, swing.low) + " to " + scoreText(key, swing.high)).join("; "),
    spec: (width) => ({
      height: rowsHeight(swings.length, 26) + 30, data: { values },
      encoding: { y: { field: "input", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelLimit: width < 500 ? 130 : 300 } } },
      layer: [{ mark: { type: "bar", height: { band: 0.7 } }, encoding: { x: { field: "base", type: "quantitative", title: scoreName(key) + (unit.name ? " (" + unit.name + ")" : ""), scale: { zero: false, padding: 10 } }, x2: { field: "value" },
        color: { field: "side", type: "nominal", sort: null, legend: legendFor(width, sides), scale: colourScale(sides, ["dispatch", "hot_expert"]) }, tooltip: [{ field: "input" }, { field: "side", title: "with" }, { field: "text", title: scoreName(key) }, { field: "change" }] } },
      { data: { values: [{ base: base * unit.factor }] }, mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x: { field: "base", type: "quantitative" }, y: null } }],
    }),
    header: ["input", "lower", "higher"], rows: () => swings.map((swing) => [swing.input, scoreText(key, swing.low), scoreText(key, swing.high)]),
  });
}

function sensitivityParts(report, choice) {
  const { swings, thresholds, objective } = report.sensitivity;
  const base = choice.score[scoreKey(objective)];
  const parts = swings.length > 0 ? [tornadoFigure(report, base)] : [];
  if (thresholds.length > 0) {
    parts.push(element("h3", {}, "What would change the choice"), tableElement("Thresholds", ["input", "of", "factor"], thresholds.map((t) => [t.input, t.of,
      t.factor === null ? "not up to x " + ratioText(t.tried_factor) : "x " + ratioText(t.factor)]), [1]));
    if (report.alternative !== null) parts.push(element("p", { class: "quiet" }, "Beside configuration " + report.alternative + ": with this factor the two are equally good."));
  }
  return parts;
}

function stateCounts(report) {
  const counts = new Map();
  for (const row of report.configurations) counts.set(row.state, (counts.get(row.state) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function configurationsTable(report) {
  const rows = report.configurations;
  const keys = Object.keys(rows[0].settings);
  const scores = [...new Set(rows.flatMap((row) => Object.keys(row.score || row.bound || {})))].filter((key) => rows.some((row) => (row.score || row.bound || {})[key] != null));
  const front = new Set(report.front);
  const states = stateCounts(report).map(([state]) => state);
  const columns = [{ name: "number", value: (row) => row.configuration }, ...keys.map((key) => ({ name: key, value: (row) => row.settings[key] })),
    { name: "stands", value: (row) => (front.has(row.configuration) ? "on the front" : row.state.replaceAll("_", " ")), words: true },
    { name: "GPUs", value: (row) => row.gpus, text: countText }, { name: "memory", value: (row) => row.memory_ratio, text: shareText },
    ...scores.map((key) => ({ name: scoreName(key), value: (row) => (row.score ? row.score[key] : null), text: (value) => scoreText(key, value) })),
    { name: "limited by", value: (row) => (row.limit ? row.limit.part.replaceAll("_", " ") + " (" + row.limit.resource + ")" : null), words: true }, { name: "grade", value: (row) => row.grade },
    { name: "refused because of", value: (row) => (row.reason ? row.reason.split(": ")[0] : null), words: true }];
  const table = sortableTable("Configurations", columns, rows);
  const filter = chooser("stands", [["", "all"], ["front", "on the front"], ...states.map((state) => [state, state.replaceAll("_", " ")])], "", (state) =>
    table.show(rows.filter((row) => state === "" || (state === "front" ? front.has(row.configuration) : row.state === state))));
  return [choices(filter), table];
}

function showPlan(report, extra) {
  const choice = report.configurations.find((row) => row.configuration === report.choice);
  const simulated = report.configurations.filter((row) => row.score).length;
  lead("moesim plan", report.plan, report.step_kind + " of " + report.model + "; " + countText(report.configurations.length + extra.left_out) + " configurations, " + countText(simulated) + " simulated (" + report.method + "), " + report.front.length + " on the front");
  section("summary", "Summary", choice ? cards([...Object.entries(choice.score).filter(([, value]) => value !== null).map(([key, value]) => [scoreName(key), scoreText(key, value), "of the choice"]),
    ["GPUs", countText(choice.gpus), countText(choice.nodes) + " nodes, memory " + shareText(choice.memory_ratio)], choice.limit ? ["limited by", choice.limit.resource, choice.limit.part.replaceAll("_", " ") + ": " + shareText(choice.limit.share_ratio)] : null,
    ["evidence", choice.grade, choice.grade === "assumed" ? "compare, do not quote" : "weakest grade that matters"]]) : element("p", { class: "note" }, "No configuration stays within the limits."),
    choice ? element("p", {}, "The choice, configuration " + choice.configuration + ": " + settingsText(choice) + ".") : null,
    element("p", {}, "Objectives: " + report.objectives.join(", ") + ". Limits: " + (report.limits.length > 0 ? report.limits.join("; ") : "none") + "."),
    ...(report.partial ? noteElements(["interrupted: these are the configurations reached so far"]) : []), ...noteElements(report.notes));
  if (simulated > 1) section("front", "Pareto front", frontFigure(report));
  if (choice) section("sensitivity", "What the choice depends on", ...sensitivityParts(report, choice));
  section("search", "What became of the configurations", tableElement("States", ["stands", "configurations"], stateCounts(report).map(([state, n]) => [state.replaceAll("_", " "), countText(n)])),
    report.refusals.length > 0 ? element("h3", {}, "Refused") : null,
    report.refusals.length > 0 ? tableElement("Refusals", ["because of", "configurations", "the first one"], report.refusals.map((refusal) => [refusal.reason, countText(refusal.count), refusal.example]), [2]) : null);
  section("table", "Configurations", ...(extra.left_out > 0 ? [element("p", { class: "note" }, countText(extra.left_out) + " configurations that were not simulated are left out here; plan.csv has them.")] : []), ...configurationsTable(report));
  if (choice && choice.money) section("money", "Money of the choice", moneyTable(choice.money));
  section("evidence", "Evidence", ...report.evidence.map((sentence) => element("p", {}, sentence)));
  section("sources", "Inputs and scenario", tableElement("Inputs", ["file", "SHA-256"], report.inputs.map((input) => [input.path, input.sha256]), [0]),
    report.resolved_choice ? folded("Resolved scenario of the choice", () => element("pre", { tabindex: "0" }, report.resolved_choice)) : null);
}
