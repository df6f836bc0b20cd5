// SPDX-License-Identifier: Apache-2.0
// The maps of SGLang, TensorRT-LLM and vllm-ascend: what is written, what is read back, what is
// refused.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/placement_file.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

/// Two MoE layers of a model of four, the first of them layer 1; 3 experts in 4 slots on 2 ranks.
constexpr PlacementSize kSize{
    .layers = 2, .experts = 3, .ranks = 2, .first_layer = 1, .model_layers = 4, .moe_layers = 2};

Placement placement_of(const std::vector<int>& experts) {
  std::vector<ExpertId> slots;
  for (const int e : experts) {
    slots.push_back(ExpertId{e});
  }
  return placement_from_slots(std::move(slots), 2);
}

std::vector<Placement> two_layers() {
  return {placement_of({2, 0, 1, 0}), placement_of({1, 1, 0, 2})};
}

std::vector<std::vector<int>> experts_of(const std::vector<Placement>& placements) {
  std::vector<std::vector<int>> layers;
  for (const Placement& placement : placements) {
    layers.emplace_back();
    for (const ExpertId expert : placement.expert_of_slot) {
      layers.back().push_back(expert.value);
    }
  }
  return layers;
}

class EngineFile : public testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }

  std::vector<Placement> read(const std::string& text,
                              const std::string& ending,
                              const PlacementSize& size = kSize) {
    fs::remove(path_);
    path_ = fs::temp_directory_path() /
            (std::string("moesim_engine_") +
             testing::UnitTest::GetInstance()->current_test_info()->name() + ending);
    write_file_atomically(path_, text);
    return read_placements(path_.string(), size);
  }
  std::string refusal(const std::string& text, const std::string& ending) {
    try {
      static_cast<void>(read(text, ending));
    } catch (const UserError& error) {
      const std::string start = path_.string() + ": error: ";
      const std::string all = error.what();
      EXPECT_EQ(all.substr(0, start.size()), start);
      return all.substr(start.size());
    }
    return "accepted";
  }
  fs::path path_ = "/nowhere";
};

TEST_F(EngineFile, SglangHasARowForEveryLayerOfTheModel) {
  const std::string text = engine_text(EngineFormat::kSglang, two_layers(), kSize);
  EXPECT_EQ(text, "{\"physical_to_logical_map\":[[0,1,2,0],[2,0,1,0],[1,1,0,2],[0,1,2,0]]}\n");
  EXPECT_EQ(experts_of(read(text, ".json")), experts_of(two_layers()));
  EXPECT_EQ(experts_of(read("{\"physical_to_logical_map\":[[2,0,1,0],[1,1,0,2]]}", ".json")),
            experts_of(two_layers()));
}

TEST_F(EngineFile, TensorRtLlmNumbersLayersAsTheModelDoes) {
  const std::string text = engine_text(EngineFormat::kTensorRtLlm, two_layers(), kSize);
  EXPECT_EQ(text,
            "num_slots: 4\n"
            "initial_global_assignments:\n"
            "  1: [2,0,1,0]\n"
            "  2: [1,1,0,2]\n"
            "layer_updates_per_iter: 0\n");
  EXPECT_EQ(experts_of(read(text, ".yaml")), experts_of(two_layers()));
  EXPECT_EQ(experts_of(read(text, ".yml")), experts_of(two_layers()));
}

TEST_F(EngineFile, VllmAscendListsDevices) {
  const std::string text = engine_text(EngineFormat::kVllmAscend, two_layers(), kSize);
  EXPECT_EQ(text,
            "{\"moe_layer_count\":2,\"layer_list\":["
            "{\"layer_id\":0,\"device_count\":2,\"device_list\":["
            "{\"device_id\":0,\"device_expert\":[2,0]},{\"device_id\":1,\"device_expert\":[1,0]}]},"
            "{\"layer_id\":1,\"device_count\":2,\"device_list\":["
            "{\"device_id\":0,\"device_expert\":[1,1]},{\"device_id\":1,\"device_expert\":[0,2]}]}"
            "]}\n");
  EXPECT_EQ(experts_of(read(text, ".json")), experts_of(two_layers()));
}

TEST_F(EngineFile, ReadsTheFirstLayersWhereFewerAreSimulated) {
  PlacementSize size = kSize;
  size.layers = 1;
  const std::vector<std::vector<int>> first = {{2, 0, 1, 0}};
  for (const auto& [format, ending] : {std::pair(EngineFormat::kSglang, ".json"),
                                       std::pair(EngineFormat::kTensorRtLlm, ".yaml"),
                                       std::pair(EngineFormat::kVllmAscend, ".json")}) {
    EXPECT_EQ(experts_of(read(engine_text(format, two_layers(), kSize), ending, size)), first);
  }
}

TEST_F(EngineFile, RefusesSglangMapsThatDoNotFit) {
  EXPECT_EQ(refusal("{\"physical_to_logical_map\":[[0,1,2,0]]}", ".json"),
            "physical_to_logical_map: 1 layers; expected 2, the MoE layers of the model, or 4, all "
            "its layers");
}

