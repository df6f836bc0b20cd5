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

  /// One assignment of each of the tokens.
  void add(std::size_t row, std::size_t source, std::span<const std::int32_t> tokens) {
    std::uint8_t* const entered = visits(row);
    std::int32_t more = 0;
    for (const std::int32_t token : tokens) {
      more += entered[token]++ > 0 ? 1 : 0;
    }
    again_[row * sources_ + source] += more;
  }
  void remove(std::size_t row, std::size_t source, std::span<const std::int32_t> tokens) {
    std::uint8_t* const left = visits(row);
    std::int32_t fewer = 0;
    for (const std::int32_t token : tokens) {
      fewer += --left[token] > 0 ? 1 : 0;
    }
    again_[row * sources_ + source] -= fewer;
  }
  [[nodiscard]] std::int32_t again(std::size_t row, std::size_t source) const {
    return again_[row * sources_ + source];
  }

 private:
  [[nodiscard]] std::uint8_t* visits(std::size_t row) { return &visits_[row * tokens_]; }

  std::size_t sources_;
  std::size_t tokens_;
  std::vector<std::uint8_t> visits_;  ///< [row][token]
  std::vector<std::int32_t> again_;   ///< [row][source]
};

}  // namespace moesim
