// SPDX-License-Identifier: Apache-2.0
// When each link has something to drain, and which is first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace moesim {

/// A tick for each of many keys, and their least. Minima of blocks, and of blocks of blocks: most
/// changes touch one block only, and the least is found in a line or two.
/// Checked by: class_table_test (against a plain array).
class DueTimes {
 public:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  /// One more key, never due.
  void add();
  void set(std::size_t key, double tick) {
    const std::size_t block = key / kBlock;
    if (set_in_block(ticks_, blocks_, key, tick) && set_in_block(blocks_, groups_, block, tick)) {
      groups_[block / kBlock] = tick;
    }
  }
  /// Infinite without any.
  [[nodiscard]] double first() const {
    double first = kNever;
    for (const double tick : groups_) {
      first = std::min(first, tick);
    }
    return first;
  }
  /// The first key from `from` on that is due by `now`; the number of keys if there is none.
  [[nodiscard]] std::size_t find(double now, std::size_t from) const;

 private:
  /// When the least of a block moves on, all of it is read: two lines of a cache.
  static constexpr std::size_t kBlock = 16;

  /// Sets values[i]; true if that changes the least of its block, which is then in `tick`.
  static bool set_in_block(std::vector<double>& values,
                           const std::vector<double>& least_of_blocks,
                           std::size_t i,
                           double& tick) {
    const double before = values[i];
    const double least = least_of_blocks[i / kBlock];
    values[i] = tick;
    if (tick > least) {
      if (before > least) {
        return false;
      }
      tick = least_in_block(values, i / kBlock);
    }
    return tick != least;
  }
  static double least_in_block(const std::vector<double>& values, std::size_t block);

  std::vector<double> ticks_;   ///< by key
  std::vector<double> blocks_;  ///< least of kBlock keys
  std::vector<double> groups_;  ///< least of kBlock blocks
};

}  // namespace moesim
