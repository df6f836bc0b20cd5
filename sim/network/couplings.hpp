// SPDX-License-Identifier: Apache-2.0
// How many flows that one link owns cross each other full link: what a change of its level reaches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moesim {

/// A small map from link to number of flows, as two flat arrays: walking it is what a change of
/// level costs, looking a link up is rarer and a scan of consecutive integers.
class Couplings {
 public:
  [[nodiscard]] std::span<const std::int32_t> links() const { return links_; }
  [[nodiscard]] std::span<const double> flows() const { return flows_; }

  /// Adds flows (or takes them away) towards a link; forgets the link at 0.
  void add(std::int32_t link, double flows);
  [[nodiscard]] bool has(std::int32_t link) const { return find(link) < links_.size(); }
  void erase(std::int32_t link);
  void clear();
  /// The link must not be in the map yet.
  void append(std::int32_t link, double flows);

 private:
  [[nodiscard]] std::size_t find(std::int32_t link) const;
  void erase_at(std::size_t i);

  std::vector<std::int32_t> links_;
  std::vector<double> flows_;
};

}  // namespace moesim
