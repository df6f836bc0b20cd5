// SPDX-License-Identifier: Apache-2.0
// The generators that are shipped: they load, and make what they were fitted on.
#include "sim/scenario/generator_file.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/eplb.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/replica_choice.hpp"
#include "sim/moe/traces/checks.hpp"
#include "sim/moe/traces/skew.hpp"
#include "sim/scenario/data_folder.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

class GeneratorFile : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("MOESIM_DATA", MOESIM_SOURCE_DIR "/scenarios", 1);
    std::string pattern = (fs::temp_directory_path() / "moesim-generator-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~GeneratorFile() override { fs::remove_all(folder_); }
  std::string write(const std::string& text) {
    std::ofstream(folder_ / "g.toml") << text;
    return (folder_ / "g.toml").string();
  }
  std::string refusal(const std::string& text) {
    try {
      (void)load_generator(write(text));
    } catch (const UserError& error) {
      std::string found = error.what();
      const std::string prefix = folder_.string() + "/";
      for (auto at = found.find(prefix); at != std::string::npos; at = found.find(prefix)) {
        found.erase(at, prefix.size());
      }
      return found;
    }
    return "";
  }
  fs::path folder_;
};

TEST_F(GeneratorFile, EveryShippedOneLoadsAndReadsBackFromWhatIsWritten) {
  const std::vector<std::string> names = preset_names(data_folder() / "routing");
  EXPECT_GE(names.size(), 3U);
  for (const std::string& name : names) {
    const GeneratorSpec spec = load_generator(name);
    const std::string text = generator_toml(spec, "a comment\n\nof two parts");
    const GeneratorSpec again = load_generator(write(text));
    EXPECT_EQ(generator_toml(again, "a comment\n\nof two parts"), text) << name;
    EXPECT_THAT(text,
                testing::StartsWith("# SPDX-License-Identifier: Apache-2.0\n# a comment\n#\n# of "
                                    "two parts\nsource = \"generated\"\n\n[generated]\nkind = "));
  }
}

TEST_F(GeneratorFile, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  try {
    (void)load_generator("no-such");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("error: \"no-such\" is no generator; known: "));
    EXPECT_THAT(error.what(), testing::HasSubstr("deepseek-r1-published"));
  }
}

TEST_F(GeneratorFile, RefusesWhatIsNoGenerator) {
  EXPECT_EQ(refusal("source = \"trace\"\n"),
            "g.toml: error: routing.source: expected \"generated\"");
  EXPECT_EQ(refusal("source = \"generated\"\n[generated]\ntoken_correlation = 1.5\n"),
            "g.toml:3:21: error: routing.generated.token_correlation: 1.5 is not below 1\n"
            "     3 | token_correlation = 1.5\n"
            "       |                     ^");
  EXPECT_EQ(refusal("source = \"generated\"\n[generated]\nkind = \"normal\"\n"),
            "g.toml:3:8: error: routing.generated.kind: \"normal\" is no such word\n"
            "     3 | kind = \"normal\"\n"
            "       |        ^ expected uniform, zipf, log_normal or one_hot");
}

double deviation(const std::vector<std::int64_t>& loads) {
  double square = 0.0;
  double sum = 0.0;
  for (const std::int64_t load : loads) {
    sum += static_cast<double>(load);
  }
  const double mean = sum / static_cast<double>(loads.size());
  for (const std::int64_t load : loads) {
    square += (static_cast<double>(load) - mean) * (static_cast<double>(load) - mean);
  }
  return std::sqrt(square / static_cast<double>(loads.size()));
}

// The figures are those of the preset's header: 4096 tokens, averages over the layers.
TEST_F(GeneratorFile, DeepSeekR1HasThePublishedLoads) {
  const GeneratorSpec spec = load_generator("deepseek-r1-published");
  const auto source = generate::open_generated_source(
      spec,
      {.num_experts = 256, .top_k = 8, .layers = 58, .ranks = 32, .tokens_per_rank = 128},
      TraceDraw::kTokens,
      1);
  double expert_deviation = 0.0;
  double expert_imbalance = 0.0;
  double rank_deviation = 0.0;
  double rank_imbalance = 0.0;
  for (int layer = 0; layer < 58; ++layer) {
    const std::vector<std::int64_t> load = expert_load(source->route(0, layer));
    std::vector<std::int64_t> ranks(32);
    for (std::size_t e = 0; e < load.size(); ++e) {
      ranks[e / 8] += load[e];
    }
    expert_deviation += deviation(load) / 58;
    expert_imbalance += (traces::load_skew(load).max_over_mean - 1.0) / 58;
    rank_deviation += deviation(ranks) / 58;
    rank_imbalance += traces::rank_imbalance(load, 32) / 58;
  }
  EXPECT_NEAR(expert_deviation, 164.1, 0.1 * 164.1);
  EXPECT_NEAR(expert_imbalance, 10.95, 0.15 * 10.95);
  EXPECT_NEAR(rank_deviation, 491.6, 0.1 * 491.6);
  EXPECT_NEAR(rank_imbalance, 1.564, 0.15 * 1.564);
}

