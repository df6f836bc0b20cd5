// SPDX-License-Identifier: Apache-2.0
// Placements in the files that engines read and write. All list slots in rank order, the same
// number on every rank:
//   sglang        --init-expert-location JSON: {"physical_to_logical_map": [layers][slots]}, a row
//                 for every layer of the model or for its MoE layers
//   tensorrt_llm  load balancer YAML: num_slots, initial_global_assignments {model layer: [slots]},
//                 layer_updates_per_iter
//   vllm_ascend   expert map JSON: moe_layer_count, layer_list [{layer_id, device_count,
//                 device_list [{device_id, device_expert [slots of the device]}]}]
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/placement.hpp"

namespace moesim {

enum class EngineFormat { kSglang, kTensorRtLlm, kVllmAscend };
inline constexpr std::array<std::string_view, 3> kEngineFormats = {
    "sglang", "tensorrt_llm", "vllm_ascend"};

/// What the file has to fit.
struct PlacementSize {
  int layers = 0;  ///< MoE layers placed, from the first
  int experts = 0;
  int ranks = 0;
  int first_layer = 0;   ///< number of the first MoE layer in the model
  int model_layers = 0;  ///< all layers of the model, 0: as many as are placed
  int moe_layers = 0;    ///< all its MoE layers, 0: as many as are placed
};

/// One placement per layer. The format is told by the content: YAML where the name ends in .yaml or
/// .yml, else by its keys. Throws EnvironmentError when the file cannot be read, UserError with the
/// first misfit when it does not fit. Other keys are ignored.
[[nodiscard]] std::vector<Placement> read_placements(const std::string& file,
                                                     const PlacementSize& size);

/// The text of an engine's file. Layers of the model that are no MoE layers get slot s -> expert s
/// mod experts in sglang's, which has a row for each.
/// @pre one placement for each of the model's MoE layers, all with as many slots
[[nodiscard]] std::string engine_text(EngineFormat format,
                                      const std::vector<Placement>& placements,
                                      const PlacementSize& size);

}  // namespace moesim
