// SPDX-License-Identifier: Apache-2.0
// The GPU backend with a meter of made-up times: what is asked of the GPU, what the reports say.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/cli/gpu_backend.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/replay.hpp"
#include "tests/cli/scene.hpp"

namespace moesim::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

/// Rank r's stages take 1 + r ms each; accepts what the simulator accepts.
class FakeMeter final : public measure::LayerMeter {
 public:
  FakeMeter(const StepModel& model, int gpus) : model_(model), gpus_(gpus) {}

  std::string device() const override { return "Fake GPU"; }
  int gpus() const override { return gpus_; }
  bool offers_fp8() override { return false; }
  std::vector<measure::MeasuredRank> measure(const measure::RoutedLayer& layer) override {
    gpu_ref::check_spec(layer.spec);  // as the layer on a GPU does before anything else
    const int index = static_cast<int>(asked.size());
    asked.push_back(layer);
    const LayerResult expected =
        prepare_layer(model_, index / model_.layers, index % model_.layers).result;
    std::vector<measure::MeasuredRank> ranks;
    for (std::size_t r = 0; r < expected.rank_tokens.size(); ++r) {
      const double time = 1e-3 * static_cast<double>(1 + r);
      ranks.push_back({{{"gate", time},
                        {"spread", time},
                        {"gate_up", time},
                        {"down", time},
                        {"combine", time},
                        {"losses", time}},
                       expected.rank_tokens[r] + wrong_by});
    }
    return ranks;
  }

  std::vector<measure::RoutedLayer> asked;
  std::int64_t wrong_by = 0;

 private:
  const StepModel& model_;
  int gpus_;
};

class GpuBackend : public cli_tests::Scene {
 protected:
  void open(const std::vector<Override>& overrides = {}) {
    scenario_ = load_scenario(folder() / "scenario.toml", overrides);
    assembly_.emplace(assemble(scenario_));
  }
  GpuReport measured(FakeMeter& meter) {
    RunReport head;
    head.scenario = "scenario.toml";
    return measure_scenario(assembly_->step, scenario_.batch.steps, head, meter, {});
  }

