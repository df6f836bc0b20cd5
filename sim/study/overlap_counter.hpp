// SPDX-License-Identifier: Apache-2.0
// Which rows (ranks or domains) kept tokens visit, and how often one visits a row again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moesim {

/// again(row, source): assignments of kept tokens of `source` to `row` beyond each token's first.
/// A token has at most 255 assignments.
class OverlapCounter {
 public:
  OverlapCounter(std::size_t rows, std::size_t sources, std::size_t tokens)
      : sources_(sources), tokens_(tokens), visits_(rows * tokens), again_(rows * sources) {}

  void add(std::size_t row, std::size_t source, std::int32_t token) {
    std::uint8_t& visits = visits_[row * tokens_ + static_cast<std::size_t>(token)];
    again_[row * sources_ + source] += visits > 0 ? 1 : 0;
    ++visits;
  }
  void remove(std::size_t row, std::size_t source, std::int32_t token) {
    std::uint8_t& visits = visits_[row * tokens_ + static_cast<std::size_t>(token)];
    --visits;
    again_[row * sources_ + source] -= visits > 0 ? 1 : 0;
  }
  [[nodiscard]] std::int32_t again(std::size_t row, std::size_t source) const {
    return again_[row * sources_ + source];
  }

 private:
  std::size_t sources_;
  std::size_t tokens_;
  std::vector<std::uint8_t> visits_;  ///< [row][token]
  std::vector<std::int32_t> again_;   ///< [row][source]
};

}  // namespace moesim
