// SPDX-License-Identifier: Apache-2.0
#include "sim/report/text_report.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "sim/report/limits_text.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

std::string time_cell(Seconds time) {
  return readable_time(time.value);
}

/// ", P10-P90 0.92-1.08 of the time shown"; "" without a band.
std::string band_words(const std::optional<Band>& band) {
  return band ? fmt::format(", P10-P90 {:.2f}-{:.2f} of the times shown", band->p10, band->p90)
              : "";
}

std::string band_cell(const std::optional<Band>& band) {
  return band ? fmt::format("{:.2f}-{:.2f}", band->p10, band->p90) : "unknown";
}

std::string head(const RunReport& report, const RunSummary& run) {
  const StepResult& first = report.steps.front();
  return wrapped(fmt::format("{}: {} step(s) of {} MoE layers, {} network flows, seed {}",
                             report.scenario,
                             report.steps.size(),
                             first.layers.size(),
                             run.flows,
                             report.seed)) +
         provenance_text(report);
}

/// Sum over layers of a phase, mean over steps.
std::vector<std::string> phase_row(const PhaseEvidence& evidence,
                                   const RunSummary& run,
                                   RankSpread LayerSummary::*phase) {
  RankSpread sum;
  for (const LayerSummary& layer : run.layers) {
    sum.mean += (layer.*phase).mean;
    sum.max += (layer.*phase).max;
  }
  return {evidence.phase,
          time_cell(sum.mean),
          time_cell(sum.max),
          std::string(to_text(evidence.grade)),
          band_cell(evidence.band)};
}

std::string phases(const RunReport& report, const RunSummary& run) {
  constexpr RankSpread LayerSummary::*kPhases[] = {
      &LayerSummary::gate, &LayerSummary::dispatch, &LayerSummary::experts, &LayerSummary::combine};
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < report.evidence.phases.size(); ++i) {
    rows.push_back(phase_row(report.evidence.phases[i], run, kPhases[i]));
  }
  return table({"phase (all layers)", "mean rank", "slowest rank", "grade", "P10-P90"}, rows);
}

std::string critical_path(const RunSummary& run) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t p = 0; p < kNumParts; ++p) {
    if (run.parts_s[p] > 0.0) {
      rows.push_back({std::string(part_name(static_cast<Part>(p))),
                      readable_time(run.parts_s[p]),
                      readable_share(run.parts_s[p] / run.parts_total_s)});
    }
  }
  return table({"critical path", "time", "share"}, rows);
}

/// Tokens without an expert, assignments that moved, padding: a line each where there are any.
std::string overflow(const RunSummary& run) {
  std::string text;
  if (run.lost_tokens > 0) {
    text += fmt::format("tokens that lose all their experts: {} of {} ({})\n",
                        run.lost_tokens,
                        run.tokens,
                        readable_share(run.lost_token_share()));
  }
  if (run.diverted > 0) {
    text += fmt::format(
        "taken by another expert: {} of {} assignments\n", run.diverted, run.assignments);
  }
  if (run.padding_rows > 0) {
    text += fmt::format("padding: {} rows without a token ({} of those computed)\n",
                        run.padding_rows,
                        readable_share(run.padding_share()));
  }
  return text;
}

std::string capacity(const RunSummary& run) {
  const std::optional<double> weight = run.dropped_weight_share();
  return fmt::format(
      "dropped: {} of {} assignments ({}), gate weight {}\n"
      "imbalance (max/mean over ranks, mean of layers): {:.2f}\n",
      run.dropped,
      run.assignments,
      readable_share(run.dropped_share()),
      weight ? readable_share(*weight) : "unknown (trace has none)",
      run.rank_imbalance);
}