  /// What a run on the GPU says to these overrides; "" when it runs.
  std::string refusal(const std::vector<Override>& overrides) {
    open(overrides);
    FakeMeter meter(assembly_->step, 1);
    try {
      (void)measured(meter);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }

  Scenario scenario_;
  std::optional<Assembly> assembly_;
};

// Ranks take 1, 2, 3, 4 ms a stage: mean 2.5, slowest 4. Two layers; experts have two stages.
TEST_F(GpuBackend, SumsStagesIntoPhases) {
  open();
  FakeMeter meter(assembly_->step, 1);
  const GpuReport report = measured(meter);
  EXPECT_EQ(meter.asked.size(), 3U * 2);
  EXPECT_NEAR(phase_total(report, Phase::kGate).mean.value, 5e-3, 1e-12);
  EXPECT_NEAR(phase_total(report, Phase::kGate).max.value, 8e-3, 1e-12);
  EXPECT_NEAR(phase_total(report, Phase::kExperts).max.value, 16e-3, 1e-12);
  EXPECT_NEAR(phase_total(report, Phase::kCombine).max.value, 8e-3, 1e-12);
}

TEST_F(GpuBackend, GivesTheGpuTheScenariosRoutingCapacityAndPlacement) {
  open({"capacity.policy=drop", "capacity.factor=1.25", "placement.kind=round_robin"});
  FakeMeter meter(assembly_->step, 1);
  (void)measured(meter);
  const measure::RoutedLayer& asked = meter.asked.front();
  const Routing routing = assembly_->routing->route(0, 0);
  EXPECT_EQ(asked.token_begin, routing.token_begin);
  EXPECT_TRUE(std::equal(asked.experts.begin(), asked.experts.end(), routing.experts.begin()));
  EXPECT_EQ(asked.spec.ranks, 4);
  EXPECT_EQ(asked.spec.capacity.overflow, gpu_ref::Overflow::kDrop);
  EXPECT_EQ(asked.spec.capacity.factor, 1.25);
  // Expert e on rank e % 4, two slots a rank: rank 0 holds 0 and 4 in slots 0 and 1.
  EXPECT_EQ(asked.spec.slot_of_expert, (std::vector<std::int32_t>{0, 2, 4, 6, 1, 3, 5, 7}));
}

TEST_F(GpuBackend, ReportsInOneFormAndSaysWhatWasNotMeasured) {
  open();
  FakeMeter meter(assembly_->step, 1);
  const json report = json::parse(gpu_json(measured(meter)));
  EXPECT_EQ(report["format"], "moesim-gpu-report");
  EXPECT_EQ(report["network_measured"], false);
  EXPECT_EQ(report["summary"]["assignments"], 768);
  EXPECT_EQ(report["summary"]["phases"]["gate"]["whole"], true);
  EXPECT_EQ(report["summary"]["phases"]["dispatch"]["whole"], false);
  EXPECT_THAT(report["not_measured"], testing::Contains("critical_path"));
  EXPECT_EQ(report["steps"][2]["layers"][1]["stages"]["gate"]["max_s"], 4e-3);
  EXPECT_FALSE(report["steps"][0]["layers"][0].contains("makespan_s"));
}

TEST_F(GpuBackend, TellsRanksInTurnFromRanksSideBySide) {
  open();
  FakeMeter one(assembly_->step, 1);
  const std::string alone = gpu_text(measured(one));
  EXPECT_THAT(alone, HasSubstr("dispatch (local)"));
  EXPECT_THAT(alone, HasSubstr("note: 4 rank(s) ran in turn on one GPU"));
  FakeMeter eight(assembly_->step, 8);
  const std::string together = gpu_text(measured(eight));
  EXPECT_THAT(together, Not(HasSubstr("(local)")));
  EXPECT_THAT(together, HasSubstr("note: 4 ranks ran side by side"));
}

TEST_F(GpuBackend, ComparesOnlyWhatWasMeasuredWhole) {
  open();
  FakeMeter meter(assembly_->step, 1);
  const GpuReport gpu = measured(meter);
  RunReport simulated = gpu.head;
  simulated.steps = replay(assembly_->step, scenario_.batch.steps, {});
  for (std::size_t i = 0; i < assembly_->step.cluster.links.size(); ++i) {
    simulated.link_names.push_back(assembly_->step.cluster.link_name(id_at<LinkId>(i)));
  }
  const json comparison = json::parse(comparison_json(simulated, gpu));
  EXPECT_EQ(comparison["phases"]["dispatch"]["max_error_ratio"], nullptr);
  const json& gate = comparison["phases"]["gate"];
  EXPECT_NEAR(gate["max_error_ratio"].get<double>(),
              gate["simulated"]["max_s"].get<double>() / 8e-3 - 1,
              1e-12);
  EXPECT_EQ(comparison["layers"].size(), 2U);
  EXPECT_EQ(comparison["measured"]["device"], "Fake GPU");
  const std::string text = comparison_text(simulated, gpu);
  EXPECT_THAT(text, HasSubstr("simulated (evidence: "));
  EXPECT_THAT(text, HasSubstr("dispatch (local)"));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_LE(end - at, 80U) << text.substr(at, end - at);
    at = end + 1;
  }
}

TEST_F(GpuBackend, AGpuThatAcceptsOtherAssignmentsIsABug) {
  open();
  FakeMeter meter(assembly_->step, 1);
  meter.wrong_by = 1;
  EXPECT_THROW((void)measured(meter), std::logic_error);
}

