// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/placement_file.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/placement_rows.hpp"

namespace moesim {
namespace {

using nlohmann::json;

constexpr const char* kMapKey = "physical_to_logical_map";
constexpr const char* kLayerList = "layer_list";

json parsed(const std::string& file, const std::string& text) {
  json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    refuse_placement(file, "", fmt::format("not JSON; expected an object with \"{}\"", kMapKey));
  }
  return document;
}

/// The id at one slot, if it is a whole number in [0, num_experts).
std::optional<std::int32_t> expert_id(const json& value, int num_experts) {
  if (!value.is_number_unsigned()) {
    return std::nullopt;
  }
  const auto id = value.get<std::uint64_t>();
  return id < static_cast<std::uint64_t>(num_experts) ? std::optional(static_cast<std::int32_t>(id))
                                                      : std::nullopt;
}

/// Appends the ids of an array; `slot` counts over the layer.
void append_ids(const PlacementText& at,
                const json& ids,
                std::size_t layer,
                std::vector<ExpertId>& row) {
  for (const json& value : ids) {
    const std::optional<std::int32_t> expert = expert_id(value, at.size.experts);
    if (!expert) {
      refuse_placement(at,
                       fmt::format("slot {} of layer {} is {}; expected an expert id from 0 to {}",
                                   row.size(),
                                   layer,
                                   value.is_number() ? value.dump() : value.type_name(),
                                   at.size.experts - 1));
    }
    row.push_back(ExpertId{*expert});
  }
}

/// Index of the first MoE layer among `rows` rows.
std::size_t first_row(const PlacementText& at, std::size_t rows) {
  const PlacementSize& size = at.size;
  const auto is = [&](int count) { return rows == static_cast<std::size_t>(count); };
  if (is(size.layers) || (size.moe_layers > 0 && is(size.moe_layers))) {
    return 0;
  }
  const bool whole = size.model_layers > std::max(size.layers, size.moe_layers);
  if (whole && is(size.model_layers)) {
    return static_cast<std::size_t>(size.first_layer);
  }
  refuse_placement(
      at,
      fmt::format("{} layers; expected {}, the MoE layers of the model{}",
                  rows,
                  std::max(size.layers, size.moe_layers),
                  whole ? fmt::format(", or {}, all its layers", size.model_layers) : ""));
}

std::vector<Placement> read_sglang(const std::string& file,
                                   const json& document,
                                   const PlacementSize& size) {
  const PlacementText at{file, kMapKey, size};
  if (!document.is_object() || !document.contains(kMapKey)) {
    refuse_placement(at, "missing; expected [layers][slots] of expert ids");
  }
  const json& map = document.at(kMapKey);
  if (!map.is_array()) {
    refuse_placement(
        at, fmt::format("found {}; expected [layers][slots] of expert ids", map.type_name()));
  }
  const std::size_t first = first_row(at, map.size());
  std::vector<Placement> placements;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(size.layers); ++layer) {
    const json& ids = map[first + layer];
    if (!ids.is_array()) {
      refuse_placement(
          at,
          fmt::format("layer {} is {}; expected an array of expert ids", layer, ids.type_name()));
    }
    std::vector<ExpertId> row;
    append_ids(at, ids, layer, row);
    placements.push_back(placement_of_row(at, std::move(row), layer));
  }
  return placements;
}

/// The member of an object, of the type wanted.
const json& member(const PlacementText& at,
                   const json& object,
                   const char* name,
                   json::value_t type,
                   const std::string& where) {
  const bool has = object.is_object() && object.contains(name);
  const auto kind = [&] { return object.at(name).type(); };
  const bool fits = has && (kind() == type || (type == json::value_t::number_unsigned &&
                                               object.at(name).is_number_unsigned()));
  if (!fits) {
    refuse_placement(at,
                     fmt::format("{} has no {} that is {}",
                                 where,
                                 name,
                                 type == json::value_t::array ? "an array" : "a count"));
  }
  return object.at(name);
}