std::string hottest(const RunReport& report, const RunSummary& run) {
  const LayerSummary& summary = slowest_layer(run);
  const LayerResult& layer = *summary.slowest;
  std::string text = fmt::format(
      "slowest layer: {} ({} mean)\n", summary.layer, readable_time(summary.makespan_s));
  if (!layer.hot_experts.empty()) {
    text += fmt::format("  hot expert {}: {:.0f} assignments ({:.2f} x mean)\n",
                        layer.hot_experts[0].id.value,
                        layer.hot_experts[0].value,
                        layer.expert_imbalance);
  }
  if (!layer.hot_ranks.empty()) {
    text += fmt::format("  hot rank {}: {:.0f} assignments ({:.2f} x mean)\n",
                        layer.hot_ranks[0].id.value,
                        layer.hot_ranks[0].value,
                        layer.rank_imbalance);
  }
  if (!layer.hot_links.empty()) {
    const HotLink& link = layer.hot_links[0];
    text += fmt::format("  hot link {}: {}, busy {}\n",
                        report.link_names[link.id.index()],
                        readable_bytes(static_cast<double>(link.bytes)),
                        time_cell(link.busy));
  }
  return text + limits_line(layer);
}

std::string step_line(const RunSummary& run) {
  return table({"MoE layers of a step", "mean", "min", "P50", "P99", "max"},
               {{"time",
                 readable_time(run.step_s.mean),
                 readable_time(run.step_s.min),
                 readable_time(run.step_s.p50),
                 readable_time(run.step_s.p99),
                 readable_time(run.step_s.max)}});
}

std::string notes(const RunReport& report) {
  std::string text;
  for (const std::string& note : report.notes) {
    text += wrapped("note: " + note);
  }
  constexpr std::size_t kMostFaults = 8;
  for (std::size_t i = 0; i < std::min(kMostFaults, report.faults.size()); ++i) {
    text += wrapped("fault: " + report.faults[i]);
  }
  if (report.faults.size() > kMostFaults) {
    text += wrapped(fmt::format("fault: and {} more; --json and moesim topology list all",
                                report.faults.size() - kMostFaults));
  }
  for (const PhaseEvidence& phase : report.evidence.phases) {
    for (const std::string& sentence : phase.out) {
      text += wrapped("extrapolated: " + sentence);
    }
  }
  return text;
}

std::vector<std::string> layer_row(const LayerSummary& summary) {
  const LayerResult& layer = *summary.slowest;
  std::vector<std::string> row = {fmt::format("{}", summary.layer),
                                  time_cell(layer.makespan().to_seconds())};
  for (const SimTime part : layer.parts) {
    row.push_back(three_digits(part.to_seconds().value * 1e6));
  }
  return row;
}

/// "  ranks:    a b c", going on under the first item where a line is full.
std::string item_line(std::string_view label, const std::vector<std::string>& items) {
  constexpr std::size_t kLabel = 10;
  std::string text;
  std::string line = fmt::format("{:<{}}", label, kLabel);
  for (const std::string& item : items) {
    if (line.size() + 1 + item.size() > kColumns) {
      text += line + "\n";
      line = std::string(kLabel, ' ');
    }
    line += " " + item;
  }
  return text + line + "\n";
}

template <typename IdType>
std::vector<std::string> hot_items(const std::vector<Hot<IdType>>& list) {
  std::vector<std::string> items;
  for (const Hot<IdType>& hot : list) {
    items.push_back(fmt::format("{} ({:.0f})", hot.id.value, hot.value));
  }
  return items;
}

std::string hot_lists(const RunReport& report,
                      const LayerResult& layer,
                      const std::string& with = "") {
  std::vector<std::string> pairs;
  for (const HotPair& hot : layer.hot_pairs) {
    pairs.push_back(fmt::format("{}->{} ({})",
                                hot.source.value,
                                hot.destination.value,
                                readable_bytes(static_cast<double>(hot.bytes))));
  }
  std::string text = fmt::format("\nlayer {}{}\n", layer.layer, with) +
                     item_line("  experts:", hot_items(layer.hot_experts)) +
                     item_line("  ranks:", hot_items(layer.hot_ranks)) +
                     item_line("  pairs:", pairs) + "  links:\n";
  for (const HotLink& hot : layer.hot_links) {
    text += fmt::format("    {}: {}, busy {}\n",
                        report.link_names[hot.id.index()],
                        readable_bytes(static_cast<double>(hot.bytes)),
                        time_cell(hot.busy));
  }
  return text;
}

}  // namespace

