// SPDX-License-Identifier: Apache-2.0
// What one fault does to the parts of a cluster; used inside this folder only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "topology/faults.hpp"

namespace moesim {

/// Changes the cluster, and says each change in the outcome's hits.
class FaultEffects {
 public:
  FaultEffects(Cluster& cluster, FaultOutcome& outcome);

  void scale_link(std::size_t link, double remaining);
  /// All links of a switch; of a NIC its cables only.
  /// @param word what the vertex is called    @param by_chance " by chance" or ""
  void scale_vertex(std::string_view word,
                    VertexId vertex,
                    double remaining,
                    std::string_view by_chance);
  void slow_gpu(GpuPlace& gpu, double speed, std::string_view by_chance);
  void lose_node(int node);
  /// Background traffic must leave something, or the link is rather down: else a mistake.
  void take(std::size_t link, const std::string& rule, BytesPerSecond rate);
  /// The random faults.
  void draw(const FaultSpec& faults);

 private:
  [[nodiscard]] bool is_twin(std::size_t link) const;
  void scale_cable(std::size_t first, std::size_t last, double remaining);

  Cluster& cluster_;
  FaultOutcome& outcome_;
  std::map<VertexId, std::vector<std::size_t>> links_of_vertex_;
};

}  // namespace moesim
