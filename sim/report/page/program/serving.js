// SPDX-License-Identifier: Apache-2.0
// Page of `moesim run` of requests over time (format moesim-serving-report).
"use strict";

const kRequestTimes = { ttft_s: "TTFT", tpot_s: "TPOT", latency_s: "latency", queue_s: "queue" };
const rateText3 = (perSecond) => (perSecond >= 1000 ? countText(perSecond) : threeDigits(perSecond));

function sloText(slo) {
  return ["ttft_s", "tpot_s"].filter((key) => slo[key] !== null).map((key) => kRequestTimes[key] + " " + timeText(slo[key])).join(", ");
}

function servingCards(report) {
  const s = report.summary;
  const time = (key) => (s[key] === null ? null : [kRequestTimes[key] + ", P99", timeText(s[key].p99), "P50 " + timeText(s[key].p50) + ", P95 " + timeText(s[key].p95)]);
  return cards([time("ttft_s"), time("tpot_s"), time("latency_s"),
    ["output tokens/s", rateText3(s.output_tokens_per_s), rateText3(s.output_tokens_per_s_per_gpu) + " a GPU, " + countText(report.gpus) + " GPUs"],
    ["requests/s", rateText3(s.requests_per_s), countText(s.counted) + " counted"],
    s.goodput_requests_per_s === null ? null : ["goodput, requests/s", rateText3(s.goodput_requests_per_s), orDash(s.slo_ratio, shareText) + " within " + sloText(report.slo)],
    ["busy", shareText(s.utilization_ratio), "of the time of an EP group; step " + timeText(s.step_mean_s)],
    ["KV cache", shareText(s.kv_mean_ratio), "full on the mean, at most " + shareText(s.kv_max_ratio) + " of a group's"],
    s.prefix_hit_ratio ? ["prefix cache", shareText(s.prefix_hit_ratio), "of the prompt tokens were cached"] : null,
    ["evidence", report.evidence.grade, report.evidence.grade === "assumed" ? "compare, do not quote" : "weakest grade that matters"]]);
}

/// A table of every time with its percentiles.
function requestTimesTable(s) {
  return tableElement("Times of requests", ["", "mean", "P50", "P95", "P99", "max"], Object.entries(kRequestTimes).map(([key, name]) =>
    [name, ...["mean", "p50", "p95", "p99", "max"].map((of) => orDash(s[key] && s[key][of], timeText))]));
}

function servingSpread(report, quantiles) {
  const sentences = {
    ttft_s: "TTFT: arrival to the first output token. The curve is the share of requests that wait no longer.",
    tpot_s: "TPOT: time per output token after the first.",
    latency_s: "Latency: arrival to the last output token.",
  };
  return Object.entries(sentences).filter(([key]) => quantiles[key].length > 1).map(([key, caption]) => {
    const d = report.summary[key];
    return spreadFigure(caption, quantiles[key], [["P50", d.p50, 0.5], ["P95", d.p95, 0.95], ["P99", d.p99, 0.99]], report.slo[key] ?? null);
  });
}

function servingOverTime(series) {
  const each = (column) => series[column].map((count, i) => (series.seconds[i] > 0 ? count / series.seconds[i] : null));
  const of = series.intervals_per_row > 1 ? " A row is " + series.intervals_per_row + " intervals." : "";
  const start = series.start_s;
  return [
    overTimeFigure({ caption: "Tokens a second, prompts and output." + of, start, title: "tokens/s", text: rateText3, format: "~s",
      lines: [{ name: "prompt tokens", values: each("prefill_tokens"), colour: "dispatch" }, { name: "output tokens", values: each("output_tokens"), colour: "hot_expert" }] }),
    overTimeFigure({ caption: "Requests a second that arrive and that are done." + of, start, title: "requests/s", text: rateText3,
      lines: [{ name: "arrive", values: each("arrivals"), colour: "dispatch" }, { name: "are done", values: each("finished"), colour: "combine" }] }),
    overTimeFigure({ caption: "Requests that wait in a queue, and that hold cache, mean of each interval." + of, start, title: "requests", text: rateText3,
      lines: [{ name: "wait", values: series.waiting, colour: "straggler_wait" }, { name: "run", values: series.running, colour: "dispatch" }] }),
    overTimeFigure({ caption: "How full the KV cache is, of all attention groups." + of, start, title: "KV cache", text: shareText, format: "~%", lines: [{ name: "KV cache", values: series.kv_ratio, colour: "attention" }] }),
    overTimeFigure({ caption: "Part of the time that an EP group spends in steps." + of, start, title: "busy", text: shareText, format: "~%", lines: [{ name: "busy", values: series.busy_ratio, colour: "hot_expert" }] })];
}

