// SPDX-License-Identifier: Apache-2.0
// Who takes part in `moesim place`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/scenario/assemble.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/step/placement_study.hpp"
#include "sim/study/placement_search.hpp"

namespace moesim::cli {

struct ContenderOptions {
  std::string kinds = "contiguous,round_robin,random,greedy,eplb,optimised";
  int slots = 0;                   ///< of eplb, eplb_global and survive; 0: one a rank more
  int survive = 0;                 ///< nodes that may be lost
  std::vector<std::string> files;  ///< engines' maps that take part
  std::int64_t moves = 20'000;     ///< candidates a layer that `optimised` tries
  bool shared_map = false;         ///< of `optimised`: one for all layers
  std::string choices;             ///< of replicas, that `optimised` tries; empty: the scenario's
  bool bounds = true;              ///< whether the least layer time of each size is found
};

/// Whether a search takes part.
[[nodiscard]] bool has_search(const ContenderOptions& options);

/// How the search of `optimised` is shown and ended.
struct SearchControl {
  int threads = 0;
  const std::atomic<bool>* cancelled = nullptr;  ///< set: the best so far takes part
  std::function<void(const SearchProgress&)> on_progress = {};
};

/// What contenders are made from, and how that is followed and ended.
struct ContenderInput {
  const Scenario& scenario;
  const Assembly& assembly;
  StepWindow train;
  StepWindow judged;
  SearchControl control = {};
};

/// Slots of a layer that replicating contenders get. Throws UserError when they do not fit.
[[nodiscard]] int contender_slots(const ContenderOptions& options, const Scenario& scenario);

/// Made in the order named, then the files, then survive. Throws UserError (unknown kind or
/// choice, a map that does not fit, too few slots or nodes to survive).
[[nodiscard]] std::vector<Contender> make_contenders(const ContenderOptions& options,
                                                     const ContenderInput& input);

/// Gives each placement the least mean layer time of any placement with its slots over the judged
/// steps. Throws Cancelled.
void add_bounds(PlacementStudy& study, const ContenderInput& input);

/// EPLB with the contenders' slots, from loads alone.
[[nodiscard]] std::vector<Placement> eplb_of(const ContenderInput& input,
                                             int slots,
                                             std::span<const std::vector<double>> loads);

}  // namespace moesim::cli
