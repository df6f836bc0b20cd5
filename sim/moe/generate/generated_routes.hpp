// SPDX-License-Identifier: Apache-2.0
// Requests whose tokens the generator routes.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/moe/generate/generator_spec.hpp"
#include "sim/moe/request_routes.hpp"

namespace moesim::generate {

/// What the routed model looks like.
struct RoutesShape {
  int num_experts = 0;
  int top_k = 0;
  int layers = 0;
};

/// Request i is request i of the generator, of domain i mod domains, at any length. Popularity is
/// that of step 0: it does not drift. Checked by: request_routes_test.
[[nodiscard]] std::unique_ptr<RequestRoutes> open_generated_routes(const GeneratorSpec& spec,
                                                                   const RoutesShape& shape,
                                                                   std::uint64_t seed);

}  // namespace moesim::generate
