// SPDX-License-Identifier: Apache-2.0
#include "sim/report/run_report.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Nearest-rank percentile of sorted values.
double percentile(const std::vector<double>& sorted, double p) {
  const double rank = std::ceil(p / 100.0 * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void add(RankSpread& sum, const RankSpread& value, double weight) {
  sum.mean += value.mean * weight;
  sum.max += value.max * weight;
}

LayerSummary summarise_layer(const RunReport& report, std::size_t layer) {
  const double weight = 1.0 / static_cast<double>(report.steps.size());
  LayerSummary summary;
  summary.layer = static_cast<int>(layer);
  summary.dropped_weight = 0.0;
  for (const StepResult& step : report.steps) {
    const LayerResult& result = step.layers[layer];
    summary.makespan_s += result.makespan().to_seconds().value * weight;
    for (std::size_t p = 0; p < kNumParts; ++p) {
      summary.parts_s[p] += result.parts[p].to_seconds().value * weight;
    }
    add(summary.gate, result.gate, weight);
    add(summary.dispatch, result.dispatch, weight);
    add(summary.experts, result.experts, weight);
    add(summary.combine, result.combine, weight);
    summary.rank_imbalance += result.rank_imbalance * weight;
    summary.expert_imbalance += result.expert_imbalance * weight;
    summary.assignments += result.assignments;
    summary.dropped += result.dropped;
    summary.gate_weight += result.gate_weight;
    summary.diverted += result.diverted;
    summary.tokens += result.tokens;
    summary.lost_tokens += result.lost_tokens;
    summary.padding_rows += result.padding_rows;
    if (result.dropped_weight && summary.dropped_weight) {
      *summary.dropped_weight += *result.dropped_weight;
    } else {
      summary.dropped_weight.reset();
    }
    if (summary.slowest == nullptr || result.makespan() > summary.slowest->makespan()) {
      summary.slowest = &result;
    }
  }
  return summary;
}

void add_layer(RunSummary& run, const LayerSummary& layer, std::size_t layers) {
  run.assignments += layer.assignments;
  run.dropped += layer.dropped;
  run.gate_weight += layer.gate_weight;
  run.diverted += layer.diverted;
  run.tokens += layer.tokens;
  run.lost_tokens += layer.lost_tokens;
  run.padding_rows += layer.padding_rows;
  run.rank_imbalance += layer.rank_imbalance / static_cast<double>(layers);
  if (layer.dropped_weight && run.dropped_weight) {
    *run.dropped_weight += *layer.dropped_weight;
  } else {
    run.dropped_weight.reset();
  }
}

}  // namespace

Distribution distribution_of(std::vector<double> values) {
  MOESIM_CHECK(!values.empty(), "a distribution of nothing");
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {.mean = sum / static_cast<double>(values.size()),
          .min = values.front(),
          .p50 = percentile(values, 50),
          .p90 = percentile(values, 90),
          .p95 = percentile(values, 95),
          .p99 = percentile(values, 99),
          .max = values.back()};
}

double RunSummary::dropped_share() const {
  return assignments == 0 ? 0.0 : static_cast<double>(dropped) / static_cast<double>(assignments);
}

std::optional<double> RunSummary::dropped_weight_share() const {
  if (!dropped_weight || gate_weight <= 0.0) {
    return std::nullopt;
  }
  return *dropped_weight / gate_weight;
}

double RunSummary::lost_token_share() const {
  return tokens == 0 ? 0.0 : static_cast<double>(lost_tokens) / static_cast<double>(tokens);
}

double RunSummary::padding_share() const {
  const std::int64_t rows = padding_rows + assignments - dropped;
  return padding_rows == 0 ? 0.0 : static_cast<double>(padding_rows) / static_cast<double>(rows);
}

WithoutFaults without_faults(const std::vector<StepResult>& steps) {
  WithoutFaults sums;
  const double weight = 1.0 / static_cast<double>(steps.size());
  sums.layer_makespan_s.resize(steps.front().layers.size());
  std::vector<double> makespans;
  for (const StepResult& step : steps) {
    makespans.push_back(step.makespan.to_seconds().value);
    for (std::size_t layer = 0; layer < step.layers.size(); ++layer) {
      sums.layer_makespan_s[layer] += step.layers[layer].makespan().to_seconds().value * weight;
    }
  }
  sums.step_mean_s = distribution_of(std::move(makespans)).mean;
  return sums;
}

PairLoad pair_sum(const RunReport& report) {
  PairLoad sum = report.steps.front().pairs;
  for (std::size_t step = 1; step < report.steps.size(); ++step) {
    const std::vector<std::int64_t>& bytes = report.steps[step].pairs.bytes;
    for (std::size_t i = 0; i < sum.bytes.size(); ++i) {
      sum.bytes[i] += bytes[i];
    }
  }
  return sum;
}

const LayerSummary& slowest_layer(const RunSummary& run) {
  return *std::max_element(run.layers.begin(), run.layers.end(), [](const auto& a, const auto& b) {
    return a.makespan_s < b.makespan_s;
  });
}

RunSummary summarise(const RunReport& report) {
  RunSummary run;
  run.dropped_weight = 0.0;
  run.parts_s.resize(kNumParts);
  std::vector<double> steps;
  for (const StepResult& step : report.steps) {
    steps.push_back(step.makespan.to_seconds().value);
    run.flows += step.flows;
    run.network_events += step.network_events;
    for (std::size_t p = 0; p < kNumParts; ++p) {
      run.parts_s[p] += step.parts[p].to_seconds().value / static_cast<double>(report.steps.size());
    }
  }
  run.step_s = distribution_of(steps);
  run.parts_total_s = std::accumulate(run.parts_s.begin(), run.parts_s.end(), 0.0);
  const std::size_t layers = report.steps.front().layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    run.layers.push_back(summarise_layer(report, layer));
    add_layer(run, run.layers.back(), layers);
  }
  return run;
}

}  // namespace moesim
