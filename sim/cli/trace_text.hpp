// SPDX-License-Identifier: Apache-2.0
// A route pack's facts, checks and skew, for people and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/cli/trace_load.hpp"
#include "sim/moe/traces/checks.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::cli {

struct TraceInfo {
  std::string sha256;  ///< of the pack's files, see sim/scenario/digest.hpp
  traces::SkewReport skew;
  std::vector<traces::Finding> findings;
  std::vector<double> overlap;  ///< by lag - 1; empty for counts
  TraceLoad load;
};

[[nodiscard]] std::string trace_text(const traces::RoutePack& pack, const TraceInfo& info);
[[nodiscard]] std::string trace_json(const traces::RoutePack& pack, const TraceInfo& info);
/// layer,expert,assignments over the whole pack.
[[nodiscard]] std::string trace_load_csv(const TraceInfo& info);

}  // namespace moesim::cli
