// SPDX-License-Identifier: Apache-2.0
// What a sweep measures, in which order, and how long it is expected to take.
#include "gpu_ref/measure/sweep.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "gpu_ref/measure/estimate.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

using testing::Contains;
using testing::Each;
using testing::IsSupersetOf;

std::vector<std::string> keys(const std::vector<Case>& cases) {
  std::vector<std::string> list;
  for (const Case& c : cases) {
    list.push_back(key_of(c));
  }
  return list;
}

/// "key = 123" of a preset.
std::int64_t number_in(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key + " = ")) {
      return std::stoll(line.substr(key.size() + 3));
    }
  }
  return -1;
}

TEST(Sweeps, OfADefaultRunFitInsideEightMinutesThreeTimes) {
  // The margin is for rates and overheads that the estimate gets wrong; the budget stops the rest.
  EXPECT_LT(total_seconds(make_sweep({.trace = built_in_trace(), .ranks = 8})), 480 / 3.0);
}

TEST(Sweeps, HoldEveryKindModelSkewTypeAndPass) {
  const std::vector<Case> cases = make_sweep({.trace = built_in_trace(), .ranks = 8});
  std::set<std::string> kinds;
  std::set<std::string> grouped;
  std::map<std::string, std::set<std::string>> models;
  for (const Case& c : cases) {
    kinds.insert(kind_of(c));
    if (const auto* g = std::get_if<GroupedInput>(&c.input)) {
      grouped.insert({g->skew, std::string(to_text(g->type)), std::string(to_text(g->pass))});
      models[g->model].insert("e" + std::to_string(g->counts.size()));
      models[g->model].insert("r" + std::to_string(rows_of(g->counts)));
    }
  }
  EXPECT_EQ(kinds, std::set<std::string>(sweep_kinds().begin(), sweep_kinds().end()));
  EXPECT_THAT(grouped,
              IsSupersetOf({"uniform",
                            "lognormal0.5",
                            "lognormal1",
                            "lognormal1.5",
                            "one_hot",
                            "trace-0",
                            "bf16",
                            "fp8",
                            "forward",
                            "backward_input",
                            "backward_weight"}));
  EXPECT_EQ(models.size(), 6U);
  for (const auto& [model, sizes] : models) {
    EXPECT_THAT(sizes, IsSupersetOf({"e1", "e8", "r1", "r16384"})) << model;
  }
}

TEST(Sweeps, NameNoCaseTwiceAndRepeatThemselves) {
  for (const bool full : {false, true}) {
    const auto first = keys(make_sweep({.full = full, .trace = built_in_trace(), .ranks = 4}));
    EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), first.size());
    EXPECT_EQ(first, keys(make_sweep({.full = full, .trace = built_in_trace(), .ranks = 4})));
  }
}

TEST(Sweeps, OfTheFullGridHoldTheDefaultOnesInTheSameOrder) {
  const auto small = keys(make_sweep({.trace = built_in_trace()}));
  const auto full = keys(make_sweep({.full = true, .trace = built_in_trace()}));
  EXPECT_GT(full.size(), 5 * small.size());
  const std::set<std::string> all(full.begin(), full.end());
  EXPECT_TRUE(std::all_of(
      small.begin(), small.end(), [&](const std::string& key) { return all.contains(key); }));
}

TEST(Sweeps, BeginWithTheDevicesCeilingsAndALayerOfEachModel) {
  const std::vector<Case> cases = make_sweep({.trace = built_in_trace()});
  EXPECT_EQ(key_of(cases.front()), "device/facts/none");
  EXPECT_TRUE(std::is_sorted(
      cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.tier < b.tier; }));
  std::vector<std::string> first;
  for (std::size_t i = 0; i < 20; ++i) {
    first.push_back(kind_of(cases[i]));
  }
  for (const char* kind : {"copy", "gemm", "launch", "layer"}) {
    EXPECT_THAT(first, Contains(kind));
  }
}

TEST(Sweeps, OfOneGpuHaveNoCollectives) {
  const std::vector<Case> cases = make_sweep({.ranks = 1});
  EXPECT_TRUE(std::none_of(
      cases.begin(), cases.end(), [](const Case& c) { return kind_of(c) == "collective"; }));
}

