// SPDX-License-Identifier: Apache-2.0
// What the charts of a run's page need: sums over steps, in blocks where there are many columns.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "sim/report/fabric_drawing.hpp"
#include "sim/report/page.hpp"
#include "sim/step/hot_spots.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kBusiestLinks = 15;
constexpr std::size_t kMostGpusDrawn = 128;  ///< one by one; else by host

using List = std::function<const std::vector<std::int64_t>&(const LayerResult&)>;

/// Sum over steps of one list of a layer.
std::vector<std::int64_t> summed(const RunReport& report, std::size_t layer, const List& list) {
  std::vector<std::int64_t> sum(list(report.steps.front().layers[layer]).size());
  for (const StepResult& step : report.steps) {
    const std::vector<std::int64_t>& loads = list(step.layers[layer]);
    std::transform(sum.begin(), sum.end(), loads.begin(), sum.begin(), std::plus<>());
  }
  return sum;
}

Json loads_json(const RunReport& report, const List& list) {
  const std::size_t layers = report.steps.front().layers.size();
  const std::size_t columns = list(report.steps.front().layers.front()).size();
  std::size_t block = 1;
  while (layers * ((columns + block - 1) / block) > kMostCells) {
    block *= 2;
  }
  Json cells = Json::array();
  Json means = Json::array();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::vector<std::int64_t> sum = summed(report, layer, list);
    Json row = Json::array();
    for (std::size_t first = 0; first < columns; first += block) {
      const auto begin = sum.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = sum.begin() + static_cast<std::ptrdiff_t>(std::min(columns, first + block));
      row.push_back(*std::max_element(begin, end));
    }
    cells.push_back(row);
    means.push_back(static_cast<double>(std::accumulate(sum.begin(), sum.end(), std::int64_t{0})) /
                    static_cast<double>(columns));
  }
  return {{"block", block}, {"cells", cells}, {"mean", means}};
}

Json traffic_json(const RunReport& report) {
  const PairLoad pairs = pair_sum(report);
  const auto cells = static_cast<std::size_t>(pairs.cells);
  Json rows = Json::array();
  for (std::size_t source = 0; source < cells; ++source) {
    const auto begin = pairs.bytes.begin() + static_cast<std::ptrdiff_t>(source * cells);
    rows.push_back(Json(std::vector<std::int64_t>(begin, begin + pairs.cells)));
  }
  return {{"ranks_per_cell", pairs.ranks_per_cell}, {"dispatch_bytes", rows}};
}

/// Bytes of every link, and the share of the steps' time that they take at its effective rate.
struct LinkUse {
  std::vector<std::int64_t> bytes;
  std::vector<double> busy;
};

LinkUse link_use(const RunReport& report) {
  LinkUse use{.bytes = std::vector<std::int64_t>(report.link_names.size()),
              .busy = std::vector<double>(report.link_names.size())};
  double seconds = 0.0;
  for (const StepResult& step : report.steps) {
    seconds += step.makespan.to_seconds().value;
    std::transform(use.bytes.begin(),
                   use.bytes.end(),
                   step.link_bytes.begin(),
                   use.bytes.begin(),
                   std::plus<>());
  }
  for (std::size_t i = 0; i < use.bytes.size(); ++i) {
    if (use.bytes[i] > 0) {
      use.busy[i] = static_cast<double>(use.bytes[i]) / report.link_rates[i] / seconds;
    }
  }
  return use;
}

std::vector<std::size_t> busiest_of(const LinkUse& use) {
  std::vector<std::size_t> order(use.busy.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return use.bytes[i] == 0; });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return use.busy[a] > use.busy[b];
  });
  return order;
}

Json busiest_json(const RunReport& report, const LinkUse& use) {
  Json links = Json::array();
  for (const std::size_t i : busiest_of(use)) {
    if (links.size() < kBusiestLinks) {
      links.push_back({{"link", i},
                       {"name", report.link_names[i]},
                       {"bytes", use.bytes[i]},
                       {"effective_bytes_per_s", report.link_rates[i]},
                       {"busy_ratio", use.busy[i]}});
    }
  }
  return links;
}