/// TTFT of single requests by arrival.
function requestsFigure(sample, slo) {
  const requests = sample.requests;
  const unit = timeUnit(requests.map((request) => request.arrival_s));
  const up = timeUnit(requests.map((request) => request.ttft_s));
  const hasSlo = slo.ttft_s !== null || slo.tpot_s !== null;
  const words = hasSlo ? ["within the SLO", "not within"] : ["request"];
  const values = requests.map((request) => ({ x: request.arrival_s * unit.factor, y: request.ttft_s * up.factor, group: hasSlo && !request.within_slo ? words[1] : words[0],
    at: timeText(request.arrival_s), ttft: timeText(request.ttft_s), latency: timeText(request.latency_s), prompt: countText(request.prompt_tokens), output: countText(request.output_tokens) }));
  return figure({
    caption: "TTFT of requests by arrival" + (sample.every > 1 ? "; one of " + sample.every + " counted requests." : "; a dot is a request."),
    label: "TTFT of " + requests.length + " requests by arrival", canvas: true,
    spec: (width) => ({
      height: 240, data: { values },
      mark: { type: "point", filled: true, size: 24, opacity: 0.75 },
      encoding: { x: { field: "x", type: "quantitative", title: "arrival (" + unit.name + ")", axis: { grid: false, tickCount: Math.floor(width / 90) }, scale: { nice: false, zero: false, padding: 8 } },
        y: { field: "y", type: "quantitative", title: "TTFT (" + up.name + ")" },
        color: { field: "group", type: "nominal", sort: null, legend: hasSlo ? legendFor(width, words) : null, scale: colourScale(words, ["dispatch", "hot_expert"].slice(0, words.length)) },
        tooltip: [{ field: "at", title: "arrives" }, { field: "prompt", title: "prompt tokens" }, { field: "output", title: "output tokens" }, { field: "ttft", title: "TTFT" }, { field: "latency" }] },
    }),
  });
}

function stepTimesParts(times) {
  const head = element("p", {}, "Attention, dense layers and head in closed form, the layers' rest from a surface of " + times.points + " simulated points.");
  if (times.checked_steps.length === 0) return [head, element("p", { class: "note" }, "Not checked against steps simulated in full.")];
  const rows = times.checked_steps.map((step) => ({ ...step, kind: step.prefill_tokens > 0 ? "with prompts" : "decode only", x: step.simulated_s * 1e3, y: step.error_ratio,
    simulated: timeText(step.simulated_s), predicted: timeText(step.predicted_s), error: signedShareText(step.error_ratio) }));
  return [head, cards([["error, median", shareText(times.median_error_ratio), "of " + rows.length + " steps simulated in full"], ["error, P90", shareText(times.p90_error_ratio), "largest " + shareText(times.max_error_ratio)],
    ["error of their sum", signedShareText(times.total_error_ratio), "bias " + signedShareText(times.bias_ratio)]]),
  figure({
    caption: "Error of the step times used (used / simulated in full - 1) of steps drawn from this run.", label: "Errors of " + rows.length + " checked steps",
    spec: (width) => ({
      height: 200,
      layer: [{ data: { values: [{ y: 0 }] }, mark: { type: "rule" }, encoding: { y: { field: "y", type: "quantitative" } } },
        { data: { values: rows }, mark: { type: "point", filled: true, size: 70, opacity: 0.85 }, encoding: {
          x: { field: "x", type: "quantitative", title: "step simulated in full (ms)", scale: { zero: false, padding: 12 }, axis: { grid: false } }, y: { field: "y", type: "quantitative", title: "error", axis: { format: "+~%" }, scale: { padding: 10 } },
          color: { field: "kind", type: "nominal", legend: legendFor(width, ["with prompts", "decode only"]), scale: colourScale(["with prompts", "decode only"], ["dispatch", "hot_expert"]) },
          tooltip: [{ field: "prefill_tokens", title: "prompt tokens" }, { field: "decode_tokens", title: "decode tokens" }, { field: "simulated" }, { field: "predicted", title: "used" }, { field: "error" }] } }],
    }),
    header: ["prompt tokens", "decode tokens", "used", "simulated in full", "error"],
    rows: () => rows.map((row) => [countText(row.prefill_tokens), countText(row.decode_tokens), row.predicted, row.simulated, row.error]),
  })];
}

