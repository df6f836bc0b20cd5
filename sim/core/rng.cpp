// SPDX-License-Identifier: Apache-2.0
#include "sim/core/rng.hpp"

#include <Random123/philox.h>

#include <algorithm>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// FNV-1a, 64 bit: names a purpose. Collisions between purposes would only correlate two streams.
std::uint64_t hash_text(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash;
}

std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}
std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32U);
}

}  // namespace

std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) {
  // splitmix64 finaliser over the two words (Steele, Lea, Flood 2014).
  std::uint64_t z = a + 0x9e3779b97f4a7c15U * (b + 1);
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

RngStream::RngStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index) {
  const std::uint64_t key = mix_hash(seed, hash_text(purpose));
  key_ = {low(key), high(key)};
  counter_ = {0, 0, low(index), high(index)};
}

RngStream::Block RngStream::next_block() {
  const r123::Philox4x32 philox;
  const auto out =
      philox({{counter_[0], counter_[1], counter_[2], counter_[3]}}, {{key_[0], key_[1]}});
  if (++counter_[0] == 0) {
    ++counter_[1];
  }
  return {out[0], out[1], out[2], out[3]};
}

RngStream::result_type RngStream::operator()() {
  if (used_ == block_.size()) {
    block_ = next_block();
    used_ = 0;
  }
  return block_[used_++];
}

void RngStream::fill(std::span<result_type> words) {
  std::size_t at = 0;
  while (at < words.size() && used_ < block_.size()) {
    words[at++] = block_[used_++];
  }
  for (; words.size() - at >= block_.size(); at += block_.size()) {
    const Block block = next_block();
    std::copy(block.begin(), block.end(), words.begin() + static_cast<std::ptrdiff_t>(at));
  }
  while (at < words.size()) {
    words[at++] = (*this)();
  }
}

double RngStream::uniform01() {
  const std::uint64_t upper = (*this)() >> 5U;  // 27 bits
  const std::uint64_t lower = (*this)() >> 6U;  // 26 bits
  return static_cast<double>((upper << 26U) | lower) * 0x1p-53;
}

std::uint64_t RngStream::below(std::uint64_t n) {
  MOESIM_CHECK(n > 0, "below(0)");
  const std::uint64_t reject_under = (0 - n) % n;
  while (true) {
    const std::uint64_t upper = (*this)();
    const std::uint64_t draw = (upper << 32U) | (*this)();
    if (draw >= reject_under) {
      return draw % n;
    }
  }
}

}  // namespace moesim
