// SPDX-License-Identifier: Apache-2.0
// open_routing_source and open_pack_routes of packs that take long to check: the pace hears of it.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/core/pace.hpp"
#include "sim/moe/request_routes.hpp"
#include "sim/moe/routing.hpp"

namespace moesim::traces {

[[nodiscard]] std::unique_ptr<RoutingSource> open_trace_source(
    const RoutingSpec& spec, int ranks, int tokens_per_rank, std::uint64_t seed, const Pace& pace);

[[nodiscard]] std::unique_ptr<RequestRoutes> open_trace_routes(const RoutingSpec& spec,
                                                               std::uint64_t seed,
                                                               const Pace& pace);

}  // namespace moesim::traces
