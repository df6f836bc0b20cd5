// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/trace_load.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string_view>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/checks.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using Load = std::vector<std::int64_t>;
using traces::RoutePack;

/// [layer][expert], in one pass over the pack.
std::vector<Load> loads_of(const RoutePack& pack, const Pace& pace) {
  if (pack.per_token()) {
    return traces::scan_ids(*pack.topk, pack.header.experts, pace).load;
  }
  std::vector<Load> loads(static_cast<std::size_t>(pack.header.layers),
                          Load(static_cast<std::size_t>(pack.header.experts)));
  PaceCounter steps(pace, "adding loads up", static_cast<std::size_t>(pack.steps()), 16);
  for (std::size_t step = 0; step < static_cast<std::size_t>(pack.steps()); ++step, steps.add()) {
    for (std::size_t layer = 0; layer < loads.size(); ++layer) {
      const Load counts = traces::step_counts(pack, step, layer);
      std::transform(
          counts.begin(), counts.end(), loads[layer].begin(), loads[layer].begin(), std::plus<>());
    }
  }
  return loads;
}

/// At most `kMostPairs` pairs of steps a layer, evenly spread.
traces::Spread drift_over(const RoutePack& pack, std::int64_t lag) {
  constexpr std::int64_t kMostPairs = 50;
  const std::int64_t pairs = pack.steps() - lag;
  const std::int64_t stride = std::max<std::int64_t>(1, pairs / kMostPairs);
  std::vector<double> distances;
  for (std::int64_t step = 0; step < pairs; step += stride) {
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(pack.header.layers); ++layer) {
      distances.push_back(traces::total_variation(
          traces::step_counts(pack, static_cast<std::size_t>(step), layer),
          traces::step_counts(pack, static_cast<std::size_t>(step + lag), layer)));
    }
  }
  return traces::spread_of(std::move(distances));
}

std::vector<std::string> spread_cells(std::string name, const traces::Spread& spread) {
  return {std::move(name),
          fmt::format("{:.2f}", spread.median),
          fmt::format("{:.2f}", spread.min),
          fmt::format("{:.2f}", spread.max)};
}

/// The layer's experts of the largest load, "e12 3.4x".
std::string hottest(const Load& load) {
  constexpr std::size_t kShown = 5;
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  const double mean =
      static_cast<double>(std::accumulate(load.begin(), load.end(), std::int64_t{0})) /
      static_cast<double>(load.size());
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, order.size()); ++i) {
    text += fmt::format(
        "{}{} {:.1f}x", i == 0 ? "" : ", ", order[i], static_cast<double>(load[order[i]]) / mean);
  }
  return text;
}

/// A row of the heat map: each place the largest of the experts that share it.
std::string heat_row(const Load& load) {
  constexpr std::string_view kShades = " .:-=+*#%@";  // a step of half the mean each
  constexpr std::size_t kMostPlaces = 64;
  const std::size_t width = (load.size() + kMostPlaces - 1) / kMostPlaces;
  const double mean =
      static_cast<double>(std::accumulate(load.begin(), load.end(), std::int64_t{0})) /
      static_cast<double>(load.size());
  std::string row;
  for (std::size_t e = 0; e < load.size(); e += width) {
    const auto end = load.begin() + static_cast<std::ptrdiff_t>(std::min(e + width, load.size()));
    const auto most = *std::max_element(load.begin() + static_cast<std::ptrdiff_t>(e), end);
    const double shade = 2.0 * static_cast<double>(most) / mean;
    row += kShades[std::min(kShades.size() - 1, static_cast<std::size_t>(shade))];
  }
  return row;
}

}  // namespace

TraceLoad measure_load(const RoutePack& pack, const Pace& pace) {
  TraceLoad result;
  result.load = loads_of(pack, pace);
  for (int ranks = 2; ranks <= pack.header.experts; ranks *= 2) {
    if (pack.header.experts % ranks != 0) {
      break;
    }
    std::vector<double> imbalance;
    for (const Load& load : result.load) {
      imbalance.push_back(traces::rank_imbalance(load, ranks));
    }
    result.degrees.push_back({ranks, traces::spread_of(std::move(imbalance))});
  }
  for (std::int64_t lag = 1; lag < pack.steps(); lag *= 10) {
    result.drift.push_back({lag, drift_over(pack, lag)});
  }
  return result;
}

std::string load_text(const TraceLoad& load) {
  std::vector<std::vector<std::string>> rows;
  for (const TraceLoad::Degree& degree : load.degrees) {
    rows.push_back(spread_cells(fmt::format("EP{}", degree.ranks), degree.imbalance));
  }
  std::string text = table({"(max - mean) / mean of ranks", "median", "min", "max"}, rows);
  if (!load.drift.empty()) {
    rows.clear();
    for (const TraceLoad::Drift& drift : load.drift) {
      rows.push_back(
          spread_cells(fmt::format("{} step{} later", drift.steps, drift.steps == 1 ? "" : "s"),
                       drift.distance));
    }
    text += "\n";
    text += table({"drift, total variation", "median", "min", "max"}, rows);
  }
  text += "\n";
  text += wrapped(
      "load by layer and expert; one step of \" .:-=+*#%@\" is half the mean, @ is 4.5 times it "
      "and "
      "more");
  for (std::size_t layer = 0; layer < load.load.size(); ++layer) {
    text += fmt::format("{:>4} |{}|\n", layer, heat_row(load.load[layer]));
  }
  text += "\nhottest experts of each layer, in loads of the mean\n";
  for (std::size_t layer = 0; layer < load.load.size(); ++layer) {
    text += fmt::format("{:>4}  {}\n", layer, hottest(load.load[layer]));
  }
  return text;
}

}  // namespace moesim::cli
