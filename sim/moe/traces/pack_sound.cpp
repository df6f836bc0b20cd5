// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/pack_sound.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

// Keeps products of a count and a number of assignments inside 64 bits.
constexpr std::int64_t kMostAssignments = 0xffff'ffff;

constexpr std::size_t kRowsBetween = 65'536;

template <typename T>
[[noreturn]] void refuse_id(
    const fs::path& path, const NpyArray& topk, std::size_t at, int experts, bool twice) {
  const std::size_t row = at / topk.size(2);
  const std::size_t token = row / topk.size(1);
  const std::size_t layer = row % topk.size(1);
  const T id = number_at<T>(topk.data().data(), at);
  if (twice) {
    refuse(path,
           fmt::format("token {}, layer {}: expert {} twice; a token visits an expert once",
                       token,
                       layer,
                       id));
  }
  refuse(path,
         fmt::format("token {}, layer {}, slot {}: expert {}; expected 0 to {}",
                     token,
                     layer,
                     at % topk.size(2),
                     id,
                     experts - 1));
}

template <typename T>
void scan_token_ids(const fs::path& path, const NpyArray& topk, int experts, const Pace& pace) {
  PaceCounter done(pace, "checking", topk.size(0) * topk.size(1), kRowsBetween);
  const std::byte* const data = topk.data().data();
  const std::size_t slots = topk.size(2);
  const std::size_t rows = topk.size(0) * topk.size(1);
  std::vector<std::size_t> last_row(static_cast<std::size_t>(experts), rows);
  for (std::size_t row = 0; row < rows; ++row, done.add()) {
    for (std::size_t at = row * slots; at < (row + 1) * slots; ++at) {
      const T id = number_at<T>(data, at);
      if (std::cmp_less(id, 0) || std::cmp_greater_equal(id, experts)) {
        refuse_id<T>(path, topk, at, experts, false);
      }
      if (std::exchange(last_row[static_cast<std::size_t>(to_int64(id))], row) == row) {
        refuse_id<T>(path, topk, at, experts, true);
      }
    }
  }
}

/// Every (step, source rank, layer) has assignments, and none that top_k distinct experts a token
/// cannot meet.
template <typename T>
void scan_counts(const fs::path& path, const RoutePack& pack, const Pace& pace) {
  const NpyArray& counts = *pack.counts;
  const auto experts = static_cast<std::size_t>(pack.header.experts);
  PaceCounter done(pace, "checking counts", counts.count() / experts);
  const auto layers = static_cast<std::size_t>(pack.header.layers);
  const auto ranks = static_cast<std::size_t>(pack.source_ranks());
  for (std::size_t row = 0; row * experts < counts.count(); ++row, done.add()) {
    const auto where = [&] {
      return fmt::format("step {}, source rank {}, layer {}",
                         row / layers / ranks,
                         row / layers % ranks,
                         row % layers);
    };
    std::int64_t sum = 0;
    std::int64_t most = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      const T count = number_at<T>(counts.data().data(), row * experts + e);
      if (std::cmp_less(count, 0) || std::cmp_greater(count, kMostAssignments - sum)) {
        refuse(path,
               fmt::format("{}, expert {}: count {}; expected 0 or more, at most {} a layer",
                           where(),
                           e,
                           count,
                           kMostAssignments));
      }
      sum += to_int64(count);
      most = std::max(most, to_int64(count));
    }
    if (sum == 0) {
      refuse(path, where() + ": no assignments; expected at least one");
    }
    if (most > sum / pack.header.top_k) {
      refuse(path,
             fmt::format("{}: an expert has {} of {} assignments; with top_k {} it has at most {}",
                         where(),
                         most,
                         sum,
                         pack.header.top_k,
                         sum / pack.header.top_k));
    }
  }
}

}  // namespace

void require_sound_ids(const fs::path& path,
                       const NpyArray& topk,
                       int num_experts,
                       const Pace& pace) {
  visit_integer_type(topk.type(), [&](auto zero) {
    scan_token_ids<decltype(zero)>(path, topk, num_experts, pace);
  });
}

void require_sound_weights(const fs::path& path, const NpyArray& weights, const Pace& pace) {
  PaceCounter done(pace, "checking gate weights", weights.count(), 8 * kRowsBetween);
  const std::byte* const data = weights.data().data();
  const bool half = weights.type() == NumberType::kF2;
  for (std::size_t i = 0; i < weights.count(); ++i, done.add()) {
    const float weight =
        half ? half_to_float(number_at<std::uint16_t>(data, i)) : number_at<float>(data, i);
    if (!(weight >= 0.0F) || std::isinf(weight)) {
      const std::size_t row = weights.size(1) * weights.size(2);
      refuse(path,
             fmt::format("token {}, layer {}, slot {}: gate weight {}; expected a finite number "
                         ">= 0",
                         i / row,
                         i % row / weights.size(2),
                         i % weights.size(2),
                         weight));
    }
  }
}

void require_sound_counts(const fs::path& path, const RoutePack& pack, const Pace& pace) {
  visit_integer_type(pack.counts->type(),
                     [&](auto zero) { scan_counts<decltype(zero)>(path, pack, pace); });
}

}  // namespace moesim::traces
