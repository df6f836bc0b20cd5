// SPDX-License-Identifier: Apache-2.0
#include "sim/step/step_memo.hpp"

#include <bit>
#include <cstring>
#include <span>
#include <utility>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

/// Odd constants with about as many ones as zeros.
constexpr std::uint64_t kTake = 0x9E3779B97F4A7C15U;
constexpr std::uint64_t kMix = 0xD1B54A32D192ED03U;

class Digester {
 public:
  template <typename T>
  void add(const std::vector<T>& values) {
    add(std::uint64_t{values.size()});
    const auto bytes = std::as_bytes(std::span(values));
    std::size_t at = 0;
    for (; at + sizeof(lanes_) <= bytes.size(); at += sizeof(lanes_)) {
      std::array<std::uint64_t, 4> block{};
      std::memcpy(block.data(), bytes.data() + at, sizeof(block));
      take(block);
    }
    std::array<std::uint64_t, 4> rest{};
    if (at < bytes.size()) {
      std::memcpy(rest.data(), bytes.data() + at, bytes.size() - at);
    }
    take(rest);
  }
  void add(std::uint64_t value) { take({value, 0, 0, 0}); }

  [[nodiscard]] RoutingDigest digest() const {
    RoutingDigest digest;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      digest.bits[0] = mix_hash(digest.bits[0], lanes_[i]);
      digest.bits[1] = mix_hash(lanes_[lanes_.size() - 1 - i] ^ kMix, digest.bits[1]);
    }
    return digest;
  }

 private:
  void take(const std::array<std::uint64_t, 4>& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      lanes_[i] = std::rotl(lanes_[i] + block[i] * kTake, 31) * kMix;
    }
  }

  std::array<std::uint64_t, 4> lanes_{1, 2, 3, 4};
};

}  // namespace

RoutingDigest digest_of(const Routing& routing) {
  Digester digester;
  digester.add(static_cast<std::uint64_t>(routing.num_experts));
  digester.add(static_cast<std::uint64_t>(routing.top_k));
  digester.add(routing.token_begin);
  digester.add(routing.experts);
  digester.add(routing.weights);
  digester.add(static_cast<std::uint64_t>(routing.num_candidates));
  digester.add(routing.candidates);
  digester.add(routing.candidate_weights);
  return digester.digest();
}

int StepMemo::claim(std::vector<RoutingDigest> layers, int step) {
  const std::scoped_lock lock(mutex_);
  return first_.emplace(std::move(layers), step).first->second;
}

}  // namespace moesim
