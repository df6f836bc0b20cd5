// SPDX-License-Identifier: Apache-2.0
// Which rows (ranks or domains) kept tokens visit, and how often one visits a row again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// again(row, source): assignments of kept tokens of `source` to `row` beyond each token's first.
/// A token has at most 255 assignments.
class OverlapCounter {
 public:
  OverlapCounter(std::size_t rows, std::size_t sources, std::size_t tokens)
      : sources_(sources), tokens_(tokens), visits_(rows * tokens), again_(rows * sources) {}

  void add(std::size_t row, std::size_t source, std::int32_t token) {
    again_[row * sources_ + source] += enter(visits(row), token);
  }
  void remove(std::size_t row, std::size_t source, std::int32_t token) {
    again_[row * sources_ + source] -= leave(visits(row), token);
  }
  /// Every assignment of `kept` from one row to another.
  void move(std::span<const KeptAssignment> kept,
            std::size_t source,
            std::size_t from,
            std::size_t to) {
    std::uint8_t* const left = visits(from);
    std::uint8_t* const entered = visits(to);
    std::int32_t fewer = 0;
    std::int32_t more = 0;
    for (const KeptAssignment& assignment : kept) {
      fewer += leave(left, assignment.token);
      more += enter(entered, assignment.token);
    }
    again_[from * sources_ + source] -= fewer;
    again_[to * sources_ + source] += more;
  }
  [[nodiscard]] std::int32_t again(std::size_t row, std::size_t source) const {
    return again_[row * sources_ + source];
  }

 private:
  [[nodiscard]] std::uint8_t* visits(std::size_t row) { return &visits_[row * tokens_]; }
  static std::int32_t enter(std::uint8_t* visits, std::int32_t token) {
    return visits[token]++ > 0 ? 1 : 0;
  }
  static std::int32_t leave(std::uint8_t* visits, std::int32_t token) {
    return --visits[token] > 0 ? 1 : 0;
  }

  std::size_t sources_;
  std::size_t tokens_;
  std::vector<std::uint8_t> visits_;  ///< [row][token]
  std::vector<std::int32_t> again_;   ///< [row][source]
};

}  // namespace moesim
