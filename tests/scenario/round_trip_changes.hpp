// SPDX-License-Identifier: Apache-2.0
// What the round trip of a scenario changes, and the parts of it that are of serving and
// of [price].
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"
#include "tests/scenario/key_changes.hpp"

namespace moesim {

/// Serving has no [batch].
inline constexpr const char* kServing = R"([model]
preset = "small"
[cluster]
preset = "pair"
[parallel]
ep = 8
[routing]
trace = "shipped"
[step]
kind = "serving"
)";

inline std::vector<Change> request_changes() {
  const std::vector<Override> table = {"requests.source=table", "requests.path=pair.graphml"};
  const std::vector<Override> prefixes = {
      "requests.source=table", "requests.path=pair.graphml", "requests.prefix_cache=true"};
  const std::vector<Override> two = {"requests.groups=2"};
  return {
      {"requests.source", "azure", {}, {"requests.path=pair.graphml"}},
      {"requests.path", "a.json", table},
      {"requests.from", "5 s", table},
      {"requests.to", "7 s", table},
      {"requests.rate_scale", "2.5"},
      {"requests.spread", "3 s"},
      {"requests.concurrency", "5"},
      {"requests.rate", "7"},
      {"requests.count", "9"},
      {"requests.prompt_tokens", "1.5"},
      {"requests.prompt_sigma", "1"},
      {"requests.output_tokens", "8"},
      {"requests.output_sigma", "0.5"},
      {"requests.ttft_slo", "1 s"},
      {"requests.tpot_slo", "50 ms"},
      {"requests.warm_up", "60 s"},
      {"requests.policy", "disaggregated", two, {"requests.prefill_groups=1"}},
      {"requests.groups", "2"},
      {"requests.prefill_groups", "1", {"requests.groups=2"}, {"requests.policy=disaggregated"}},
      {"requests.balance", "round_robin"},
      {"requests.max_batch_tokens", "4096"},
      {"requests.chunk_tokens", "0"},
      {"requests.max_sequences", "12"},
      {"requests.prefix_cache", "true", table},
      {"requests.prefix_block", "16", prefixes},
      {"requests.step_overhead", "1 ms"},
      {"requests.interval", "0.5 s"},
      {"requests.surface_layers", "0"},
      {"requests.check_steps", "3"}};
}

inline std::vector<Change> price_changes() {
  std::vector<Change> changes = {{"source", "another"},
                                 {"basis", "quoted"},
                                 {"gpu_purchase", "25 kUSD"},
                                 {"node_purchase", "61.5 kUSD"},
                                 {"nic_purchase", "1200 USD"},
                                 {"switch_purchase", "700 USD"},
                                 {"cable_purchase", "1.5 MUSD"},
                                 {"depreciation_years", "5"},
                                 {"upkeep_per_year", "0.05"},
                                 {"gpu_busy", "0.7 kW"},
                                 {"gpu_idle", "75 W"},
                                 {"node_power", "2.5 kW"},
                                 {"switch_power", "25 W"},
                                 {"pue", "1.3"},
                                 {"electricity", "0.09 USD/kWh"},
                                 {"gpu_rent", "2.3 USD/h"},
                                 {"utilisation", "0.6"}};
  for (Change& change : changes) {
    change.path = "price." + change.path;
    change.before = {"step.kind=decode",
                     "batch.context_tokens=128",
                     "price.source=somebody",
                     "price.basis=example",
                     "price.gpu_rent=1 USD/h",
                     "price.gpu_busy=500 W"};
  }
  changes.push_back({"price.training_tokens", "1.4e13", changes.front().before});
  changes.back().before.front() = "step.kind=train";
  return changes;
}

}  // namespace moesim
