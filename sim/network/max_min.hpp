// SPDX-License-Identifier: Apache-2.0
// The max-min fair allocation of one instant: a pure function of capacities and flow classes.
// No clock, no bytes, no live flows: those are in fluid.hpp.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/core/units.hpp"

namespace moesim {

/// Flows alike: the same links and the same cap, so the same rate.
struct FlowClass {
  std::span<const LinkId> links;                                     ///< not empty, no link twice
  std::int64_t num_flows = 1;                                        ///< > 0
  BytesPerSecond rate_cap{std::numeric_limits<double>::infinity()};  ///< of each flow, > 0
};

/// Max-min fair rates of flows over shared links, by progressive filling.
///
/// Maximises the smallest rate, then the next smallest, and so on, subject to
///   sum of num_flows[c] * rate[c] over the classes c that cross l  <=  capacity[l]  for each link
///   rate[c] <= rate_cap[c]                                                      for each class
///
/// @param capacity  per link, finite and > 0      @param classes  flows, by class
/// @return          rate of each flow of a class, in order; equal inputs give bit-equal outputs
/// Source: Bertsekas & Gallager, Data Networks, 2nd ed., 6.5.2; a class of n flows is n equal
/// flows, a cap is a private link of that capacity.
/// Valid for: flows that outlast the round trip. No windows, no packet loss.
/// Cost: O(hops log links), hops = links over all classes.
/// Checked by: max_min_test (worked, INV-2, INV-4, INV-5), simgrid_oracle_test.
[[nodiscard]] std::vector<BytesPerSecond> max_min_rates(std::span<const BytesPerSecond> capacity,
                                                        std::span<const FlowClass> classes);

/// The same problem as flat arrays. Class c crosses
/// class_links[class_begin[c]] ... class_links[class_begin[c + 1] - 1], indices into capacity.
struct MaxMinSystem {
  std::vector<double> capacity;           ///< per link, bytes/s
  std::vector<std::int32_t> class_begin;  ///< per class, and one more
  std::vector<std::int32_t> class_links;  ///< of all classes, one after the other
  std::vector<double> num_flows;          ///< per class
  std::vector<double> rate_cap;           ///< per class, bytes/s

  [[nodiscard]] std::size_t num_classes() const { return num_flows.size(); }
  void clear();
};

/// max_min_rates with buffers that live on between calls, so that a call allocates nothing once
/// they have grown.
class MaxMinSolver {
 public:
  /// Rates per class in bytes/s, valid until the next call.
  std::span<const double> solve(const MaxMinSystem& system);

 private:
  struct LinkState {
    double residual = 0.0;  ///< capacity not given to a fixed class
    double weight = 0.0;    ///< flows not fixed yet
  };
  struct Share {
    double rate = 0.0;
    std::int32_t link = 0;
  };

  void index_links(const MaxMinSystem& system);
  void sort_caps(const MaxMinSystem& system);
  void fill(const MaxMinSystem& system);
  bool refresh_top(double level);
  bool fix_capped(const MaxMinSystem& system, double share);
  void fix(const MaxMinSystem& system, std::size_t flow_class, double rate);
  void sift_down(std::size_t i);

  std::vector<LinkState> links_;
  std::vector<std::int32_t> link_begin_;
  std::vector<std::int32_t> link_classes_;
  std::vector<std::int32_t> capped_;  ///< classes with a finite cap, by cap
  std::size_t next_capped_ = 0;
  std::vector<Share> heap_;  ///< min-heap by (rate, link); a rate here may lag behind, never lead
  std::vector<double> rate_;
};

}  // namespace moesim