function showServing(report, extra) {
  const s = report.summary;
  lead("moesim run", report.scenario, countText(s.requests) + " requests over time (" + report.arrivals + "); policy: " + report.policy.replaceAll("_", " "));
  section("summary", "Summary", servingCards(report), ...(report.partial ? noteElements(["interrupted: these are the requests done so far"]) : []),
    ...(s.rejected > 0 ? noteElements([countText(s.rejected) + " requests were rejected: too long for the cache or the batch"]) : []),
    ...(s.counted === 0 ? noteElements(["no request is counted: all of them arrived before the end of the warm-up, or were not done"]) : []),
    ...noteElements(report.notes), ...noteElements(report.faults.map((fault) => "fault: " + fault)));
  section("times", "What requests meet", requestTimesTable(s), ...servingSpread(report, extra.quantiles), ...(extra.sample.requests.length > 1 ? [requestsFigure(extra.sample, report.slo)] : []));
  section("time", "Over time", ...servingOverTime(extra.series));
  section("rates", "Rates", tableElement("Rates", ["", "a second", "a GPU and second"], [["requests", s.requests_per_s], ["prompt tokens", s.prompt_tokens_per_s], ["output tokens", s.output_tokens_per_s],
    ...(s.goodput_requests_per_s === null ? [] : [["requests within the SLO", s.goodput_requests_per_s]])].map(([name, rate]) => [name, rateText3(rate), rateText3(rate / report.gpus)])),
  element("p", { class: "quiet" }, "From the end of the warm-up to the last token of a counted request (" + timeText(s.duration_s) + "). On the mean " + threeDigits(s.mean_waiting) + " requests wait and " + threeDigits(s.mean_running) +
    " run; " + countText(s.preemptions) + " preemption(s), " + countText(s.kv_moves) + " cache(s) handed over."));
  section("steps", "Step times", ...stepTimesParts(report.step_times));
  if (report.money) section("money", "Money", moneyTable(report.money));
  section("evidence", "Evidence", element("p", {}, "Grade: " + report.evidence.grade + ". Constants: " + report.evidence.source + "."),
    ...(report.routing ? [element("p", {}, "Routing: " + report.routing + "."), element("p", { class: "quiet" }, "Arrivals and routing were not observed together: who arrived when says nothing of which experts were hot.")] : []));
  sourcesSection(report);
}

/// `owned_usd_per_h` as "owned, USD an hour".
const moneyName = (key) => key.replace(/_ratio$/, "").replace(/_w$/, ", W").replace(/_usd/, ", USD").replace(/_per_h$/, " an hour").replace(/^(gpus|nics)$/, (of) => of.slice(0, 3).toUpperCase() + "s")
  .replaceAll("_", " ");

/// Every number of `money` with the unit its name ends in.
function moneyTable(money) {
  const rows = Object.entries(money).filter(([, value]) => typeof value === "number" || typeof value === "string");
  return tableElement("Money", ["", ""], rows.map(([key, value]) => [moneyName(key), typeof value === "number" ? quantityText(key, value) : value]), [1]);
}
