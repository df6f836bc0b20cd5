// SPDX-License-Identifier: Apache-2.0
// Dotted paths into a JSON report: "summary.step_s.mean", "steps.0.layers.3.dispatch_bytes".
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace moesim::calibrate {

/// The keys of a path: what its dots separate.
[[nodiscard]] std::vector<std::string> split_path(std::string_view path, char at = '.');

/// What lies under one key, or under an index from 0 of a list; null where nothing does.
[[nodiscard]] const nlohmann::ordered_json* child(const nlohmann::ordered_json& at,
                                                  const std::string& key);

/// What lies at a path; null where nothing does.
[[nodiscard]] const nlohmann::ordered_json* at_path(const nlohmann::ordered_json& report,
                                                    std::string_view path);

}  // namespace moesim::calibrate
