// SPDX-License-Identifier: Apache-2.0
// Which keys of layout, batch and memory a kind of step looks at.
#pragma once

#include <string_view>

#include "sim/scenario/scenario.hpp"

namespace moesim {

/// A key (or table) that steps of the scenario's kind, or its dense model, do not look at.
[[nodiscard]] bool step_key_has_no_effect(std::string_view path, const Scenario& scenario);

/// The same of a key of [requests].
[[nodiscard]] bool request_key_has_no_effect(std::string_view path, const Scenario& scenario);

/// A key (or the table) of [price] without effect: no price list, no steps of a whole model, or a
/// key of training alone.
[[nodiscard]] bool price_key_has_no_effect(std::string_view path, const Scenario& scenario);

}  // namespace moesim
