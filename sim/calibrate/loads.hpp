// SPDX-License-Identifier: Apache-2.0
// The loads of published operator benchmarks, made again from their description.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim::calibrate {

/// Shape of a load.
struct LoadShape {
  int num_experts = 0;
  int top_k = 0;
  int ranks = 0;
};

/// Experts of token t, choice i: (t + i * stride) mod E with stride = E / k; with fewer tokens than
/// the stride, floor(t * stride / tokens) + i * stride, so that the visited experts spread over
/// all. Source: "balanced" and "uniform" of ai-dynamo/aiconfigurator's collectors; 8 distinct ranks
/// a token at EP8, as TensorRT-LLM's "perfect" routing. Checked by: loads_test.
[[nodiscard]] Routing balanced_routing(LoadShape shape, int tokens_per_rank);

/// top_k distinct experts a token, uniform, from (seed, "calibration routing").
[[nodiscard]] Routing uniform_routing(LoadShape shape, int tokens_per_rank, std::uint64_t seed);

/// Assignments of each expert of the most loaded rank, for `tokens` tokens of the whole group; one
/// load a draw. The benchmark's time is a mean over draws, so a prediction is the mean over these.
///
/// Weights are drawn from a bounded power law of exponent a on [low, high] by inverting its
/// distribution, w = ((high^(1-a) - low^(1-a)) u + low^(1-a))^(1/(1-a)), scaled to tokens * top_k
/// and rounded. [low, high] = [1, 0.8 tokens], or [0.01, 2] when there are no more assignments than
/// experts. What is above `tokens` goes to the lightest expert that has room; what rounding left
/// over goes one each to the experts, lightest first; what it added too much is taken one each from
/// them, or from the heaviest where there is none. kPowerLawDraws draws of our own, kOneRankDraws
/// where one rank has all experts, since then its sum is no matter of chance.
/// When the benchmark says how many tokens the rank received, the kNearestDraws of kReceivedDraws
/// that come nearest to it stand instead; tokens are dealt as there: the experts' assignments one
/// after the other, heaviest expert first, assignment i to token i mod tokens. Source:
/// sample_power_law of ai-dynamo/aiconfigurator's collectors, which time 5 draws. Valid for: a
/// != 1. Checked by: loads_test.
inline constexpr int kPowerLawDraws = 24;
inline constexpr int kOneRankDraws = 4;
inline constexpr int kReceivedDraws = 64;
inline constexpr int kNearestDraws = 4;
[[nodiscard]] std::vector<std::vector<std::int64_t>> power_law_loads(
    LoadShape shape,
    std::int64_t tokens,
    double exponent,
    std::optional<std::int64_t> received = {});

/// The same for the balanced load: rank 0.
[[nodiscard]] std::vector<std::int64_t> balanced_load(LoadShape shape, std::int64_t tokens);

/// A rank's share of balanced assignments, tokens * top_k / ranks, in whole blocks: as many experts
/// as blocks, then evenly. What SGLang's "uniform" prefill rows show: 1,024 rows cost no more on 32
/// experts than on 8, and doubling them up to 32 blocks of 128 adds the weights of more experts.
/// Valid for: that benchmark; an inference from its times, not stated by its authors.
[[nodiscard]] std::vector<std::int64_t> filled_load(LoadShape shape,
                                                    std::int64_t tokens,
                                                    std::int64_t block);

}  // namespace moesim::calibrate
