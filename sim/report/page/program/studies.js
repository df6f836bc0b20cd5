// SPDX-License-Identifier: Apache-2.0
// Pages of `moesim capacity`, `place`, `validate` and of whole-model runs.
"use strict";

function curveFigure(of) {
  return figure({
    caption: of.caption, label: of.label,
    spec: (width) => ({
      height: 280,
      layer: [
        { data: { values: of.values }, mark: { type: of.trail ? "trail" : "line", strokeWidth: 2, point: false },
          encoding: { x: of.x, y: of.y, order: { field: "factor" }, color: { field: "curve", type: "nominal", sort: null, legend: legendAbove(width), scale: colourScale(of.curves) } } },
        { data: { values: of.values }, mark: { type: "point", filled: true, size: 45 },
          encoding: { x: of.x, y: of.y, color: { field: "curve", type: "nominal", scale: colourScale(of.curves) },
            tooltip: [{ field: "curve" }, { field: "factor" }, { field: "dropText", title: "dropped" }, { field: "weightText", title: "gate weight dropped" }, { field: "stepText", title: "step, mean" }] } },
        ...(of.values.some((value) => value.knee) ? [{ data: { values: of.values.filter((value) => value.knee) }, mark: { type: "point", size: 220, strokeWidth: 2, filled: false },
          encoding: { x: of.x, y: of.y, color: { field: "curve", type: "nominal", scale: colourScale(of.curves) }, tooltip: [{ field: "curve" }, { field: "factor", title: "knee at factor" }] } }] : []),
        ...(of.dropless ? [{ data: { values: [of.dropless] }, mark: { type: "point", shape: "diamond", filled: true, size: 110, color: cssColour("--ink") },
          encoding: { x: of.x, y: of.y, tooltip: [{ field: "curve" }, { field: "stepText", title: "step, mean" }] } }] : []),
        ...(of.rule !== undefined ? [{ data: { values: [of.rule] }, mark: { type: "rule", strokeDash: [5, 4] }, encoding: { y: { field: "value", type: "quantitative" } } },
          { data: { values: [of.rule] }, mark: { type: "text", align: "right", dy: -7, fontSize: 12 }, encoding: { y: { field: "value", type: "quantitative" }, x: { value: "width" }, text: { field: "name" } } }] : [])],
    }),
    header: of.header, rows: of.rows,
  });
}

function showCapacity(report) {
  const unit = timeUnit([report.dropless.step_s.mean, ...report.curves.flatMap((curve) => curve.points.map((point) => point.step_s.mean))]);
  const values = report.curves.flatMap((curve) => curve.points.map((point) => ({ curve: curve.policy + ", " + curve.scope, factor: point.factor,
    drop: point.dropped_ratio.mean, step: point.step_s.mean * unit.factor, knee: point.knee, point,
    dropText: shareText(point.dropped_ratio.mean), weightText: orDash(point.dropped_gate_weight_ratio.mean, shareText), stepText: timeText(point.step_s.mean) })));
  const curves = report.curves.map((curve) => curve.policy + ", " + curve.scope);
  const factor = { field: "factor", type: "quantitative", title: "capacity factor", scale: { zero: false, padding: 12 } };
  const drop = { field: "drop", type: "quantitative", title: "dropped assignments", axis: { format: "~%" } };
  const step = (axis) => ({ field: "step", type: "quantitative", title: "step, mean (" + unit.name + ")", scale: { zero: false, padding: 12 }, ...axis });
  const header = ["policy, scope", "factor", "dropped", "gate weight dropped", "tokens lost", "padding", "step mean", "step P99", "tokens/s", "knee"];
  const rows = () => values.map((v) => [v.curve, ratioText(v.factor), v.dropText, v.weightText, shareText(v.point.lost_token_ratio), shareText(v.point.padding_ratio), v.stepText,
    timeText(v.point.step_s.p99), countText(v.point.tokens_per_s), v.knee ? "knee" : ""]);
  lead("moesim capacity", report.scenario, report.steps_done + " of " + report.steps + " steps; " + values.length + " points, and the dropless one");
  section("summary", "Summary", cards([["dropless step, mean", timeText(report.dropless.step_s.mean), "nothing dropped"], ["evidence", report.evidence.grade, "of the constants"],
    ...report.curves.map((curve) => ["knee: " + curve.policy + ", " + curve.scope, curve.knee_factor === null ? "none" : "factor " + ratioText(curve.knee_factor), null])]),
    ...noteElements(report.notes), ...(report.partial ? noteElements(["interrupted: these are the steps done so far"]) : []));
  section("drops", "Drops and time by factor",
    curveFigure({ caption: "Dropped assignments; the knee is circled.", label: "Dropped assignments by capacity factor", values, curves, x: factor, y: drop, header, rows }),
    curveFigure({ caption: "Mean step time; the dashed line is the dropless step.", label: "Mean step time by capacity factor", values, curves, x: factor, y: step(),
      rule: { value: report.dropless.step_s.mean * unit.factor, name: "dropless " + timeText(report.dropless.step_s.mean) }, header, rows }));
  section("trade", "What a drop buys", curveFigure({
    caption: "Mean step time against dropped assignments: down and left is better. The diamond is the dropless step.", label: "Step time against drops", values, curves,
    x: { ...drop, scale: { zero: true } }, y: step(), dropless: { curve: "dropless", drop: 0, step: report.dropless.step_s.mean * unit.factor, stepText: timeText(report.dropless.step_s.mean) }, header, rows }));
  sourcesSection(report);
}

