// SPDX-License-Identifier: Apache-2.0
// What scenarios that differ in a few keys share: clusters and routings, each made once.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "sim/moe/routing_memo.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/scenario.hpp"
#include "topology/cut_bounds.hpp"

namespace moesim {

/// Parts of assemblies by the resolved tables that they are made from. A part is equal to the one
/// that would be made anew, so results do not depend on it. From any thread; outlived by no
/// assembly made with it.
class AssemblyCache {
 public:
  /// @param most_bytes  of a source's routings, after which it keeps no others; of all when another
  ///                    source is opened: those opened first go first
  explicit AssemblyCache(std::int64_t most_bytes = std::int64_t{1} << 30U)
      : most_bytes_(most_bytes) {}

  struct ClusterParts {
    ScenarioCluster made;
    CutBounds cuts;
  };
  /// By [cluster], [faults] and the efficiencies of [calibration].
  [[nodiscard]] std::shared_ptr<const ClusterParts> cluster(const Scenario& scenario);

  /// By [routing], the seed and the counts that the source is opened with.
  /// @param candidates  experts beyond top_k that it was asked for
  [[nodiscard]] std::unique_ptr<RoutingSource> routing(
      const Scenario& scenario,
      int layers,
      int candidates,
      const std::function<std::unique_ptr<RoutingSource>()>& open);

  /// How often something was made, for tests.
  struct Made {
    int clusters = 0;
    int sources = 0;
  };
  [[nodiscard]] Made made() const;

 private:
  void drop_oldest_sources();

  mutable std::mutex mutex_;
  std::int64_t most_bytes_;
  std::map<std::string, std::shared_ptr<const ClusterParts>> clusters_;
  std::map<std::string, std::shared_ptr<RoutingMemo>> sources_;
  std::deque<std::string> opened_;  ///< keys of sources_, oldest first
  Made made_;
};

/// The lines of a resolved scenario's tables `name` and `name.*`.
[[nodiscard]] std::string tables_of(const std::string& resolved, const std::string& name);

}  // namespace moesim