TEST_F(EngineFile, RefusesTensorRtLlmMapsThatDoNotFit) {
  const std::string key = "initial_global_assignments: ";
  EXPECT_EQ(refusal("a: [", ".yaml"), "not YAML at line 1; expected initial_global_assignments");
  EXPECT_EQ(refusal("[1, 2]", ".yaml"),
            key + "missing; expected {layer of the model: [expert ids by slot]}");
  EXPECT_EQ(refusal("initial_global_assignments: {1: [0]}", ".yaml"),
            "num_slots: missing; expected the slots of a layer");
  const std::string head = "num_slots: 4\ninitial_global_assignments:\n  1: [2,0,1,0]\n";
  EXPECT_EQ(refusal(head, ".yaml"), key + "layer 2 of the model has no list of expert ids");
  EXPECT_EQ(refusal(head + "  2: [0,1,2]\n", ".yaml"), key + "layer 2 has 3 slots; num_slots is 4");
  EXPECT_EQ(refusal(head + "  2: [0,1,2,x]\n", ".yaml"),
            key + "slot 3 of layer 2 is x; expected an expert id from 0 to 2");
  EXPECT_EQ(refusal(head + "  2: [0,1,[2],0]\n", ".yaml"),
            key + "slot 2 of layer 2 is no number; expected an expert id from 0 to 2");
  EXPECT_EQ(refusal(head + "  2: [0,1,1,0]\n", ".yaml"), key + "expert 2 has no slot in layer 2");
  EXPECT_EQ(refusal(head + "  2: [0,1,2,0]\n  3: [0,1,2,0]\n", ".yaml"),
            key + "3 layers; the model has 2 MoE layers");
  EXPECT_EQ(refusal("num_slots: 3\ninitial_global_assignments: {1: [0,1,2], 2: [0,1,2]}", ".yaml"),
            key + "3 slots in layer 1 do not divide into 2 ranks");
}

TEST_F(EngineFile, RefusesVllmAscendMapsThatDoNotFit) {
  const auto with = [&](const std::string& devices) {
    const std::string layer = "{\"device_list\":[" + devices + "]}";
    return refusal("{\"layer_list\":[" + layer + "," + layer + "]}", ".json");
  };
  const std::string first = "{\"device_id\":0,\"device_expert\":[2,0]}";
  EXPECT_EQ(refusal("{\"layer_list\":7}", ".json"), "layer_list: found number; expected an array");
  EXPECT_EQ(refusal("{\"layer_list\":[{},{}]}", ".json"),
            "layer_list: layer 0 has no device_list that is an array");
  EXPECT_EQ(with(first), "layer_list: layer 0 has 1 devices; expected 2, the ranks of the group");
  EXPECT_EQ(with(first + "," + first), "layer_list: layer 0 has device_id 0 twice");
  EXPECT_EQ(with(first + ",{\"device_id\":5,\"device_expert\":[]}"),
            "layer_list: layer 0 has device_id 5 outside the ranks");
  EXPECT_EQ(with(first + ",{\"device_expert\":[]}"),
            "layer_list: layer 0, a device, has no device_id that is a count");
  EXPECT_EQ(with(first + ",{\"device_id\":1}"),
            "layer_list: layer 0, device 1, has no device_expert that is an array");
  EXPECT_EQ(with(first + ",{\"device_id\":1,\"device_expert\":[1]}"),
            "layer_list: layer 0 has 1 slots on device 1, 2 on device 0");
  EXPECT_EQ(with(first + ",{\"device_id\":1,\"device_expert\":[1,3]}"),
            "layer_list: slot 3 of layer 0 is 3; expected an expert id from 0 to 2");
}

RC_GTEST_FIXTURE_PROP(EngineFile, ReadsBackWhatItWrote, ()) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "maps");
  const auto format = static_cast<EngineFormat>(rng.below(3));
  PlacementSize size{.layers = 1 + static_cast<int>(rng.below(3)),
                     .experts = 4,
                     .ranks = 1 + static_cast<int>(rng.below(4)),
                     .first_layer = static_cast<int>(rng.below(3)),
                     .model_layers = 8,
                     .moe_layers = 0};
  size.moe_layers = size.layers;
  std::vector<Placement> placements;
  for (int layer = 0; layer < size.layers; ++layer) {
    std::vector<ExpertId> slots;
    for (int s = 0; s < 4 * size.ranks; ++s) {
      slots.push_back(ExpertId{s < 4 ? s : static_cast<std::int32_t>(rng.below(4))});
    }
    shuffle(std::span(slots), rng);
    placements.push_back(placement_from_slots(std::move(slots), size.ranks));
  }
  const char* ending = format == EngineFormat::kTensorRtLlm ? ".yaml" : ".json";
  RC_ASSERT(experts_of(read(engine_text(format, placements, size), ending, size)) ==
            experts_of(placements));
}

}  // namespace
}  // namespace moesim