TEST(Sweeps, OfUnevenCollectivesSendWholeBlocksThatSumToTheirBytes) {
  int found = 0;
  for (const Case& c : make_sweep({.ranks = 8})) {
    const auto* input = std::get_if<CollectiveInput>(&c.input);
    if (input == nullptr || input->op != CollectiveOp::kAllToAllV) {
      continue;
    }
    ++found;
    ASSERT_EQ(input->send_bytes.size(), 64U);
    EXPECT_EQ(rows_of(input->send_bytes), 8 * input->bytes);
  }
  EXPECT_GT(found, 5);
}

TEST(Sweeps, CanBeRestrictedToKinds) {
  const std::vector<Case> cases = make_sweep({.only = {"gate", "copy"}});
  ASSERT_FALSE(cases.empty());
  for (const Case& c : cases) {
    EXPECT_TRUE(kind_of(c) == "gate" || kind_of(c) == "copy");
  }
  EXPECT_THROW((void)make_sweep({.only = {"gates"}}), KitMistake);
}

TEST(Sweeps, RunLayersWhoseExpertsSeeATokenOnce) {
  int layers = 0;
  for (const Case& c : make_sweep({.full = true})) {
    if (const auto* layer = std::get_if<LayerInput>(&c.input)) {
      ++layers;
      EXPECT_EQ(rows_of(layer->counts), layer->tokens * layer->top_k) << key_of(c);
      EXPECT_LE(*std::max_element(layer->counts.begin(), layer->counts.end()), layer->tokens);
    }
  }
  EXPECT_GT(layers, 50);
}

TEST(SweepModels, HaveTheWidthsOfTheModelPresets) {
  for (const SweepModel& model : sweep_models()) {
    const std::filesystem::path preset =
        std::filesystem::path(MOESIM_SOURCE_DIR) / "scenarios/models" / (model.name + ".toml");
    EXPECT_EQ(model.hidden, number_in(preset, "hidden_size")) << model.name;
    EXPECT_EQ(model.width, number_in(preset, "expert_width")) << model.name;
    EXPECT_EQ(model.experts, number_in(preset, "num_experts")) << model.name;
    EXPECT_EQ(model.top_k, number_in(preset, "top_k")) << model.name;
  }
}

// Two experts with rows of three; [3 + 5, inner 4] x [4, columns 6].
TEST(Work, OfAGroupedGemmCountsRowsAndBusyExpertsWeights) {
  const GroupedInput forward{.columns = 6, .inner = 4, .counts = {3, 0, 5}};
  const Work work = work_of(forward);
  EXPECT_EQ(work.flops, 2.0 * 8 * 6 * 4);
  EXPECT_EQ(work.bytes, 8 * 4 * 2.0 + 8 * 6 * 2 + 2 * 6 * 4 * 2);
  GroupedInput fp8 = forward;
  fp8.type = ElementType::kFp8;
  EXPECT_EQ(work_of(fp8).bytes, 8 * 4 * 1.0 + 8 * 6 * 2 + 2 * 6 * 4 * 1);
  GroupedInput weights = forward;
  weights.pass = Pass::kBackwardWeight;
  EXPECT_EQ(work_of(weights).flops, work.flops);
  EXPECT_EQ(work_of(weights).bytes, 8 * (4 + 6) * 2.0 + 2 * 6 * 4 * 2);
}

// 10 tokens of width 16, top-2 of 4: 20 assignments.
TEST(Work, OfRowOperationsCountsEachOperandOnce) {
  const auto bytes = [](RowOp op) {
    return work_of(RowsInput{.op = op, .tokens = 10, .width = 16, .experts = 4, .top_k = 2})
        .bytes.value();
  };
  EXPECT_EQ(bytes(RowOp::kGate), (10 + 4) * 32 + 20 * 8);
  EXPECT_EQ(bytes(RowOp::kPermute), (10 + 20) * 32 + 20 * 4);
  EXPECT_EQ(bytes(RowOp::kCombine), 20 * (32 + 8) + 10 * 32);
  EXPECT_EQ(bytes(RowOp::kQuantise), 10 * (32 + 16 + 4));
  EXPECT_EQ(bytes(RowOp::kActivation), 10 * 3 * 32);
}

TEST(Estimates, GrowWithTheWork) {
  const auto seconds = [](std::int64_t rows) {
    return estimate_operation_seconds(
        GroupedInput{.columns = 4096, .inner = 7168, .counts = uniform_counts(8, rows)});
  };
  EXPECT_GT(seconds(32768), 4 * seconds(4096));
  EXPECT_GT(seconds(8), 1e-6);
}

}  // namespace
}  // namespace moesim::measure
