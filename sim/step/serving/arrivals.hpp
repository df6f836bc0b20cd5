// SPDX-License-Identifier: Apache-2.0
// Requests: when each arrives, how long it is. Read from traces that others published, or drawn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/step/serving/serving_spec.hpp"

namespace moesim {

inline constexpr std::int64_t kMostTokens = 100'000'000;  ///< of a prompt or an answer

struct Request {
  Seconds arrival;  ///< from the first arrival of the window
  std::int64_t prompt_tokens = 0;
  std::int64_t output_tokens = 0;
  /// Names of the prompt's blocks, each standing for itself and all before it; empty: unknown.
  std::vector<std::int64_t> blocks = {};
};

struct Arrivals {
  std::vector<Request> requests;  ///< by arrival, then as they stand in the file
  std::string origin;             ///< one sentence: where they come from, what was done to them
  std::int64_t left_out = 0;      ///< rows without a prompt or an output
  std::int64_t stamps = 0;        ///< distinct arrival times before they were spread
};

/// The requests of spec's source and window. Files may be gzip; at most 1 GiB of text.
/// Throws UserError with file and line: a column or key that is missing, a value that is no number
/// or out of range, times that run backwards (kTable sorts), a window without requests.
/// Checked by: arrivals_test.
[[nodiscard]] Arrivals read_arrivals(const RequestSpec& spec, std::uint64_t seed);

/// A row of a trace: seconds since any epoch.
struct ArrivalRow {
  double time_s = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t output_tokens = 0;
  int line = 0;
  std::vector<std::int64_t> blocks = {};
};

/// The rows of a trace file, as they stand in it. `path` is for messages.
[[nodiscard]] std::vector<ArrivalRow> parse_arrivals(ArrivalSource source,
                                                     const std::filesystem::path& path,
                                                     std::string_view text);

/// Poisson arrivals: gaps -ln(1 - u) / rate; lengths round(mean * exp(sigma z - sigma^2 / 2)), z
/// standard normal, at least 1 token: log-normal with that mean, or fixed at sigma 0.
/// Valid for: arrivals that do not know of each other; real ones come in bursts (the Azure code
/// trace has a gap CV of 13). Checked by: arrivals_test (mean and CV of gaps, mean lengths).
[[nodiscard]] std::vector<Request> poisson_arrivals(const RequestSpec& spec, std::uint64_t seed);

}  // namespace moesim
