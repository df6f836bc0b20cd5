// SPDX-License-Identifier: Apache-2.0
#include "sim/report/csv_report.hpp"

#include <fmt/core.h>

#include <iterator>

#include "sim/report/seconds.hpp"

namespace moesim {
namespace {

std::string layer_row(const StepResult& step, const LayerResult& layer) {
  std::string row = fmt::format("{},{},{},{},{}",
                                step.step,
                                layer.layer,
                                s(layer.first_start),
                                s(layer.last_finish),
                                s(layer.makespan()));
  for (const RankSpread& phase : {layer.gate, layer.dispatch, layer.experts, layer.combine}) {
    row += fmt::format(",{},{}", phase.mean.value, phase.max.value);
  }
  row += fmt::format(",{},{}", layer.dispatch_bound.value, layer.combine_bound.value);
  for (const SimTime part : layer.parts) {
    row += fmt::format(",{}", s(part));
  }
  row += fmt::format(",{},{},{},{},{},{}",
                     layer.assignments,
                     layer.dropped,
                     layer.gate_weight,
                     layer.dropped_weight ? fmt::format("{}", *layer.dropped_weight) : "",
                     layer.rank_imbalance,
                     layer.expert_imbalance);
  return row + fmt::format(",{},{},{},{},{},{},{}\n",
                           layer.dispatch_bytes,
                           layer.combine_bytes,
                           layer.scale_out_bytes,
                           layer.diverted,
                           layer.tokens,
                           layer.lost_tokens,
                           layer.padding_rows);
}

/// "step,layer,<what>,assignments" of one list per layer.
template <typename List>
std::string loads_csv(const RunReport& report, std::string_view what, List list) {
  std::string csv = fmt::format("step,layer,{},assignments\n", what);
  for (const StepResult& step : report.steps) {
    for (const LayerResult& layer : step.layers) {
      const std::vector<std::int64_t>& loads = list(layer);
      for (std::size_t i = 0; i < loads.size(); ++i) {
        fmt::format_to(
            std::back_inserter(csv), "{},{},{},{}\n", step.step, layer.layer, i, loads[i]);
      }
    }
  }
  return csv;
}

/// Sum over layers of the slowest rank's time in a phase, mean over steps.
double slowest_rank_s(const RunSummary& run, RankSpread LayerSummary::*phase) {
  double sum = 0.0;
  for (const LayerSummary& layer : run.layers) {
    sum += (layer.*phase).max.value;
  }
  return sum;
}

/// ",grade,p10,p90" of the step, then the grade of each phase; empty cells without a band.
std::string evidence_cells(const StepEvidence& evidence) {
  std::string cells = fmt::format(",{}", to_text(evidence.grade));
  cells += evidence.band ? fmt::format(",{},{}", evidence.band->p10, evidence.band->p90) : ",,";
  for (const PhaseEvidence& phase : evidence.phases) {
    cells += fmt::format(",{}", to_text(phase.grade));
  }
  return cells;
}

}  // namespace

std::string summary_csv(const RunReport& report) {
  const RunSummary run = summarise(report);
  const LayerSummary& layer = slowest_layer(run);
  const LayerResult& slowest = *layer.slowest;
  const std::optional<double> weight = run.dropped_weight_share();
  std::string csv =
      "step_mean_s,step_p50_s,step_p99_s,gate_s,dispatch_s,experts_s,combine_s,rank_imbalance_"
      "ratio,"
      "dropped_ratio,dropped_gate_weight_ratio,slowest_layer,hot_expert,hot_rank,hot_link,grade,"
      "band_p10_ratio,band_"
      "p90_ratio,gate_grade,dispatch_grade,experts_grade,combine_grade\n";
  csv += fmt::format("{},{},{},{},{},{},{},",
                     run.step_s.mean,
                     run.step_s.p50,
                     run.step_s.p99,
                     slowest_rank_s(run, &LayerSummary::gate),
                     slowest_rank_s(run, &LayerSummary::dispatch),
                     slowest_rank_s(run, &LayerSummary::experts),
                     slowest_rank_s(run, &LayerSummary::combine));
  csv += fmt::format("{},{},{},{},",
                     run.rank_imbalance,
                     run.dropped_share(),
                     weight ? fmt::format("{}", *weight) : "",
                     layer.layer);
  const auto index_of = [](const auto& hot) {
    return hot.empty() ? std::string() : fmt::format("{}", hot.front().id.value);
  };
  csv += fmt::format("{},{},", index_of(slowest.hot_experts), index_of(slowest.hot_ranks));
  return csv +
         (slowest.hot_links.empty() ? ""
                                    : report.link_names[slowest.hot_links.front().id.index()]) +
         evidence_cells(report.evidence) + "\n";
}

std::string layers_csv(const RunReport& report) {
  std::string csv = "step,layer,first_start_s,last_finish_s,makespan_s";
  for (const char* phase : {"gate", "dispatch", "experts", "combine"}) {
    csv += fmt::format(",{0}_mean_s,{0}_max_s", phase);
  }
  csv += ",dispatch_bound_s,combine_bound_s";
  for (std::size_t p = 0; p < kNumParts; ++p) {
    csv += fmt::format(",path_{}_s", part_name(static_cast<Part>(p)));
  }
  csv +=
      ",assignments,dropped_assignments,gate_weight,dropped_gate_weight,rank_imbalance_ratio,"
      "expert_imbalance_ratio,dispatch_bytes,combine_bytes,scale_out_bytes,"
      "diverted_assignments,tokens,lost_tokens,padding_rows\n";
  for (const StepResult& step : report.steps) {
    for (const LayerResult& layer : step.layers) {
      csv += layer_row(step, layer);
    }
  }
  return csv;
}

std::string experts_csv(const RunReport& report) {
  return loads_csv(
      report, "expert", [](const LayerResult& layer) -> const auto& { return layer.expert_load; });
}

std::string ranks_csv(const RunReport& report) {
  return loads_csv(
      report, "rank", [](const LayerResult& layer) -> const auto& { return layer.rank_tokens; });
}

std::string links_csv(const RunReport& report) {
  std::string csv = "step,link,name,bytes,effective_bytes_per_s,utilization_ratio\n";
  for (const StepResult& step : report.steps) {
    for (std::size_t i = 0; i < step.link_bytes.size(); ++i) {
      if (step.link_bytes[i] > 0) {
        const double share =
            static_cast<double>(step.link_bytes[i]) / report.link_rates[i] / s(step.makespan);
        fmt::format_to(std::back_inserter(csv),
                       "{},{},{},{},{},{}\n",
                       step.step,
                       i,
                       report.link_names[i],
                       step.link_bytes[i],
                       report.link_rates[i],
                       share);
      }
    }
  }
  return csv;
}

std::string pairs_csv(const RunReport& report) {
  const PairLoad pairs = pair_sum(report);
  std::string csv = "source,destination,ranks_per_cell,dispatch_bytes\n";
  for (int source = 0; source < pairs.cells; ++source) {
    for (int destination = 0; destination < pairs.cells; ++destination) {
      fmt::format_to(std::back_inserter(csv),
                     "{},{},{},{}\n",
                     source * pairs.ranks_per_cell,
                     destination * pairs.ranks_per_cell,
                     pairs.ranks_per_cell,
                     pairs.bytes[static_cast<std::size_t>(source * pairs.cells + destination)]);
    }
  }
  return csv;
}

}  // namespace moesim
