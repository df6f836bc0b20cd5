// SPDX-License-Identifier: Apache-2.0
// Which steps of a replay are alike, so that one simulation serves them all.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim {

/// 128 bits of everything in a routing. Equal routings have equal digests on one machine.
struct RoutingDigest {
  std::array<std::uint64_t, 2> bits{};
  auto operator<=>(const RoutingDigest&) const = default;
};

/// Four lanes of multiply-rotate rounds (as in XXH64) over 32 bytes at a time: as fast as memory.
/// Two different routings are taken for one with a chance of 2^-128, unless made to.
/// Checked by: replay_test (any one value that differs tells).
[[nodiscard]] RoutingDigest digest_of(const Routing& routing);

/// The steps simulated so far, by their routings. All else that a step depends on is the model,
/// the same for all steps of a replay.
class StepMemo {
 public:
  /// The step that came first with these routings (one a layer): `step` itself if none did.
  int claim(std::vector<RoutingDigest> layers, int step);

 private:
  std::mutex mutex_;
  std::map<std::vector<RoutingDigest>, int> first_;
};

}  // namespace moesim
