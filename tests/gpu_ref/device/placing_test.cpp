// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/placing.hpp"

#include "gpu_ref/oracle/gate.hpp"
#include "tests/gpu_ref/device/on_device.hpp"

namespace moesim::gpu_ref::testing {
namespace {

using PlacingOnDevice = OnDevice;

LayerShape shape_of(int experts, int top_k) {
  return {.hidden = 8, .expert_width = 8, .num_experts = experts, .top_k = top_k};
}

/// Rows in order of service, one assignment after the other.
std::vector<std::int32_t> expected_rows(std::span<const std::int32_t> experts,
                                        std::span<const std::int32_t> quota,
                                        std::span<const std::int32_t> row_begin) {
  std::vector<std::int32_t> taken(quota.size());
  std::vector<std::int32_t> rows;
  for (const std::int32_t expert : experts) {
    if (expert < 0) {
      rows.push_back(-1);
      continue;
    }
    const auto e = static_cast<std::size_t>(expert);
    rows.push_back(taken[e] < quota[e] ? row_begin[e] + taken[e] : -1);
    ++taken[e];
  }
  return rows;
}

TEST_F(PlacingOnDevice, CountsAndPlacesAreThoseOfServingInOrder) {
  struct Case {
    std::int64_t tokens;
    int experts;
    int top_k;
  };
  // Several chunks with a ragged end, one expert, more experts than threads, no token.
  for (const Case& c : {Case{700, 16, 4}, Case{33, 1, 1}, Case{40, 1000, 8}, Case{0, 8, 2}}) {
    SCOPED_TRACE(c.tokens);
    const TopkShape shape{c.tokens, c.experts, c.top_k};
    std::vector<std::int32_t> experts =
        random_experts(c.tokens, shape_of(c.experts, c.top_k), "placing");
    for (std::size_t i = 0; i < experts.size(); i += 13) {
      experts[i] = -1;
    }
    const std::vector<std::int32_t> counts = oracle::counts_of(experts, c.experts);
    std::vector<std::int32_t> quota = counts;
    std::vector<std::int32_t> row_begin;
    std::int32_t rows = 0;
    for (std::size_t e = 0; e < quota.size(); ++e) {
      quota[e] = e % 3 == 0 ? quota[e] / 2 : quota[e];  // some experts are over their capacity
      row_begin.push_back(rows);
      rows += quota[e];
    }
    const auto device_experts = on_device(experts);
    const auto device_quota = on_device(quota);
    const auto device_begin = on_device(row_begin);
    auto chunk_begins = poisoned<std::int32_t>(
        static_cast<std::size_t>(num_chunks(c.tokens * c.top_k) * c.experts));
    auto device_counts = poisoned<std::int32_t>(counts.size());
    auto device_rows = poisoned<std::int32_t>(experts.size());
    device_rows.fill(0x7f, stream());
    count_assignments(
        device_experts.data(), shape, chunk_begins.data(), device_counts.data(), stream());
    place_assignments(
        {device_experts.data(), chunk_begins.data(), device_quota.data(), device_begin.data()},
        shape,
        device_rows.data(),
        stream());
    EXPECT_EQ(device_counts.download(stream()), counts);
    EXPECT_EQ(device_rows.download(stream()), expected_rows(experts, quota, row_begin));
  }
}

TEST_F(PlacingOnDevice, OverflowGoesToTheNextBestExpert) {
  struct Case {
    std::int64_t tokens;
    int experts;
    int top_k;
    std::int64_t capacity;
  };
  // Room for all, tight, too little for all, everything on few experts.
  for (const Case& c :
       {Case{20, 8, 2, 40}, Case{24, 8, 2, 6}, Case{30, 8, 3, 4}, Case{17, 40, 4, 2}}) {
    SCOPED_TRACE(c.capacity);
    const std::vector<float> logits =
        random_floats(static_cast<std::size_t>(c.tokens * c.experts), "divert");
    std::vector<float> skewed = logits;
    for (std::size_t i = 0; i < skewed.size(); ++i) {
      skewed[i] -= static_cast<float>(i % static_cast<std::size_t>(c.experts)) * 0.2F;
    }
    oracle::Choice choice = oracle::choose(matrix_of(skewed, c.experts), {}, GateSpec{}, c.top_k);
    const std::vector<std::int32_t> before = choice.experts;
    const auto device_choice = on_device(skewed);
    auto experts = on_device(before);
    auto tried = poisoned<std::uint32_t>(static_cast<std::size_t>(c.tokens) * 32);
    divert_overflow(experts.data(),
                    device_choice.data(),
                    tried.data(),
                    c.capacity,
                    {c.tokens, c.experts, c.top_k},
                    stream());
    oracle::divert(choice.experts, choice.choice, c.top_k, c.capacity);
    EXPECT_EQ(experts.download(stream()), choice.experts);
    EXPECT_EQ(choice.experts == before, c.capacity == 40);

    const auto scores = on_device(skewed);  // any positive or negative scores will do
    GateSpec gate;
    gate.scale = 3.0F;
    auto weights = poisoned<float>(before.size());
    weigh_choice(experts.data(),
                 scores.data(),
                 gate,
                 {c.tokens, c.experts, c.top_k},
                 weights.data(),
                 stream());
    choice.scores = matrix_of(skewed, c.experts);
    oracle::weigh(choice, gate);
    EXPECT_TRUE(
        are_close(to_double(weights.download(stream())), choice.weights, {1e-6, 1e-6, 1e-6}));
  }
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
