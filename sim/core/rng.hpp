// SPDX-License-Identifier: Apache-2.0
// Keyed random streams: drawing more in one place never shifts another.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace moesim {

/// Independent random stream named by (seed, purpose, index): Philox4x32-10 (Random123) with the
/// name as key. The same sequence on every platform and compiler.
/// Models UniformRandomBitGenerator, so Boost.Random distributions may draw from it.
class RngStream {
 public:
  using result_type = std::uint32_t;

  RngStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffU; }
  result_type operator()();
  /// The next words of the stream, as many calls would give them, at a fraction of their cost.
  void fill(std::span<result_type> words);

  /// Uniform in [0, 1) with 53 random bits.
  double uniform01();
  /// Uniform integer in [0, n), n > 0, without modulo bias.
  std::uint64_t below(std::uint64_t n);

 private:
  using Block = std::array<std::uint32_t, 4>;
  Block next_block();

  std::array<std::uint32_t, 2> key_{};
  Block counter_{};
  Block block_{};
  unsigned used_ = 4;
};

/// Fisher-Yates shuffle; std::shuffle differs between standard libraries.
template <typename T>
void shuffle(std::span<T> values, RngStream& rng) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[rng.below(i)]);
  }
}

/// A well-mixed 64-bit hash of (a, b); a fixed function, the same on every platform.
std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b);

}  // namespace moesim
