// SPDX-License-Identifier: Apache-2.0
// Routings of gates at moments of their training, for a simulation.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/core/pace.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/generate/learned_gate.hpp"
#include "sim/moe/routing.hpp"

namespace moesim::generate {

/// A RoutingSource whose step s is routed by gates that have trained for first_step + s * stride
/// steps, one gate a layer, trained as far as it is asked for.
///
/// Token t of rank r at step s is of a cluster drawn from (seed, s, r), the same in every layer,
/// and otherwise as in training (GateTrainer). Its experts are the top_k largest z + noise + bias;
/// gate weights are p = softmax(z) of them, over the chosen or over all; candidates come next.
/// With expert_choice the gates were trained so, and the routing holds what each token likes best:
/// the capacity policy expert_choice lets the experts choose.
/// Valid for: what GateTrainer is valid for; tokens of a rank are independent of each other.
/// Cost: a training step of a layer costs tokens * experts * width multiplications, done once.
/// Checked by: learned_source_test. Thread-safe: layers train apart, each under a lock.
/// @param pace  of the training ("training the gates") and of the drawing ("drawing tokens", total
/// 0),
///              as long as the source lives
[[nodiscard]] std::unique_ptr<RoutingSource> open_learned_source(const LearnedSpec& spec,
                                                                 const SourceShape& shape,
                                                                 std::uint64_t seed,
                                                                 const Pace& pace = {});

}  // namespace moesim::generate
