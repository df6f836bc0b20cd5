// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "sim/core/check.hpp"
#include "sim/moe/placement_file.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

Json ids(const std::vector<ExpertId>& experts, std::size_t begin, std::size_t count) {
  Json row = Json::array();
  for (std::size_t s = begin; s < begin + count; ++s) {
    row.push_back(experts[s].value);
  }
  return row;
}

std::string sglang_text(const std::vector<Placement>& placements, const PlacementSize& size) {
  const auto slots = static_cast<std::size_t>(placements.front().num_slots());
  Json plain = Json::array();
  for (std::size_t s = 0; s < slots; ++s) {
    plain.push_back(s % static_cast<std::size_t>(size.experts));
  }
  const int layers = size.model_layers > 0 ? size.model_layers : size.layers;
  Json map = Json::array();
  for (int layer = 0; layer < layers; ++layer) {
    const int moe = size.model_layers > 0 ? layer - size.first_layer : layer;
    const bool is_moe = moe >= 0 && moe < size.layers;
    map.push_back(is_moe ? ids(placements[static_cast<std::size_t>(moe)].expert_of_slot, 0, slots)
                         : plain);
  }
  return Json{{"physical_to_logical_map", map}}.dump() + "\n";
}

std::string tensorrt_llm_text(const std::vector<Placement>& placements, const PlacementSize& size) {
  std::string text =
      fmt::format("num_slots: {}\ninitial_global_assignments:\n", placements.front().num_slots());
  for (std::size_t layer = 0; layer < placements.size(); ++layer) {
    const std::vector<ExpertId>& experts = placements[layer].expert_of_slot;
    text += fmt::format("  {}: {}\n",
                        static_cast<std::size_t>(size.first_layer) + layer,
                        ids(experts, 0, experts.size()).dump());
  }
  return text + "layer_updates_per_iter: 0\n";
}

std::string vllm_ascend_text(const std::vector<Placement>& placements) {
  Json layers = Json::array();
  for (std::size_t layer = 0; layer < placements.size(); ++layer) {
    const Placement& placement = placements[layer];
    const auto per_rank = static_cast<std::size_t>(placement.slots_per_rank());
    Json devices = Json::array();
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(placement.num_ranks); ++rank) {
      devices.push_back(
          {{"device_id", rank},
           {"device_expert", ids(placement.expert_of_slot, rank * per_rank, per_rank)}});
    }
    layers.push_back(
        {{"layer_id", layer}, {"device_count", placement.num_ranks}, {"device_list", devices}});
  }
  return Json{{"moe_layer_count", placements.size()}, {"layer_list", layers}}.dump() + "\n";
}

}  // namespace

std::string engine_text(EngineFormat format,
                        const std::vector<Placement>& placements,
                        const PlacementSize& size) {
  MOESIM_CHECK(!placements.empty() && placements.size() == static_cast<std::size_t>(size.layers),
               "a placement for every MoE layer");
  for (const Placement& placement : placements) {
    MOESIM_CHECK(placement.num_slots() == placements.front().num_slots(),
                 "engines have as many slots in every layer");
  }
  switch (format) {
    case EngineFormat::kSglang:
      return sglang_text(placements, size);
    case EngineFormat::kTensorRtLlm:
      return tensorrt_llm_text(placements, size);
    case EngineFormat::kVllmAscend:
      return vllm_ascend_text(placements);
  }
  MOESIM_CHECK(false, "unknown engine format");
}

}  // namespace moesim
