// SPDX-License-Identifier: Apache-2.0
// What the readers of engine files share. Not for use outside sim/moe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/placement_file.hpp"

namespace moesim {

/// Where a reader is, for its messages.
struct PlacementText {
  const std::string& file;
  std::string_view key;  ///< of the map
  const PlacementSize& size;
};

[[noreturn]] void refuse_placement(const PlacementText& at, std::string message);
[[noreturn]] void refuse_placement(const std::string& file,
                                   std::string_view key,
                                   std::string message);

/// A layer from the ids of its slots, which lie in [0, experts). Refuses slots that do not divide
/// into the ranks and an expert without one.
[[nodiscard]] Placement placement_of_row(const PlacementText& at,
                                         std::vector<ExpertId> row,
                                         std::size_t layer);

[[nodiscard]] std::vector<Placement> read_tensorrt_llm(const std::string& file,
                                                       const std::string& text,
                                                       const PlacementSize& size);

}  // namespace moesim
