// SPDX-License-Identifier: Apache-2.0
// The fabric as it is drawn: a line for each pair of joined vertices, hosts as one where there are
// many.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/step/fabric_view.hpp"

namespace moesim {

/// The same fabric with the GPUs, NICs and switches of one host and kind as one vertex each.
struct GroupedFabric {
  FabricView view;                    ///< edges: one for each pair of joined groups, either way
  std::vector<std::size_t> of_edges;  ///< by LinkId: the edge it went into, or kInside
  static constexpr std::size_t kInside = static_cast<std::size_t>(-1);
};
/// @param by_host false: every vertex stays itself, and only the two directions are joined
[[nodiscard]] GroupedFabric grouped(const FabricView& fabric, bool by_host);

}  // namespace moesim
