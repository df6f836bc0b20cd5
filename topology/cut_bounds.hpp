// SPDX-License-Identifier: Apache-2.0
// The least time that given transfers take over the cuts of a cluster.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/cluster.hpp"
#include "topology/cut_sets.hpp"

namespace moesim {

/// A lower bound and the cut that gives it; 0 and "" where nothing crosses any cut.
struct CutBound {
  Seconds time;
  std::string cut;  ///< "domain 3 out", "domains 0 to 7 in"
};

/// The cuts of one cluster with their rates, found once.
///
///   T >= bytes from S to the others / rate(S -> others)      S: every domain, every set of
///   cut_sets
///
/// Valid for: any paths and any schedule of the transfers, relays of one transfer included. Left
/// out: latency, and all other sets of domains, so a worse cut may exist. A domain whose rate is 0
/// is passed over: what it sends is an error of the paths.
/// Checked by: cut_bounds_test (worked), INV-3 property (no larger than the bound over links).
class CutBounds {
 public:
  CutBounds() = default;
  /// @param rates by LinkId, what ours can have of each link
  CutBounds(const Cluster& cluster, const std::vector<BytesPerSecond>& rates);

  /// Bytes of several transfers over each cut.
  class Load {
   public:
    explicit Load(const CutBounds& cuts);
    void add(GpuId source, GpuId target, std::int64_t size);
    [[nodiscard]] CutBound slowest() const;

   private:
    const CutBounds& cuts_;
    std::vector<std::int64_t> out_;  ///< by domain, then by set
    std::vector<std::int64_t> in_;
  };

 private:
  struct Place {
    std::size_t domain = 0;
    std::uint32_t sets = 0;  ///< bit i: inside set i
  };

  std::vector<Place> places_;    ///< by GpuId; empty with a single domain
  std::vector<CutRates> rates_;  ///< by domain, then by set
  std::vector<std::string> set_names_;
};

}  // namespace moesim
