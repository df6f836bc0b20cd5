// SPDX-License-Identifier: Apache-2.0
// Positions with a type each, so that a GPU index is never taken for a link index.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace moesim {

/// A dense index from 0, tagged by what it counts. `Id{3}.index()` is 3 as a size_t.
template <typename Tag>
struct Id {
  std::int32_t value = 0;

  constexpr auto operator<=>(const Id&) const = default;
  [[nodiscard]] constexpr std::size_t index() const { return static_cast<std::size_t>(value); }
};

/// The id of position i.
template <typename IdType>
constexpr IdType id_at(std::size_t i) {
  return IdType{static_cast<std::int32_t>(i)};
}

using GpuId = Id<struct GpuTag>;        ///< a GPU of the cluster, in cluster order
using VertexId = Id<struct VertexTag>;  ///< any vertex of the cluster graph
using LinkId = Id<struct LinkTag>;      ///< a directed link of the cluster graph
using RankId = Id<struct RankTag>;      ///< a GPU process of the expert-parallel group
using ExpertId = Id<struct ExpertTag>;  ///< a logical expert of one layer
using SlotId = Id<struct SlotTag>;      ///< a physical copy of an expert
using FlowId = Id<struct FlowTag>;      ///< a flow of one network, in order of starting
using TaskId = Id<struct TaskTag>;      ///< a task of one task graph

}  // namespace moesim
