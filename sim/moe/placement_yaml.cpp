// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's load balancer file.
#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "sim/moe/placement_rows.hpp"

namespace moesim {
namespace {

constexpr const char* kMapKey = "initial_global_assignments";

std::optional<int> whole_number(const YAML::Node& node) {
  int value = 0;
  return node.IsScalar() && YAML::convert<int>::decode(node, value) ? std::optional(value)
                                                                    : std::nullopt;
}

std::string shown(const YAML::Node& node) {
  return node.IsScalar() ? node.Scalar() : "no number";
}

std::vector<ExpertId> ids_of(const PlacementText& at, const YAML::Node& row, std::size_t layer) {
  std::vector<ExpertId> ids;
  for (const YAML::Node& value : row) {
    const std::optional<int> id = whole_number(value);
    if (!id || *id < 0 || *id >= at.size.experts) {
      refuse_placement(at,
                       fmt::format("slot {} of layer {} is {}; expected an expert id from 0 to {}",
                                   ids.size(),
                                   layer,
                                   shown(value),
                                   at.size.experts - 1));
    }
    ids.push_back(ExpertId{*id});
  }
  return ids;
}

std::vector<Placement> placements_in(const std::string& file,
                                     const YAML::Node& document,
                                     const PlacementSize& size) {
  const PlacementText at{file, kMapKey, size};
  const YAML::Node map = document.IsMap() ? document[kMapKey] : YAML::Node();
  if (!map.IsMap()) {
    refuse_placement(at, "missing; expected {layer of the model: [expert ids by slot]}");
  }
  const YAML::Node named = document["num_slots"];
  const int slots = named ? whole_number(named).value_or(0) : 0;
  if (slots < 1) {
    refuse_placement(file, "num_slots", "missing; expected the slots of a layer");
  }
  std::vector<Placement> placements;
  for (int layer = 0; layer < size.layers; ++layer) {
    const int number = size.first_layer + layer;
    const YAML::Node row = map[number];
    if (!row || !row.IsSequence()) {
      refuse_placement(at, fmt::format("layer {} of the model has no list of expert ids", number));
    }
    if (row.size() != static_cast<std::size_t>(slots)) {
      refuse_placement(
          at, fmt::format("layer {} has {} slots; num_slots is {}", number, row.size(), slots));
    }
    const auto index = static_cast<std::size_t>(number);
    placements.push_back(placement_of_row(at, ids_of(at, row, index), index));
  }
  const int known = std::max(size.layers, size.moe_layers);
  if (map.size() > static_cast<std::size_t>(known)) {
    refuse_placement(at, fmt::format("{} layers; the model has {} MoE layers", map.size(), known));
  }
  return placements;
}

}  // namespace

std::vector<Placement> read_tensorrt_llm(const std::string& file,
                                         const std::string& text,
                                         const PlacementSize& size) {
  try {
    return placements_in(file, YAML::Load(text), size);
  } catch (const YAML::Exception& error) {
    refuse_placement(
        file, "", fmt::format("not YAML at line {}; expected {}", error.mark.line + 1, kMapKey));
  }
}

}  // namespace moesim
