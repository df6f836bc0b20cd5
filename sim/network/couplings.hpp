// SPDX-License-Identifier: Apache-2.0
// How many flows that one link owns cross each other link: what a change of its level reaches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moesim {

/// A small map from link to number of flows. Walking it is what a change of level costs, so it is
/// one flat array; a longer one has an open-addressed index of 16-bit positions beside it.
/// Checked by: class_table_test (against a map).
class Couplings {
 public:
  struct Entry {
    std::int32_t link = 0;
    std::int32_t flows = 0;
  };
  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }
  /// False: the link is not in the map. Most links that one is asked about are not.
  [[nodiscard]] bool may_have(std::int32_t link) const { return (seen_ & bit(link)) != 0; }

  /// Adds flows (or takes them away) towards a link; forgets the link at 0.
  void add(std::int32_t link, std::int32_t flows);
  /// 0: not in the map.
  [[nodiscard]] std::int32_t flows(std::int32_t link) const {
    const std::size_t i = find(link);
    return i < entries_.size() ? entries_[i].flows : 0;
  }
  void clear();
  /// Room for so many links, in an empty map.
  void reserve(std::size_t links);
  /// The link must not be in the map yet.
  void append(std::int32_t link, std::int32_t flows);

 private:
  [[nodiscard]] static constexpr std::uint64_t bit(std::int32_t link) {
    return std::uint64_t{1} << (static_cast<std::uint32_t>(link) % 64U);
  }
  [[nodiscard]] bool is_indexed() const { return !index_.empty(); }
  [[nodiscard]] std::size_t find(std::int32_t link) const {
    return is_indexed() ? find_indexed(link) : scan(link);
  }
  [[nodiscard]] std::size_t scan(std::int32_t link) const {
    std::size_t i = 0;
    while (i < entries_.size() && entries_[i].link != link) {
      ++i;
    }
    return i;
  }
  [[nodiscard]] std::size_t find_indexed(std::int32_t link) const;
  [[nodiscard]] std::size_t home(std::int32_t link) const;
  [[nodiscard]] std::size_t slot_of(std::size_t position) const;
  void erase_at(std::size_t position);
  void vacate(std::size_t slot);
  void make_index();

  std::uint64_t seen_ = 0;  ///< a bit for each link since the last clear(), shared by some
  std::vector<Entry> entries_;
  std::vector<std::uint16_t> index_;  ///< positions + 1, 0: free; a power of two of them, or none
};

}  // namespace moesim
