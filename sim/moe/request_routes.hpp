// SPDX-License-Identifier: Apache-2.0
// The routing of a single request: any of its tokens, asked for in any order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim {

/// Gives the experts of any token of any request. Deterministic: same arguments, same experts, from
/// any thread and in any order.
class RequestRoutes {
 public:
  RequestRoutes() = default;
  RequestRoutes(const RequestRoutes&) = delete;
  RequestRoutes& operator=(const RequestRoutes&) = delete;
  virtual ~RequestRoutes() = default;

  /// `draw` says how requests come by their routing.
  [[nodiscard]] virtual const RoutingSourceInfo& info() const = 0;
  /// Tokens first_token, first_token + 1, ... of `request` (both >= 0) in MoE layer `layer`,
  /// [token * top_k]; as many as `out` holds.
  virtual void choose(std::int64_t request,
                      int layer,
                      std::int64_t first_token,
                      std::span<ExpertIndex> out) const = 0;
};

/// Requests of a per-token pack: request i reads recorded sequence i mod n of the kept sequences,
/// shuffled by (seed, "sequence order"), row by row, and starts again at its end. Throws UserError
/// when the pack cannot be read, for a domain that it does not have, and for a counts pack, which
/// has no sequences. Checked by: request_routes_test.
[[nodiscard]] std::unique_ptr<RequestRoutes> open_pack_routes(const RoutingSpec& spec,
                                                              std::uint64_t seed);

}  // namespace moesim