Json kinds_json(const RunReport& report, const LinkUse& use) {
  Json kinds = Json::array();
  for (int kind = 0; kind < kNumLinkKinds; ++kind) {
    std::int64_t count = 0;
    std::int64_t bytes = 0;
    double busy = 0.0;
    std::size_t top = 0;
    for (std::size_t i = 0; i < report.fabric.edges.size(); ++i) {
      if (static_cast<int>(report.fabric.edges[i].kind) == kind) {
        top = count == 0 || use.busy[i] > use.busy[top] ? i : top;
        ++count;
        bytes += use.bytes[i];
        busy += use.busy[i];
      }
    }
    if (count > 0) {
      kinds.push_back({{"kind", to_text(static_cast<LinkKind>(kind))},
                       {"links", count},
                       {"bytes", bytes},
                       {"mean_busy_ratio", busy / static_cast<double>(count)},
                       {"max_busy_ratio", use.busy[top]},
                       {"busiest", bytes > 0 ? Json(report.link_names[top]) : Json(nullptr)}});
    }
  }
  return kinds;
}

Json fabric_json(const RunReport& report, const LinkUse& use) {
  const FabricView& fabric = report.fabric;
  const auto gpus = std::count_if(fabric.nodes.begin(), fabric.nodes.end(), [](const auto& node) {
    return node.kind == VertexKind::kGpu;
  });
  const bool by_host = static_cast<std::size_t>(gpus) > kMostGpusDrawn;
  const GroupedFabric drawn = grouped(fabric, by_host);
  if (fabric.edges.empty() || drawn.view.edges.size() > kMostLinksDrawn) {
    return nullptr;
  }
  std::vector<std::int64_t> bytes(drawn.view.edges.size());
  std::vector<double> busy(bytes.size());
  std::vector<std::string> names(bytes.size());
  for (std::size_t i = 0; i < fabric.edges.size(); ++i) {
    const std::size_t edge = drawn.of_edges[i];
    if (edge == GroupedFabric::kInside) {
      continue;
    }
    bytes[edge] += use.bytes[i];
    if (names[edge].empty() || use.busy[i] > busy[edge]) {
      names[edge] = report.link_names[i];
      busy[edge] = use.busy[i];
    }
  }
  Json vertices = Json::array();
  for (const FabricView::Node& node : drawn.view.nodes) {
    vertices.push_back({{"kind", to_text(node.kind)}, {"name", node.name}});
  }
  Json links = Json::array();
  for (std::size_t edge = 0; edge < bytes.size(); ++edge) {
    links.push_back({{"source", drawn.view.edges[edge].source},
                     {"target", drawn.view.edges[edge].target},
                     {"name", names[edge]},
                     {"bytes", bytes[edge]},
                     {"busy_ratio", busy[edge]}});
  }
  return {
      {"vertices", vertices},
      {"links", links},
      {"torus", fabric.torus},
      {"grouped",
       by_host ? Json("the GPUs, NICs and switches of a node are one dot each, and a line shows "
                      "its busiest link")
               : Json(nullptr)}};
}

/// Means of `block` intervals each.
Json shares_json(const std::vector<double>& percent, std::size_t block) {
  Json shares = Json::array();
  for (std::size_t first = 0; first < percent.size(); first += block) {
    const std::size_t end = std::min(percent.size(), first + block);
    const double sum = std::accumulate(percent.begin() + static_cast<std::ptrdiff_t>(first),
                                       percent.begin() + static_cast<std::ptrdiff_t>(end),
                                       0.0);
    shares.push_back(std::round(sum / static_cast<double>(end - first) * 100.0) / 10'000.0);
  }
  return shares;
}

Json over_time_json(const Counters& counters) {
  constexpr std::string_view kEnd = ": utilisation";
  std::size_t block = 1;
  Json lines = Json::array();
  for (const Counter& counter : counters.counters) {
    block = std::max(block, (counter.values.size() + kMostMoments - 1) / kMostMoments);
    if (counter.name.ends_with(kEnd)) {
      lines.push_back({{"name", counter.name.substr(0, counter.name.size() - kEnd.size())},
                       {"busy_ratio", shares_json(counter.values, block)}});
    }
  }
  return {{"interval_s", counters.interval.to_seconds().value * static_cast<double>(block)},
          {"is_exact", counters.is_exact},
          {"lines", lines}};
}

}  // namespace

Json run_page_extra(const RunReport& report, const Counters* over_time) {
  const LinkUse use = link_use(report);
  return {{"experts",
           loads_json(
               report, [](const LayerResult& layer) -> const auto& { return layer.expert_load; })},
          {"ranks",
           loads_json(
               report, [](const LayerResult& layer) -> const auto& { return layer.rank_tokens; })},
          {"traffic", traffic_json(report)},
          {"link_kinds", kinds_json(report, use)},
          {"busiest_links", busiest_json(report, use)},
          {"fabric", fabric_json(report, use)},
          {"over_time", over_time == nullptr ? Json(nullptr) : over_time_json(*over_time)}};
}

}  // namespace moesim