std::string joins_text(const std::vector<std::string>& joins) {
  std::string text;
  for (const std::string& join : joins) {
    text += wrapped("joined: " + join);
  }
  return text;
}

std::string provenance_text(const RunReport& report) {
  return wrapped(fmt::format(
             "routing: {} ({})",
             report.routing.model.empty() ? report.routing.origin : report.routing.model,
             report.routing.draw)) +
         joins_text(report.joins) +
         wrapped(fmt::format("evidence: {}{} ({})",
                             to_text(report.evidence.grade),
                             band_words(report.evidence.band),
                             report.evidence_source));
}

std::string summary_text(const RunReport& report) {
  const RunSummary run = summarise(report);
  return head(report, run) + "\n" + step_line(run) + "\n" + phases(report, run) + "\n" +
         critical_path(run) + "\n" + capacity(run) + overflow(run) + hottest(report, run) +
         fault_line(report, run) + notes(report);
}

std::string explain_text(const RunReport& report, int layer) {
  const RunSummary run = summarise(report);
  std::vector<std::vector<std::string>> rows;
  std::string lists;
  for (const LayerSummary& summary : run.layers) {
    if (layer < 0 || summary.layer == layer) {
      rows.push_back(layer_row(summary));
      lists += hot_lists(report, *summary.slowest);
    }
  }
  return head(report, run) +
         "\ncritical path of each layer in its slowest step, us; the parts add up\n" +
         table({"layer",
                "makespan",
                "gate",
                "launch",
                "sender",
                "link",
                "recv",
                "experts",
                "hot",
                "combine",
                "wait"},
               rows) +
         "launch: kernel starts and path latency; sender/link/recv: what binds the\n"
         "dispatch; experts: mean of the ranks; hot: expert time beyond that mean;\n"
         "wait: for ranks that entered the layer late\n" +
         limits_table(run, layer) + fault_table(report, run, layer) + lists + "\n" +
         fault_line(report, run) + notes(report);
}

std::string changes_text(const RunReport& before,
                         const RunReport& after,
                         const std::string& name,
                         int layer) {
  const RunSummary was = summarise(before);
  const RunSummary is = summarise(after);
  std::vector<std::vector<std::string>> rows;
  std::string lists;
  for (std::size_t i = 0; i < was.layers.size(); ++i) {
    if (layer >= 0 && was.layers[i].layer != layer) {
      continue;
    }
    const LayerResult& a = *was.layers[i].slowest;
    const LayerResult& b = *is.layers[i].slowest;
    const double saved = 1.0 - b.makespan().to_seconds() / a.makespan().to_seconds();
    rows.push_back({fmt::format("{}", a.layer),
                    time_cell(a.makespan().to_seconds()),
                    time_cell(b.makespan().to_seconds()),
                    fmt::format("{:.1f} %", 100.0 * saved),
                    three_digits(a.rank_imbalance),
                    three_digits(b.rank_imbalance),
                    readable_bytes(static_cast<double>(a.scale_out_bytes)),
                    readable_bytes(static_cast<double>(b.scale_out_bytes))});
    lists += hot_lists(after, b, " with " + name);
  }
  const std::string heading =
      wrapped(fmt::format("before and with {}, each layer in its slowest step; all steps: {} "
                          "before, {} with it",
                          name,
                          readable_time(was.step_s.mean),
                          readable_time(is.step_s.mean)));
  const std::string changes =
      table({"layer", "makespan", "with", "saved", "imbal.", "with", "NIC bytes", "with"}, rows);
  return fmt::format("\n{}{}{}", heading, changes, lists);
}

}  // namespace moesim
