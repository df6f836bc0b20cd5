// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/deepep_log.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/calibrate/collective.hpp"
#include "sim/calibrate/exchange_point.hpp"
#include "sim/calibrate/loads.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::calibrate {
namespace {

constexpr int kNormalExperts = 256;
constexpr int kLowLatencyTokens = 128;
constexpr int kLowLatencyHidden = 7168;
constexpr int kLowLatencyTopK = 8;
constexpr int kLowLatencyExperts = 288;
constexpr double kBytesTolerance = 0.03;
constexpr std::string_view kConfig = "[config] ";
constexpr std::string_view kBestDispatch = "[tuning] Best dispatch (FP8): ";
constexpr std::string_view kBestCombine = "[tuning] Best combine: ";
constexpr std::string_view kLowLatency = "] Dispatch bandwidth: ";

/// One line of the log.
struct Line {
  const std::filesystem::path& path;
  int number = 0;
  std::string_view text;

  [[noreturn]] void refuse(std::string message) const {
    traces::refuse_line(path, number, std::move(message));
  }
  [[nodiscard]] bool has(std::string_view words) const {
    return text.find(words) != std::string_view::npos;
  }
  /// The number that stands behind `words`, from `begin` on.
  [[nodiscard]] std::optional<double> number_after(std::string_view words,
                                                   std::size_t begin = 0) const {
    const std::size_t at = text.find(words, begin);
    if (at == std::string_view::npos) {
      return std::nullopt;
    }
    const std::string_view rest = text.substr(at + words.size());
    double value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    const bool good = error == std::errc{} && std::isfinite(value) && value > 0;
    return good ? std::optional(value) : std::nullopt;
  }
  [[nodiscard]] double need(std::string_view words, std::size_t begin = 0) const {
    const std::optional<double> value = number_after(words, begin);
    if (!value) {
      refuse(fmt::format("no number above 0 behind \"{}\"", words));
    }
    return *value;
  }
  [[nodiscard]] int count(std::string_view words) const {
    const double value = need(words);
    if (value != std::floor(value) || value > 1e6) {
      refuse(fmt::format("no whole number from 1 to 10^6 behind \"{}\"", words));
    }
    return static_cast<int>(value);
  }
};

std::vector<Line> lines_of(const std::filesystem::path& path, std::string_view text) {
  std::vector<Line> lines;
  int number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back({path, ++number, text.substr(at, end - at)});
    at = end + 1;
  }
  return lines;
}

/// <ranks> of "ep<ranks>" in the file's name.
int ranks_of(const Line& line) {
  const std::string name = line.path.filename().string();
  for (std::size_t at = name.find("ep"); at != std::string::npos; at = name.find("ep", at + 1)) {
    int ranks = 0;
    const char* const begin = name.data() + at + 2;
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), ranks);
    if (error == std::errc{} && end != begin && ranks > 0) {
      return ranks;
    }
  }
  line.refuse("the log does not tell the ranks: let the file's name say ep<ranks>, as in ep16.log");
}

Exchange normal_exchange(const Line& config) {
  Exchange exchange{.kernel = "deepep_normal",
                    .dispatcher = DispatcherKind::kHierarchical,
                    .ranks = ranks_of(config),
                    .tokens = config.count("num_tokens="),
                    .hidden = config.count("hidden="),
                    .top_k = config.count("num_topk="),
                    .experts = kNormalExperts,
                    .copy = {}};
  if (exchange.experts % exchange.ranks != 0 || exchange.ranks > kMostRanks ||
      exchange.top_k > exchange.experts) {
    config.refuse(fmt::format("{} ranks, top-{}: expected ranks that divide {} experts, {} at most",
                              exchange.ranks,
                              exchange.top_k,
                              exchange.experts,
                              kMostRanks));
  }
  exchange.copy = fp8_copy(exchange);
  return exchange;
}

/// Rows that rank 0 receives, its own included, of `tokens` a rank: one per token and destination.
double rows_received(const Exchange& exchange) {
  constexpr int kSample = 512;
  const int tokens = std::min(exchange.tokens, kSample);
  const Routing routing =
      uniform_routing({exchange.experts, exchange.top_k, exchange.ranks}, tokens, 1);
  const int per_rank = exchange.experts / exchange.ranks;
  std::int64_t copies = 0;
  for (std::int32_t t = 0; t < routing.num_tokens(); ++t) {
    std::set<int> ranks;
    for (const auto expert : routing.of_token(t)) {
      ranks.insert(expert / per_rank);
    }
    copies += static_cast<std::int64_t>(ranks.size());
  }
  return static_cast<double>(copies) / exchange.ranks * exchange.tokens / tokens;
}

/// Of a "Best ..." line: stated by newer tests, else from the bandwidth over NVLink.
Seconds best_time(const Line& line, const Exchange& exchange, bool combine) {
  if (const auto transmit = line.number_after("transmit: ")) {
    return microseconds(*transmit + line.need("notify: "));
  }
  if (const auto time = line.number_after(", t: ")) {
    return microseconds(*time);
  }
  const std::size_t unit = line.text.find(" GB/s (NVL)");
  if (unit == std::string_view::npos) {
    line.refuse("neither a time nor a bandwidth in GB/s (NVL)");
  }
  const std::size_t before = line.text.rfind(' ', unit - 1);
  const double rate = line.need(" ", before);
  const double row = exchange.hidden * (combine ? 2.0 : 1.0 + 4.0 / 128);
  return seconds(rows_received(exchange) * row / (rate * 1e9));
}

