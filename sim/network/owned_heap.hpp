// SPDX-License-Identifier: Apache-2.0
// The classes that one link owns, by the service at which their first member drains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moesim {

struct OwnedClass {
  double target = 0.0;  ///< the owner's service clock when the first member drains
  std::int32_t flow_class = 0;
  std::uint32_t signature = 0;  ///< of its path (class_table.hpp)
};

/// Min-heap by (target, class) that keeps `place[class]`, so that any class can be taken out.
/// A class is in one heap at a time, so all heaps share one array of places.
class OwnedHeap {
 public:
  using Places = std::vector<std::int32_t>;

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const OwnedClass& front() const { return entries_.front(); }
  [[nodiscard]] std::span<const OwnedClass> entries() const { return entries_; }
  [[nodiscard]] const OwnedClass& entry_of(std::int32_t flow_class, const Places& place) const {
    return entries_[static_cast<std::size_t>(place[static_cast<std::size_t>(flow_class)])];
  }

  void push(const OwnedClass& entry, Places& place);
  void erase(std::int32_t flow_class, Places& place);
  void set_target(std::int32_t flow_class, double target, Places& place);
  void clear() { entries_.clear(); }
  void reserve(std::size_t classes) { entries_.reserve(classes); }
  /// Appends without order; make() restores it.
  void append(const OwnedClass& entry) { entries_.push_back(entry); }
  void make(Places& place);

 private:
  static constexpr std::size_t kArity = 4;

  void put(std::size_t i, const OwnedClass& entry, Places& place);
  void sift(std::size_t i, const OwnedClass& entry, Places& place);
  void sift_down(std::size_t i, const OwnedClass& entry, Places& place);

  std::vector<OwnedClass> entries_;
};

}  // namespace moesim
