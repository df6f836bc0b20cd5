// SPDX-License-Identifier: Apache-2.0
// What the stages of a pipeline spend their time on, added up and averaged.
#pragma once

#include "sim/step/pass_graph.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// What passes consist of, added up.
struct PassSums {
  WholeParts parts{};
  SimTime busy;
  SimTime communication;
};

void add_pass(PassSums& sums, const PassResult& pass);

/// The sums over `stages` as means that add up to the mean of their total, rounded down.
[[nodiscard]] WholeParts mean_parts(const WholeParts& sums, int stages);

}  // namespace moesim