void add_normal(const Line& line, const Line* config, Hardware& hardware, Reading& reading) {
  if (config == nullptr) {
    line.refuse("no \"[config]\" line before it");
  }
  const std::optional<double> groups = config->number_after("num_topk_groups=");
  const Exchange exchange = normal_exchange(*config);
  const bool is_combine = line.has(kBestCombine);
  auto [dispatch, combine] = works_of(exchange, hardware, line.count("SMs "));
  const int nodes = dispatch.cluster->place(GpuId{exchange.ranks - 1}).domain + 1;
  if (groups && *groups < nodes) {
    ++reading.skipped["DeepEP routing limited to fewer groups than nodes"];
    return;
  }
  const std::string place = fmt::format("{}:{}", line.path.string(), line.number);
  Point point = exchange_point(place,
                               exchange,
                               std::move(is_combine ? combine : dispatch),
                               best_time(line, exchange, is_combine));
  point.source = "DeepEP test log " + line.path.filename().string();
  reading.points.push_back(std::move(point));
}

/// Mean times of one rank.
struct LowLatencyTimes {
  std::vector<double> dispatch_us;
  std::vector<double> combine_us;
  int most_rank = 0;
};

void check_bytes(const Line& line, double gigabytes_per_second, double time_us, double row) {
  const double bytes = gigabytes_per_second * 1e3 * time_us;
  const double expected = row * kLowLatencyTokens * kLowLatencyTopK;
  if (std::abs(bytes / expected - 1) > kBytesTolerance) {
    line.refuse(
        fmt::format("bandwidth x time is {:.3g} MB; expected {:.3g} MB, those of the test's "
                    "defaults: {} tokens, hidden {}, top-{}",
                    bytes * 1e-6,
                    expected * 1e-6,
                    kLowLatencyTokens,
                    kLowLatencyHidden,
                    kLowLatencyTopK));
  }
}

void add_times(const Line& line, LowLatencyTimes& times) {
  const std::size_t combine = line.text.find("| Combine bandwidth: ");
  if (combine == std::string_view::npos) {
    line.refuse("a dispatch without \"| Combine bandwidth: \"");
  }
  const double dispatch_us = line.need("avg_t=");
  const double combine_us = line.need("avg_t=", combine);
  check_bytes(line,
              line.need("Dispatch bandwidth: "),
              dispatch_us,
              kLowLatencyHidden * (1.0 + 4.0 / 128) + 16);
  check_bytes(line, line.need("Combine bandwidth: "), combine_us, kLowLatencyHidden * 2.0);
  times.dispatch_us.push_back(dispatch_us);
  times.combine_us.push_back(combine_us);
  const auto rank = line.number_after("[rank ");  // none for rank 0
  times.most_rank = std::max(times.most_rank, rank ? static_cast<int>(*rank) : 0);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

void add_low_latency(const Line& line,
                     const LowLatencyTimes& times,
                     Hardware& hardware,
                     Reading& reading) {
  const bool rdma = line.path.filename().string().find("rdma") != std::string::npos;
  Exchange exchange{.kernel = rdma ? "deepep_low_latency_rdma" : "deepep_low_latency",
                    .dispatcher = DispatcherKind::kLowLatency,
                    .scale_up = !rdma,
                    .ranks = times.most_rank + 1,
                    .tokens = kLowLatencyTokens,
                    .hidden = kLowLatencyHidden,
                    .top_k = kLowLatencyTopK,
                    .experts = kLowLatencyExperts,
                    .copy = {}};
  if (exchange.experts % exchange.ranks != 0 || exchange.ranks > kMostRanks) {
    line.refuse(fmt::format("{} ranks: expected ranks that divide {} experts, {} at most",
                            exchange.ranks,
                            exchange.experts,
                            kMostRanks));
  }
  exchange.copy = fp8_copy(exchange);
  auto [dispatch, combine] = works_of(exchange, hardware, DispatchSpec{}.sms);
  for (ExchangeWork* work : {&dispatch, &combine}) {
    const double time = median(work->combine ? times.combine_us : times.dispatch_us);
    const std::string place = fmt::format("{}:{}", line.path.string(), line.number);
    Point point = exchange_point(place, exchange, std::move(*work), microseconds(time));
    point.source = "DeepEP test log " + line.path.filename().string();
    reading.points.push_back(std::move(point));
  }
}

}  // namespace

bool is_deepep_log(std::string_view text) {
  return text.find(kBestDispatch) != std::string_view::npos ||
         text.find(kBestCombine) != std::string_view::npos ||
         text.find(kLowLatency) != std::string_view::npos;
}

void read_deepep_log(const std::filesystem::path& path,
                     std::string_view text,
                     Hardware& hardware,
                     Reading& reading) {
  const std::vector<Line> lines = lines_of(path, text);
  const Line* config = nullptr;
  const Line* low_latency = nullptr;
  LowLatencyTimes times;
  for (const Line& line : lines) {
    if (line.has(kConfig)) {
      config = &line;
    } else if (line.has(kBestDispatch) || line.has(kBestCombine)) {
      add_normal(line, config, hardware, reading);
    } else if (line.has(kLowLatency)) {
      low_latency = low_latency == nullptr ? &line : low_latency;
      add_times(line, times);
    }
  }
  if (low_latency != nullptr) {
    add_low_latency(*low_latency, times, hardware, reading);
  }
}

}  // namespace moesim::calibrate