/// Bars of one quantity for each placement, the baseline (first) as a rule.
function placementBars(report, caption, of, text, title, unit = { factor: 1 }) {
  const base = of(report.placements[0]);
  const rows = report.placements.map((placement, i) => ({ name: placement.name, value: of(placement) * unit.factor, text: text(of(placement)) +
    (i > 0 && base > 0 ? " (" + signedShareText(of(placement) / base - 1) + ")" : "") })).filter((row) => Number.isFinite(row.value));
  return figure({
    caption, label: caption + " " + rows.map((row) => row.name + " " + row.text).join("; "),
    spec: (width) => ({
      height: rowsHeight(rows.length, 28), data: { values: rows },
      encoding: { y: { field: "name", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelLimit: width < 500 ? 120 : 240 } },
        x: { field: "value", type: "quantitative", title, scale: { domain: [0, Math.max(...rows.map((row) => row.value)) * (width < 500 ? 2 : 1.3)], nice: false }, axis: { format: "~s", tickCount: 8 } } },
      layer: [{ mark: { type: "bar", cornerRadiusEnd: 2 }, encoding: { color: { condition: { test: "datum.name === " + JSON.stringify(rows[0].name), value: cssColour("--soft") }, value: colourScale(["dispatch"]).range[0] },
        tooltip: [{ field: "name", title: "placement" }, { field: "text", title }] } },
        { mark: { type: "text", align: "left", dx: 6, fontSize: 12 }, encoding: { text: { field: "text" } } }],
    }),
  });
}

function hotTable(placement) {
  const slowest = placement.slowest_layer;
  const list = (items, text) => items.slice(0, 3).map(text).join(", ") || "–";
  return [placement.name, "step " + slowest.step + ", layer " + slowest.layer, timeText(slowest.makespan_s),
    list(slowest.hot_experts, (hot) => hot.expert + " (" + countText(hot.assignments) + ")"), list(slowest.hot_ranks, (hot) => hot.rank + " (" + countText(hot.assignments) + ")"),
    list(slowest.hot_pairs, (hot) => hot.source + " → " + hot.destination + " (" + bytesText(hot.bytes) + ")"), list(slowest.hot_links, (hot) => hot.link + " (" + timeText(hot.busy_s) + ")")];
}

function showPlacement(report) {
  const base = report.placements[0];
  const best = report.placements.reduce((a, b) => (b.step_s.mean < a.step_s.mean ? b : a));
  const unit = timeUnit(report.placements.map((placement) => placement.step_s.mean));
  const bytes = bytesUnit(report.placements.map((placement) => placement.scale_out_bytes.mean));
  lead("moesim place", report.scenario, "placements made from steps " + report.training.first_step + " to " + (report.training.first_step + report.training.steps - 1) + ", judged on the " +
    report.judged.steps + " steps after them; horizon " + countText(report.horizon_steps) + " steps");
  section("summary", "Summary", cards([["baseline: " + base.name, timeText(base.step_s.mean), "mean step"],
    ["fastest: " + best.name, timeText(best.step_s.mean), signedShareText(best.step_s.mean / base.step_s.mean - 1)], ["verdict on it", best.verdict.verdict, null],
    ["evidence", report.evidence.grade, null]]), ...noteElements(report.notes),
    tableElement("Verdicts", ["placement", "verdict", "why"], report.placements.slice(1).map((placement) => [placement.name, placement.verdict.verdict, placement.verdict.text.replace(placement.name + ": " + placement.verdict.verdict + ": ", "")]), [1, 2]));
  section("before-after", "Before and after",
    placementBars(report, "Mean step time on the judged steps; grey is the baseline.", (p) => p.step_s.mean, timeText, unit.name, unit),
    placementBars(report, "Imbalance of ranks (largest / mean), mean over steps.", (p) => p.rank_imbalance_ratio.mean, ratioText, "imbalance"),
    placementBars(report, "Bytes over NICs in a step, mean.", (p) => p.scale_out_bytes.mean, bytesText, bytes.name, bytes),
    tableElement("Placements", ["placement", "layer mean", "layer P99", "least possible", "step P99", "slots a rank", "most copies", "fits", "replicas take", "moving", "pause"],
      report.placements.map((p) => [p.name, timeText(p.layer_s.mean), timeText(p.layer_s.p99), orDash(p.bound_layer_s, timeText), timeText(p.step_s.p99), p.slots_per_rank, p.most_copies,
        p.fits_memory ? "yes" : "no", bytesText(p.replica_bytes), bytesText(p.migration.bytes), timeText(p.migration.pause_s)])));
  section("hot", "Hot spots of the slowest layer", tableElement("Hot spots", ["placement", "layer", "time", "experts (assignments)", "ranks (assignments)", "pairs (bytes)", "links (busy)"],
    report.placements.map(hotTable), [3, 4, 5, 6]));
  if (report.policies.length > 0) {
    section("policies", "Rebalancing over time", tableElement("Policies", ["policy", "moves", "moved", "stall", "step mean", "with stalls"],
      report.policies.map((o) => [o.policy, o.moves, bytesText(o.moved_bytes), timeText(o.stall_s), timeText(o.step_s.mean), timeText(o.step_with_stall_mean_s)])));
  }
  sourcesSection(report);
}