/// One layer of a vllm-ascend map: devices in any order, each named once.
Placement ascend_layer(const PlacementText& at, const json& layer, std::size_t index) {
  constexpr auto kCount = json::value_t::number_unsigned;
  constexpr auto kArray = json::value_t::array;
  const std::string where = fmt::format("layer {}", index);
  const json& devices = member(at, layer, "device_list", kArray, where);
  const auto ranks = static_cast<std::size_t>(at.size.ranks);
  if (devices.size() != ranks) {
    refuse_placement(at,
                     fmt::format("{} has {} devices; expected {}, the ranks of the group",
                                 where,
                                 devices.size(),
                                 ranks));
  }
  std::vector<const json*> of_rank(ranks);
  for (const json& device : devices) {
    const auto id =
        member(at, device, "device_id", kCount, where + ", a device,").get<std::uint64_t>();
    if (id >= ranks || of_rank[id] != nullptr) {
      refuse_placement(
          at,
          fmt::format(
              "{} has device_id {} {}", where, id, id >= ranks ? "outside the ranks" : "twice"));
    }
    of_rank[id] =
        &member(at, device, "device_expert", kArray, fmt::format("{}, device {},", where, id));
  }
  std::vector<ExpertId> row;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    append_ids(at, *of_rank[rank], index, row);
    if (of_rank[rank]->size() != of_rank[0]->size()) {
      refuse_placement(at,
                       fmt::format("{} has {} slots on device {}, {} on device 0",
                                   where,
                                   of_rank[rank]->size(),
                                   rank,
                                   of_rank[0]->size()));
    }
  }
  return placement_of_row(at, std::move(row), index);
}

std::vector<Placement> read_vllm_ascend(const std::string& file,
                                        const json& document,
                                        const PlacementSize& size) {
  const PlacementText at{file, kLayerList, size};
  const json& layers = document.at(kLayerList);
  if (!layers.is_array()) {
    refuse_placement(at, fmt::format("found {}; expected an array", layers.type_name()));
  }
  const std::size_t first = first_row(at, layers.size());
  std::vector<Placement> placements;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(size.layers); ++layer) {
    placements.push_back(ascend_layer(at, layers[first + layer], layer));
  }
  return placements;
}

}  // namespace

void refuse_placement(const std::string& file, std::string_view key, std::string message) {
  std::vector<Diagnostic> diagnostics(1);
  diagnostics[0].place.file = file;
  diagnostics[0].key = key;
  diagnostics[0].message = std::move(message);
  throw UserError(std::move(diagnostics));
}

void refuse_placement(const PlacementText& at, std::string message) {
  refuse_placement(at.file, at.key, std::move(message));
}

Placement placement_of_row(const PlacementText& at, std::vector<ExpertId> row, std::size_t layer) {
  const auto ranks = static_cast<std::size_t>(at.size.ranks);
  if (row.size() % ranks != 0) {
    refuse_placement(
        at,
        fmt::format("{} slots in layer {} do not divide into {} ranks", row.size(), layer, ranks));
  }
  std::vector<bool> has_slot(static_cast<std::size_t>(at.size.experts));
  for (const ExpertId expert : row) {
    has_slot[expert.index()] = true;
  }
  for (std::size_t e = 0; e < has_slot.size(); ++e) {
    if (!has_slot[e]) {
      refuse_placement(at, fmt::format("expert {} has no slot in layer {}", e, layer));
    }
  }
  return placement_from_slots(std::move(row), at.size.ranks);
}

std::vector<Placement> read_placements(const std::string& file, const PlacementSize& size) {
  const std::string text = read_file(file);
  if (file.ends_with(".yaml") || file.ends_with(".yml")) {
    return read_tensorrt_llm(file, text, size);
  }
  const json document = parsed(file, text);
  return document.is_object() && document.contains(kLayerList)
             ? read_vllm_ascend(file, document, size)
             : read_sglang(file, document, size);
}

}  // namespace moesim