/// Loads under EPLB with 288 slots over so many ranks, made from four steps and judged on the next:
/// mean of several layers.
struct Balanced {
  double rank_deviation = 0.0;
  double rank_imbalance = 0.0;  ///< (max - mean) / mean, as published
  double slot_deviation = 0.0;
  double slot_imbalance = 0.0;
};

Balanced after_eplb(const RoutingSource& source, int ranks) {
  constexpr int kSlots = 288;
  constexpr int kTrained = 4;
  constexpr int kLayers = 58;
  constexpr int kEvery = 8;
  std::vector<RankPlace> places(static_cast<std::size_t>(ranks));  // one scale-up domain, a node
  const Domains domains = make_domains(places);
  Balanced mean;
  int seen = 0;
  for (int layer = 0; layer < kLayers; layer += kEvery, ++seen) {
    std::vector<double> loads(256);
    for (int step = 0; step < kTrained; ++step) {
      const std::vector<std::int64_t> of_step = expert_load(source.route(step, layer));
      std::transform(loads.begin(), loads.end(), of_step.begin(), loads.begin(), std::plus<>());
    }
    const Placement placement =
        eplb_placement(loads, {.slots = kSlots, .groups = 1, .nodes = 1, .ranks = ranks});
    std::vector<std::int64_t> of_slot(kSlots);
    std::vector<std::int64_t> of_rank(static_cast<std::size_t>(ranks));
    const Routing judged = source.route(kTrained, layer);
    for (const SlotId slot : choose_slots(judged, Placed{placement, domains})) {
      ++of_slot[slot.index()];
      ++of_rank[placement.rank_of(slot).index()];
    }
    mean.rank_deviation += deviation(of_rank);
    mean.rank_imbalance += traces::load_skew(of_rank).max_over_mean - 1.0;
    mean.slot_deviation += deviation(of_slot);
    mean.slot_imbalance += traces::load_skew(of_slot).max_over_mean - 1.0;
  }
  for (double* value :
       {&mean.rank_deviation, &mean.rank_imbalance, &mean.slot_deviation, &mean.slot_imbalance}) {
    *value /= seen;
  }
  return mean;
}

// The same table, with EPLB: 9 slots a rank on 32 ranks, and 8 on 36 (4096 and 4608 tokens). Slots
// come out as published: what the largest one holds goes with popularity. Ranks come out
// better, 1.07 times the mean where 1.109 and 1.115 are published, a standard deviation of 31
// (chance alone: the root of 1024) where it is 52 and 54: texts drift after the counting, generated
// tokens do not.
TEST_F(GeneratorFile, EplbBalancesItAsPublished) {
  const GeneratorSpec spec = load_generator("deepseek-r1-published");
  const auto source_for = [&](int ranks) {
    return generate::open_generated_source(
        spec,
        {.num_experts = 256, .top_k = 8, .layers = 58, .ranks = ranks, .tokens_per_rank = 128},
        TraceDraw::kTokens,
        1);
  };
  const auto expect = [&](int ranks, const Balanced& published) {
    const Balanced ours = after_eplb(*source_for(ranks), ranks);
    EXPECT_NEAR(ours.slot_imbalance, published.slot_imbalance, 0.1 * published.slot_imbalance);
    EXPECT_NEAR(ours.slot_deviation, published.slot_deviation, 0.15 * published.slot_deviation);
    EXPECT_NEAR(1.0 + ours.rank_imbalance,
                1.0 + published.rank_imbalance,
                0.06 * (1.0 + published.rank_imbalance));
    EXPECT_LT(ours.rank_imbalance, published.rank_imbalance);
    EXPECT_NEAR(ours.rank_deviation, std::sqrt(1024.0), 0.1 * std::sqrt(1024.0));
  };
  expect(32,
         {.rank_deviation = 52.0,
          .rank_imbalance = 0.109,
          .slot_deviation = 77.8,
          .slot_imbalance = 1.792});
  expect(36,
         {.rank_deviation = 53.9,
          .rank_imbalance = 0.115,
          .slot_deviation = 87.5,
          .slot_imbalance = 1.791});
}

}  // namespace
}  // namespace moesim
