// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/placement_file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

using nlohmann::json;

constexpr const char* kMapKey = "physical_to_logical_map";

[[noreturn]] void refuse(const std::string& file, std::string message, const char* key = kMapKey) {
  std::vector<Diagnostic> diagnostics(1);
  diagnostics[0].place.file = file;
  diagnostics[0].key = key;
  diagnostics[0].message = std::move(message);
  throw UserError(std::move(diagnostics));
}

json parsed(const std::string& file) {
  json document = json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    refuse(file, fmt::format("not JSON; expected an object with \"{}\"", kMapKey), "");
  }
  return document;
}

/// The map, checked to be [size.layers] of arrays.
const json& layer_rows(const std::string& file, const json& document, PlacementSize size) {
  if (!document.is_object() || !document.contains(kMapKey)) {
    refuse(file, "missing; expected [layers][slots] of expert ids");
  }
  const json& map = document.at(kMapKey);
  if (!map.is_array()) {
    refuse(file, fmt::format("found {}; expected [layers][slots] of expert ids", map.type_name()));
  }
  if (map.size() != static_cast<std::size_t>(size.layers)) {
    refuse(file,
           fmt::format(
               "{} layers; expected {}, the MoE layers of the model", map.size(), size.layers));
  }
  return map;
}

/// The id at one slot, if it is a whole number in [0, num_experts).
std::optional<std::int32_t> expert_id(const json& value, int num_experts) {
  if (!value.is_number_integer()) {
    return std::nullopt;
  }
  if (value.is_number_unsigned()) {
    const auto id = value.get<std::uint64_t>();
    return id < static_cast<std::uint64_t>(num_experts)
               ? std::optional(static_cast<std::int32_t>(id))
               : std::nullopt;
  }
  return std::nullopt;
}

/// The first expert that has not exactly one slot, in words.
std::optional<std::string> misplaced(const std::vector<int>& slots_of_expert, std::size_t layer) {
  for (std::size_t e = 0; e < slots_of_expert.size(); ++e) {
    if (slots_of_expert[e] == 0) {
      return fmt::format("expert {} has no slot in layer {}", e, layer);
    }
    if (slots_of_expert[e] > 1) {
      return fmt::format("expert {} has {} slots in layer {}; replicas are not supported",
                         e,
                         slots_of_expert[e],
                         layer);
    }
  }
  return std::nullopt;
}

Placement layer_placement(const std::string& file,
                          const json& row,
                          std::size_t layer,
                          PlacementSize size) {
  if (!row.is_array()) {
    refuse(file,
           fmt::format("layer {} is {}; expected an array of expert ids", layer, row.type_name()));
  }
  if (row.size() % static_cast<std::size_t>(size.ranks) != 0) {
    refuse(file,
           fmt::format(
               "{} slots in layer {} do not divide into {} ranks", row.size(), layer, size.ranks));
  }
  std::vector<ExpertId> expert_of_slot;
  std::vector<int> slots_of_expert(static_cast<std::size_t>(size.experts));
  for (const json& value : row) {
    const std::optional<std::int32_t> expert = expert_id(value, size.experts);
    if (!expert) {
      refuse(file,
             fmt::format("slot {} of layer {} is {}; expected an expert id from 0 to {}",
                         expert_of_slot.size(),
                         layer,
                         value.is_number() ? value.dump() : std::string(value.type_name()),
                         size.experts - 1));
    }
    expert_of_slot.push_back(ExpertId{*expert});
    ++slots_of_expert[expert_of_slot.back().index()];
  }
  if (const std::optional<std::string> message = misplaced(slots_of_expert, layer)) {
    refuse(file, *message);
  }
  return placement_from_slots(std::move(expert_of_slot), size.ranks);
}

}  // namespace

std::vector<Placement> read_placements(const std::string& file, PlacementSize size) {
  const json document = parsed(file);
  std::vector<Placement> placements;
  for (const json& row : layer_rows(file, document, size)) {
    placements.push_back(layer_placement(file, row, placements.size(), size));
  }
  return placements;
}

}  // namespace moesim
