// SPDX-License-Identifier: Apache-2.0
// Who takes part in `moesim place`.
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/assemble.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/step/placement_study.hpp"

namespace moesim::cli {

struct ContenderOptions {
  std::string kinds = "contiguous,round_robin,random,greedy,eplb";
  int slots = 0;                   ///< of eplb, eplb_global and survive; 0: one a rank more
  int survive = 0;                 ///< nodes that may be lost
  std::vector<std::string> files;  ///< engines' maps that take part
};

/// What contenders are made from.
struct ContenderInput {
  const Scenario& scenario;
  const Assembly& assembly;
  StepWindow train;
};

/// Slots of a layer that replicating contenders get. Throws UserError when they do not fit.
[[nodiscard]] int contender_slots(const ContenderOptions& options, const Scenario& scenario);

/// Made in the order named, then the files, then survive. Throws UserError (unknown kind, a map
/// that does not fit, too few slots or nodes to survive).
[[nodiscard]] std::vector<Contender> make_contenders(const ContenderOptions& options,
                                                     const ContenderInput& input);

/// EPLB with the contenders' slots, from loads alone.
[[nodiscard]] std::vector<Placement> eplb_of(const ContenderInput& input,
                                             int slots,
                                             std::span<const std::vector<double>> loads);

}  // namespace moesim::cli