const kTimeUnits = { ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1 };

function validationScatter(cases, tiers) {
  const values = cases.filter((one) => kTimeUnits[one.unit] && one.measured > 0 && one.predicted > 0).map((one) => ({ tier: one.tier, name: one.case, measured: one.measured * kTimeUnits[one.unit] * 1e6,
    predicted: one.predicted * kTimeUnits[one.unit] * 1e6, error: signedShareText(one.error_ratio), text: timeText(one.predicted * kTimeUnits[one.unit]), was: timeText(one.measured * kTimeUnits[one.unit]) }));
  if (values.length === 0) return null;
  const all = values.flatMap((value) => [value.measured, value.predicted]);
  const domain = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  const line = (ratio) => domain.map((x) => ({ measured: x, predicted: x * ratio }));
  const axis = (field) => ({ field, type: "quantitative", title: field + " (us)", scale: { type: "log", domain, nice: false }, axis: { tickCount: 6, format: "~s" } });
  return figure({
    caption: "Predicted and measured times. On the solid line they agree; the dashed lines are 20 % off.", label: values.length + " predicted times against measured ones",
    spec: (width) => ({
      height: Math.min(520, width * 0.8),
      layer: [...[[1, [1, 0]], [1.2, [4, 4]], [1 / 1.2, [4, 4]]].map(([ratio, dash]) => ({ data: { values: line(ratio) }, mark: { type: "line", strokeDash: dash, strokeWidth: 1, color: cssColour("--soft"), clip: true },
        encoding: { x: axis("measured"), y: axis("predicted") } })),
      { data: { values }, mark: { type: "point", filled: true, size: 55, opacity: 0.85 }, encoding: { x: axis("measured"), y: axis("predicted"),
        color: { field: "tier", type: "nominal", sort: null, legend: { title: null, orient: "top", columns: Math.max(1, Math.floor(width / 260)) }, scale: colourScale(tiers) },
        tooltip: [{ field: "name", title: "case" }, { field: "tier" }, { field: "was", title: "measured" }, { field: "text", title: "predicted" }, { field: "error" }] } }],
    }),
  });
}

function validationErrors(cases, tiers) {
  const values = cases.map((one) => ({ tier: one.tier, name: one.case, error: one.error_ratio, text: signedShareText(one.error_ratio) }));
  return figure({
    caption: "Error of each case (predicted / measured - 1), by tier.", label: "Errors by tier",
    spec: (width) => ({
      height: rowsHeight(tiers.length, 34), data: { values },
      layer: [{ mark: { type: "tick", thickness: 2, size: 18, opacity: 0.8 }, encoding: { y: { field: "tier", type: "nominal", sort: null, title: null, axis: { labelLimit: width < 500 ? 110 : 300, ticks: false } },
        x: { field: "error", type: "quantitative", title: "error", axis: { format: "+~%" } }, color: { field: "tier", type: "nominal", legend: null, scale: colourScale(tiers) },
        tooltip: [{ field: "name", title: "case" }, { field: "text", title: "error" }] } },
      { data: { values: [{ error: 0 }] }, mark: { type: "rule" }, encoding: { x: { field: "error", type: "quantitative" } } }],
    }),
  });
}

