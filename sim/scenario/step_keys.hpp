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

}  // namespace moesim
