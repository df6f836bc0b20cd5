// SPDX-License-Identifier: Apache-2.0
// When each link has something to drain, and which is first.
#pragma once

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
  void set(std::size_t key, double tick);
  /// Infinite without any.
  [[nodiscard]] double first() const;
  /// The first key from `from` on that is due by `now`; the number of keys if there is none.
  [[nodiscard]] std::size_t find(double now, std::size_t from) const;

 private:
  static constexpr std::size_t kBlock = 32;

  std::vector<double> ticks_;   ///< by key
  std::vector<double> blocks_;  ///< least of kBlock keys
  std::vector<double> groups_;  ///< least of kBlock blocks
};

}  // namespace moesim