function showValidation(report) {
  const tiers = report.tiers.map((tier) => tier.tier);
  lead("moesim validate", report.input.path, report.cases.length + " published measurements beside predictions");
  section("summary", "Error by tier", tableElement("Errors by tier", ["tier", "cases", "median", "P90", "bias"], report.tiers.map((tier) => [tier.tier, tier.cases,
    shareText(tier.median_absolute_error_ratio), shareText(tier.p90_absolute_error_ratio), signedShareText(tier.bias_ratio)])));
  const scatter = validationScatter(report.cases, tiers);
  section("charts", "Predicted and measured", ...(scatter ? [scatter] : []), validationErrors(report.cases, tiers));
  section("cases", "Cases", tableElement("Cases", ["case", "tier", "measured", "predicted", "unit", "error", "evidence", "source"], report.cases.map((one) => [one.case, one.tier,
    threeDigits(one.measured), threeDigits(one.predicted), one.unit, signedShareText(one.error_ratio), one.grade, one.source]), [1, 7]));
}

/// Figures of a whole step: what they are called, and what more to say.
const kWholeCards = {
  communication_s: ["exchanges of a rank", "hidden or not"],
  exposed_communication_s: ["exposed communication", "that no work hides"],
  bubble_ratio: ["pipeline bubble", "of the step"],
  gpus: ["GPUs", null],
  tokens_per_s_per_rank: ["tokens/s a rank", null],
  tokens_per_s_per_node: ["tokens/s a node", null],
  tokens_per_s: ["tokens/s in all", null],
  model_flops: ["model arithmetic", "of a step"],
  model_flops_per_s_per_gpu: ["arithmetic of a GPU", null],
  mfu_ratio: ["MFU", "of the bf16 peak"],
};

/// Of a key like tokens_per_s_per_rank: the number with the unit that its name ends in.
function quantityText(key, value) {
  if (/flops/.test(key)) return scaled(value, [[1e9, "Gflop"], [1e12, "Tflop"], [1e15, "Pflop"], [1e18, "Eflop"]]) + (/_per_s/.test(key) ? "/s" : "");
  if (/_bytes$/.test(key)) return bytesText(value);
  if (/_s$/.test(key) && !/_per_s$/.test(key)) return timeText(value);
  if (/imbalance_ratio$/.test(key)) return ratioText(value);
  if (/_ratio$/.test(key)) return shareText(value);
  if (value !== 0 && Math.abs(value) < 0.1) return value.toPrecision(3);
  return value >= 1000 || Number.isInteger(value) ? countText(value) : threeDigits(value);
}

function wholeCard([key, value]) {
  const [name, more] = kWholeCards[key] || [key.replace(/_(bytes|ratio)$|(?<!_per)_s$/, "").replaceAll("_", " "), null];
  return [name, quantityText(key, value), more];
}

/// What the step's tokens cost, by owned and by rented GPUs; absent ones are null.
function moneySection(money) {
  const dollars = (value) => (value < 0.9995 ? Number(value.toPrecision(3)) + " USD" : scaled(value, [[1, "USD"], [1e3, "kUSD"], [1e6, "MUSD"]]));
  const rows = ["owned", "rented"].filter((how) => typeof money[how + "_usd_per_h"] === "number").map((how) => [how, dollars(money[how + "_usd_per_h"]),
    dollars(money[how + "_usd_per_h"] / money.gpus), orDash(money[how + "_usd_per_million_tokens"], dollars)]);
  section("cost", "Cost", tableElement("Cost", ["GPUs", "an hour", "a GPU and hour", "a million tokens"], rows),
    ...(money.run ? [element("p", {}, "Run over " + countText(money.run.tokens) + " tokens: " + threeDigits(money.run.days) + " days, " + countText(money.run.gpu_hours) + " GPU-hours"
      + ["owned", "rented"].filter((how) => typeof money.run[how + "_usd"] === "number").map((how) => "; " + dollars(money.run[how + "_usd"]) + " " + how).join("") + ".")] : []),
    element("p", { class: "quiet" }, "Prices: " + money.source + " (" + money.basis + ")."));
}

function showWhole(report) {
  const summary = report.summary;
  lead("moesim run", report.scenario, summary.steps + " " + report.step_kind + " step(s) of a whole model");
  const more = Object.entries(summary).filter(([key, value]) => typeof value === "number" && key !== "steps" && (key !== "bubble_ratio" || report.step_kind === "train"));
  section("summary", "Summary", cards([...stepCards(summary, report.evidence), ...more.map(wholeCard)]),
    ...noteElements(report.notes), ...noteElements(report.joins.map((join) => "joined: " + join)), ...noteElements(report.faults.map((fault) => "fault: " + fault)));
  section("path", "Where the time goes", partsFigure(report.step_kind === "train" ? "Time of a stage, mean over stages and steps: the parts sum to the mean step time."
    : "Critical path of a step, mean over steps: the parts sum to the mean step time.", summary.critical_path));
  if (report.money) moneySection(report.money);
  if (report.steps.length > 1) section("steps", "Steps", stepsFigure(report.steps, summary.step_s));
  section("evidence", "Evidence", element("p", {}, "Grade: " + report.evidence.grade + ". Constants: " + report.evidence.source + "."));
  sourcesSection(report);
}
