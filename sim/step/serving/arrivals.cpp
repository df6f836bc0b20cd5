// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/arrivals.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/diagnostics.hpp"
#include "sim/core/portable_math.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/generate/noise.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim {
namespace {

constexpr std::size_t kMostText = std::size_t{1} << 30;

UserError mistake(std::string key, std::string message) {
  Diagnostic diagnostic;
  diagnostic.key = std::move(key);
  diagnostic.message = std::move(message);
  return UserError({std::move(diagnostic)});
}

std::string_view source_title(ArrivalSource source) {
  switch (source) {
    case ArrivalSource::kAzure:
      return "Azure LLM trace";
    case ArrivalSource::kMooncake:
      return "Mooncake trace";
    case ArrivalSource::kBurstGpt:
      return "BurstGPT trace";
    case ArrivalSource::kTable:
      return "table of requests";
    case ArrivalSource::kPoisson:
      break;
  }
  return "Poisson arrivals";
}

std::int64_t drawn_length(double mean, double sigma, RngStream& rng) {
  if (sigma == 0) {
    return std::max<std::int64_t>(1, std::llround(mean));
  }
  const double u = std::clamp(rng.uniform01(), 1e-12, 1 - 1e-12);
  const double z = generate::normal_quantile(u);
  const double exponent = std::min(sigma * z - sigma * sigma / 2, 100.0);
  return std::llround(
      std::clamp(mean * portable_exp(exponent), 1.0, static_cast<double>(kMostTokens)));
}

/// In order of time; equal times keep the order of the file.
void sort_by_time(std::vector<Request>& requests) {
  std::stable_sort(requests.begin(), requests.end(), [](const Request& a, const Request& b) {
    return a.arrival < b.arrival;
  });
}

std::int64_t distinct_times(const std::vector<Request>& sorted) {
  std::int64_t stamps = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    stamps += i == 0 || sorted[i].arrival != sorted[i - 1].arrival ? 1 : 0;
  }
  return stamps;
}

/// Each name stands for a block, the last one perhaps for a part of one.
void check_blocks(const RequestSpec& spec, const ArrivalRow& row) {
  if (!spec.prefix_cache) {
    return;
  }
  const std::int64_t needed = (row.prompt_tokens + spec.prefix_block - 1) / spec.prefix_block;
  if (static_cast<std::int64_t>(row.blocks.size()) != needed) {
    traces::refuse_line(spec.path,
                        row.line,
                        fmt::format("hash_ids: {} of them, but a prompt of {} tokens has {} with "
                                    "requests.prefix_block = {}",
                                    row.blocks.size(),
                                    row.prompt_tokens,
                                    needed,
                                    spec.prefix_block));
  }
}

/// Rows inside the window, from its first arrival on, at their own pace.
Arrivals in_window(const RequestSpec& spec, const std::vector<ArrivalRow>& rows) {
  double first = std::numeric_limits<double>::infinity();
  double last = -first;
  for (const ArrivalRow& row : rows) {
    first = std::min(first, row.time_s);
    last = std::max(last, row.time_s);
  }
  Arrivals arrivals;
  for (const ArrivalRow& row : rows) {
    const double at = row.time_s - first;
    if (at < spec.from.value || (spec.to.value > 0 && at >= spec.to.value)) {
      continue;
    }
    if (row.prompt_tokens == 0 || row.output_tokens == 0) {
      ++arrivals.left_out;
      continue;
    }
    arrivals.requests.push_back({seconds(at - spec.from.value),
                                 row.prompt_tokens,
                                 row.output_tokens,
                                 spec.prefix_cache ? row.blocks : std::vector<std::int64_t>{}});
    check_blocks(spec, row);
  }
  if (arrivals.requests.empty()) {
    throw mistake("requests.from",
                  fmt::format("no request of {} lies in the window: the trace lasts {:.6g} s",
                              spec.path,
                              rows.empty() ? 0.0 : last - first));
  }
  return arrivals;
}

std::string origin_of(const RequestSpec& spec, std::int64_t left_out) {
  std::string text = spec.source == ArrivalSource::kPoisson
                         ? fmt::format("Poisson arrivals, {:g} a second", spec.rate)
                         : fmt::format("{} {}", source_title(spec.source), spec.path);
  if (spec.from.value > 0 || spec.to.value > 0) {
    text += spec.to.value > 0
                ? fmt::format(", from {:g} s to {:g} s", spec.from.value, spec.to.value)
                : fmt::format(", from {:g} s on", spec.from.value);
  }
  if (spec.rate_scale != 1) {
    text += fmt::format(", {:g} times as fast", spec.rate_scale);
  }
  if (spec.spread.value > 0) {
    text += fmt::format(", each later by up to {:g} s", spec.spread.value);
  }
  if (left_out > 0) {
    text += fmt::format(", {} without prompt or output left out", left_out);
  }
  return text;
}

}  // namespace

std::vector<Request> poisson_arrivals(const RequestSpec& spec, std::uint64_t seed) {
  RngStream gaps(seed, "arrival gaps");
  RngStream prompts(seed, "prompt lengths");
  RngStream outputs(seed, "output lengths");
  std::vector<Request> requests;
  double now = 0;
  for (std::int64_t i = 0; i < spec.count; ++i) {
    requests.push_back({seconds(now),
                        drawn_length(spec.prompt_tokens, spec.prompt_sigma, prompts),
                        drawn_length(spec.output_tokens, spec.output_sigma, outputs)});
    now -= portable_log(1 - gaps.uniform01()) / spec.rate;
  }
  return requests;
}

Arrivals read_arrivals(const RequestSpec& spec, std::uint64_t seed) {
  Arrivals arrivals;
  if (spec.source == ArrivalSource::kPoisson) {
    arrivals.requests = poisson_arrivals(spec, seed);
  } else {
    const std::string text = traces::read_text(spec.path, kMostText);
    arrivals = in_window(spec, parse_arrivals(spec.source, spec.path, text));
  }
  sort_by_time(arrivals.requests);
  arrivals.stamps = distinct_times(arrivals.requests);
  RngStream later(seed, "arrival spread");
  for (Request& request : arrivals.requests) {
    const double moved = spec.spread.value > 0 ? later.uniform01() * spec.spread.value : 0;
    request.arrival = (request.arrival + seconds(moved)) / spec.rate_scale;
  }
  sort_by_time(arrivals.requests);
  arrivals.origin = origin_of(spec, arrivals.left_out);
  return arrivals;
}

}  // namespace moesim
