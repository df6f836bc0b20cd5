// SPDX-License-Identifier: Apache-2.0
// Everything a report of one run shows, as values, and the numbers derived from its steps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/moe/routing.hpp"
#include "sim/step/evidence.hpp"
#include "sim/step/fabric_view.hpp"
#include "sim/step/result.hpp"

namespace moesim {

/// An input file and its digest.
struct InputDigest {
  std::string path;
  std::string sha256;
};

/// The same run on the cluster before its faults; means over steps.
struct WithoutFaults {
  double step_mean_s = 0.0;
  std::vector<double> layer_makespan_s;  ///< by layer
};
[[nodiscard]] WithoutFaults without_faults(const std::vector<StepResult>& steps);

struct RunReport {
  std::string version;   ///< of moesim
  std::string scenario;  ///< file as the user named it
  std::string resolved;  ///< the scenario as TOML without presets
  std::uint64_t seed = 0;
  std::vector<InputDigest> inputs;
  std::vector<std::string> notes;
  std::vector<std::string> joins;   ///< what was put together though recorded apart
  std::vector<std::string> faults;  ///< what is broken, slow or taken by others
  StepEvidence evidence;            ///< grades and bands
  std::string evidence_source;
  RoutingSourceInfo routing;
  std::vector<std::string> link_names;  ///< by LinkId
  std::vector<double> link_rates;       ///< effective bytes/s, by LinkId
  std::vector<StepResult> steps;
  std::optional<WithoutFaults> without_faults = {};  ///< of a cluster with faults, where asked for
  FabricView fabric = {};                            ///< for drawing; edges by LinkId
};

/// Traffic between ranks, summed over steps.
[[nodiscard]] PairLoad pair_sum(const RunReport& report);

/// Over steps: mean, nearest-rank percentiles and extremes.
struct Distribution {
  double mean = 0.0;
  double min = 0.0;
  double p50 = 0.0;
  double p90 = 0.0;
  double p95 = 0.0;
  double p99 = 0.0;
  double max = 0.0;
};
/// @param values not empty
[[nodiscard]] Distribution distribution_of(std::vector<double> values);

/// One layer over all steps: means of times, sums of counts, hot spots of the slowest step.
struct LayerSummary {
  int layer = 0;
  double makespan_s = 0.0;
  std::array<double, kNumParts> parts_s{};  ///< critical path: sums to the makespan
  RankSpread gate;
  RankSpread dispatch;
  RankSpread experts;
  RankSpread combine;
  double rank_imbalance = 0.0;
  double expert_imbalance = 0.0;
  std::int64_t assignments = 0;
  std::int64_t dropped = 0;
  double gate_weight = 0.0;
  std::optional<double> dropped_weight;
  std::int64_t diverted = 0;
  std::int64_t tokens = 0;
  std::int64_t lost_tokens = 0;
  std::int64_t padding_rows = 0;
  const LayerResult* slowest = nullptr;  ///< the step in which this layer took longest
};

struct RunSummary {
  Distribution step_s;
  std::vector<LayerSummary> layers;
  std::vector<double> parts_s;  ///< by Part: critical path of a step, mean over steps
  double parts_total_s = 0.0;
  std::int64_t assignments = 0;
  std::int64_t dropped = 0;
  double gate_weight = 0.0;
  std::optional<double> dropped_weight;
  std::int64_t diverted = 0;
  std::int64_t tokens = 0;  ///< once a layer
  std::int64_t lost_tokens = 0;
  std::int64_t padding_rows = 0;
  double rank_imbalance = 0.0;  ///< mean over layers and steps
  std::int64_t flows = 0;
  std::int64_t network_events = 0;

  [[nodiscard]] double dropped_share() const;
  [[nodiscard]] std::optional<double> dropped_weight_share() const;
  [[nodiscard]] double lost_token_share() const;
  /// Of the rows that slots compute, those without a token.
  [[nodiscard]] double padding_share() const;
};

/// The layer with the largest mean makespan.
[[nodiscard]] const LayerSummary& slowest_layer(const RunSummary& run);

/// The report must outlive the summary.
[[nodiscard]] RunSummary summarise(const RunReport& report);

}  // namespace moesim
