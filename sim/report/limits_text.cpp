// SPDX-License-Identifier: Apache-2.0
#include "sim/report/limits_text.hpp"

#include <fmt/core.h>

#include "sim/report/table.hpp"

namespace moesim {
namespace {

std::string phase_line(const char* phase,
                       const RankSpread& spread,
                       Seconds bound,
                       const CutBound& cut) {
  const std::string any =
      cut.cut.empty() ? std::string()
                      : fmt::format(", {} on any ({})", readable_time(cut.time.value), cut.cut);
  return wrapped(fmt::format("  {} {}: at least {} on these paths{}",
                             phase,
                             readable_time(spread.max.value),
                             readable_time(bound.value),
                             any));
}

std::vector<std::string> phase_row(
    int layer, const char* phase, const RankSpread& spread, Seconds bound, const CutBound& cut) {
  return {fmt::format("{} {}", layer, phase),
          readable_time(spread.max.value),
          readable_time(bound.value),
          cut.cut.empty() ? "-" : readable_time(cut.time.value),
          cut.cut.empty() ? "-" : cut.cut};
}

/// "+12.5 %"
std::string change(double with, double without) {
  return without > 0.0 ? fmt::format("{:+.2f} %", 100 * (with / without - 1)) : "-";
}

}  // namespace

std::string limits_line(const LayerResult& layer) {
  return phase_line("dispatch", layer.dispatch, layer.dispatch_bound, layer.dispatch_cut) +
         phase_line("combine", layer.combine, layer.combine_bound, layer.combine_cut);
}

std::string limits_table(const RunSummary& run, int layer) {
  std::vector<std::vector<std::string>> rows;
  for (const LayerSummary& summary : run.layers) {
    if (layer < 0 || summary.layer == layer) {
      const LayerResult& l = *summary.slowest;
      rows.push_back(
          phase_row(summary.layer, "dispatch", l.dispatch, l.dispatch_bound, l.dispatch_cut));
      rows.push_back(
          phase_row(summary.layer, "combine", l.combine, l.combine_bound, l.combine_cut));
    }
  }
  return "\nwhat no network schedule beats: on the paths taken, and on any paths\n" +
         table({"layer", "slowest rank", "these paths", "any paths", "slowest cut"}, rows);
}

std::string fault_line(const RunReport& report, const RunSummary& run) {
  if (!report.without_faults) {
    return "";
  }
  const double without = report.without_faults->step_mean_s;
  return wrapped(fmt::format("faults change the step by {}: {} mean, {} without them",
                             change(run.step_s.mean, without),
                             readable_time(run.step_s.mean),
                             readable_time(without)));
}

std::string fault_table(const RunReport& report, const RunSummary& run, int layer) {
  if (!report.without_faults) {
    return "";
  }
  std::vector<std::vector<std::string>> rows;
  for (const LayerSummary& summary : run.layers) {
    if (layer < 0 || summary.layer == layer) {
      const double without =
          report.without_faults->layer_makespan_s[static_cast<std::size_t>(summary.layer)];
      rows.push_back({fmt::format("{}", summary.layer),
                      readable_time(summary.makespan_s),
                      readable_time(without),
                      change(summary.makespan_s, without)});
    }
  }
  return "\nwhat the faults change, means over steps\n" +
         table({"layer", "with faults", "without", "change"}, rows);
}

}  // namespace moesim
