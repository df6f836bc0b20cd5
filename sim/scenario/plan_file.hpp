// SPDX-License-Identifier: Apache-2.0
// The TOML file of a plan: a study (which scenarios) with limits and a way to search. docs/plan.md
// has its keys.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/core/cost_units.hpp"
#include "sim/core/units.hpp"
#include "sim/scenario/study_file.hpp"
#include "sim/study/plan_search.hpp"

namespace moesim {

/// [limits] 0: no limit.
struct PlanBudget {
  Seconds tpot;             ///< decode: of a step, the time per output token; serving: P95
  Seconds ttft;             ///< prefill: of a step, without queueing; serving: P95
  Dollars purchase;         ///< of the hardware
  DollarsPerHour hourly;    ///< owned or rented, as search.cost says
  Watts power;              ///< of the site
  Dollars per_million;      ///< tokens
  double days = 0;          ///< of a training run over price.training_tokens
  Dollars run_cost;         ///< of that run
  double slo_ratio = 0;     ///< serving: share of the requests within their SLO, at least
  double tokens_per_s = 0;  ///< of the layout, at least
  double per_gpu = 0;       ///< tokens/s a GPU, at least
};

enum class CostKind : std::uint8_t { kOwned, kRented };

/// [search]
struct PlanSearchSpec {
  PlanMethod method = PlanMethod::kBounds;
  std::vector<std::string> objectives = {"throughput", "latency", "cost"};
  PlanObjective choose =
      PlanObjective::kCost;  ///< what the recommended point of the front is best in
  CostKind cost = CostKind::kRented;
  bool fit_nodes = true;  ///< cluster.nodes is the smallest that holds the ranks, whole domains
  double vary = 0.2;      ///< +- of the sensitivity; 0: none
};

struct PlanFile {
  StudyFile study;
  PlanBudget budget;
  PlanSearchSpec search;
  std::vector<PlanObjective> objectives;  ///< search.objectives, no twins
};

/// Throws UserError with all mistakes at once.
[[nodiscard]] PlanFile read_plan(const std::filesystem::path& file);

}  // namespace moesim