TEST_F(GpuBackend, PoliciesThatTheLayerLacksAreRefused) {
  const std::string words =
      "error: --backend gpu: the layer on a GPU knows capacity.policy none, and drop in token "
      "order, without caps, in scope rank or in scope group of one micro-batch";
  const auto drop = [&](const std::vector<Override>& more) {
    std::vector<Override> all = {"capacity.policy=drop", "capacity.factor=1.25"};
    all.insert(all.end(), more.begin(), more.end());
    return refusal(all);
  };
  EXPECT_EQ(drop({}), "");
  EXPECT_EQ(drop({"capacity.scope=group"}), "");
  EXPECT_EQ(drop({"capacity.sender_cap=4"}), words);
  EXPECT_EQ(drop({"capacity.receiver_cap=4"}), words);
  EXPECT_EQ(drop({"capacity.scope=micro_batch", "capacity.micro_batches=2"}), words);
  for (const char* policy : {"spill", "pad"}) {
    EXPECT_EQ(
        refusal({std::string("capacity.policy=") + policy, std::string("capacity.factor=1.25")}),
        words)
        << policy;
  }
}

TEST_F(GpuBackend, SizesThatTheLayerLacksAreRefused) {
  EXPECT_EQ(refusal({"model.hidden_size=260"}),
            "error: the GPU backend has no such layer: layer: hidden is not a positive multiple of "
            "8");
  EXPECT_EQ(refusal({"model.expert_width=12"}),
            "error: the GPU backend has no such layer: layer: expert_width is not a positive "
            "multiple of 8");
  EXPECT_EQ(refusal({"model.shared_experts=1", "model.shared_expert_width=12"}),
            "error: the GPU backend has no such layer: layer: shared_width is not a multiple of 8");
}

TEST_F(GpuBackend, Fp8WithoutAGemmForItIsTheUsersMistake) {
  EXPECT_EQ(refusal({"model.weight_dtype=fp8"}),
            "error: model.weight_dtype: cuBLASLt has no fp8 GEMM with block scales on Fake GPU; "
            "set bf16");
  EXPECT_EQ(refusal({"model.weight_dtype=fp8", "model.hidden_size=264"}),
            "error: model.weight_dtype: fp8 on GPUs needs model.hidden_size and "
            "model.expert_width in multiples of 128; set bf16");
  EXPECT_EQ(refusal({"model.expert_gated=false"}),
            "error: model.expert_gated: false; the GPU layer has gated experts only");
}

TEST_F(GpuBackend, CapacityThatTheLayerOnAGpuHasNotIsRefused) {
  const auto refusal = [&](const std::vector<Override>& overrides) -> std::string {
    open(overrides);
    FakeMeter meter(assembly_->step, 1);
    try {
      (void)measured(meter);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  const std::string words =
      "error: --backend gpu: the layer on a GPU knows capacity.policy none, and drop in token "
      "order, without caps, in scope rank or in scope group of one micro-batch";
  EXPECT_EQ(refusal({"capacity.policy=spill", "capacity.factor=1.25"}), words);
  EXPECT_EQ(refusal({"capacity.policy=drop", "capacity.sender_cap=3"}), words);
  EXPECT_EQ(refusal({"capacity.policy=drop", "capacity.scope=global"}), words);
  EXPECT_EQ(refusal({"capacity.policy=drop", "capacity.scope=group", "capacity.micro_batches=2"}),
            words);
  EXPECT_EQ(refusal({"capacity.policy=drop", "capacity.scope=group"}), "");
}

TEST(Phases, EveryForwardStageHasOneButTheLosses) {
  for (const char* stage : {"gate",
                            "place",
                            "spread",
                            "dispatch",
                            "regroup",
                            "gate_up",
                            "activation",
                            "down",
                            "shared",
                            "ungroup",
                            "return",
                            "combine"}) {
    EXPECT_TRUE(phase_of_stage(stage)) << stage;
  }
  EXPECT_FALSE(phase_of_stage("losses"));
}

}  // namespace
}  // namespace moesim::cli
