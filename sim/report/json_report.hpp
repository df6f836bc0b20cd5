// SPDX-License-Identifier: Apache-2.0
// The report of a run as one JSON document; keys end in their unit. Schema: docs/report.md.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

#include "sim/report/run_report.hpp"

namespace moesim {

/// Indented JSON with a trailing newline. Carries the resolved scenario, seed, version and the
/// SHA-256 of every input, so that the run can be repeated from it. No wall-clock facts: equal runs
/// give equal bytes.
[[nodiscard]] std::string to_json(const RunReport& report);

/// The same as a document.
[[nodiscard]] nlohmann::ordered_json run_json(const RunReport& report);

/// What every JSON report begins with: format, version, scenario, inputs, evidence, routing.
[[nodiscard]] nlohmann::ordered_json head_json(std::string_view format, const RunReport& report);

}  // namespace moesim
