// SPDX-License-Identifier: Apache-2.0
// placement_heldout SCENARIO SLOTS TRAIN_STEPS TEST_FIRST TEST_STEPS MOVES TAIL [KEY=VALUE...]:
// placements made from steps [0, TRAIN_STEPS) of a scenario, simulated on later ones.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "sim/moe/eplb.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/replay.hpp"
#include "sim/study/placement_search.hpp"

namespace {

using namespace moesim;

struct Held {
  double step_us = 0.0;
  double layer_us = 0.0;
  double p99_us = 0.0;
  double imbalance = 0.0;
  double worst_us = 0.0;
  double d = 0, e = 0, c = 0, b = 0;
};

Held judge(StepModel model, std::vector<Placement> placements, int first, int steps) {
  model.placements = std::move(placements);
  std::vector<double> layers;
  Held held;
  for (int step = first; step < first + steps; ++step) {
    const StepResult result = simulate_step(model, step);
    held.step_us += result.makespan.to_seconds().value * 1e6 / steps;
    for (const LayerResult& layer : result.layers) {
      layers.push_back(layer.makespan().to_seconds().value * 1e6);
      held.layer_us += layers.back();
      held.imbalance += layer.rank_imbalance;
      held.d += layer.dispatch.max.value * 1e6;
      held.e += layer.experts.max.value * 1e6;
      held.c += layer.combine.max.value * 1e6;
      held.b += (layer.dispatch_bound + layer.combine_bound).value * 1e6;
    }
  }
  std::sort(layers.begin(), layers.end());
  const auto n = static_cast<double>(layers.size());
  held.layer_us /= n;
  held.imbalance /= n;
  held.d /= n;
  held.e /= n;
  held.c /= n;
  held.b /= n;
  held.p99_us = layers[static_cast<std::size_t>(0.99 * (n - 1))];
  held.worst_us = layers.back();
  return held;
}

void parts(const StepModel& model, TrafficWindow window, const std::vector<Placement>& p) {
  LayerCost sum;
  const LayerResources resources = layer_resources(model, p.front().num_slots());
  for (int layer = 0; layer < model.layers; ++layer) {
    const ExpertTraffic traffic = summarise_traffic(*model.routing, window, layer);
    const LayerCost c =
        PlacementCost(model, traffic, resources, p[static_cast<std::size_t>(layer)]).cost();
    sum.fixed += c.fixed;
    sum.dispatch += c.dispatch;
    sum.experts += c.experts;
    sum.combine += c.combine;
  }
  fmt::print("   cost: fixed {:.1f} dispatch {:.1f} experts {:.1f} combine {:.1f}\n",
             sum.fixed.value * 1e6 / model.layers,
             sum.dispatch.value * 1e6 / model.layers,
             sum.experts.value * 1e6 / model.layers,
             sum.combine.value * 1e6 / model.layers);
}

double mean_cost(const StepModel& model, TrafficWindow window, const std::vector<Placement>& p) {
  double sum = 0;
  const LayerResources resources = layer_resources(model, p.front().num_slots());
  for (int layer = 0; layer < model.layers; ++layer) {
    const ExpertTraffic traffic = summarise_traffic(*model.routing, window, layer);
    sum += PlacementCost(model, traffic, resources, p[static_cast<std::size_t>(layer)])
               .cost()
               .total()
               .value *
           1e6;
  }
  return sum / model.layers;
}

int run(const std::vector<std::string>& args) {
  const Scenario scenario = load_scenario(args[0], {args.begin() + 7, args.end()});
  Assembly assembly = assemble(scenario);
  const StepModel& model = assembly.step;
  const int slots = std::stoi(args[1]);
  const TrafficWindow window{.first = 0, .steps = std::stoi(args[2])};
  const int first = std::stoi(args[3]);
  const int steps = std::stoi(args[4]);
  std::vector<std::vector<Placement>> maps(4);
  for (int layer = 0; layer < model.layers; ++layer) {
    const ExpertTraffic traffic = summarise_traffic(*model.routing, window, layer);
    const std::vector<double> load = expert_loads(traffic);
    maps[0].push_back(contiguous_placement(traffic.experts, model.ranks));
    maps[1].push_back(greedy_placement(load, model.ranks));
    maps[2].push_back(
        eplb_placement(load, {.slots = slots, .groups = 1, .nodes = 1, .ranks = model.ranks}));
  }
  const auto begin = std::chrono::steady_clock::now();
  SearchOptions options{.slots = slots,
                        .moves = std::stoll(args[5]),
                        .tail = std::stod(args[6])};
  const SearchResult found = optimise_placement(model, window, options);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  maps[3] = found.placements;
  const char* names[] = {"contiguous", "greedy", "eplb", "optimised"};
  fmt::print("{} layers, {} moves, {:.1f} s\n", model.layers, found.moves, took);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const Held train = judge(model, maps[i], 0, window.steps);
    const Held test = judge(model, maps[i], first, steps);
    fmt::print(
        "{:<11} cost {:8.1f} | train mean {:8.1f} p99 {:8.1f} | test step {:9.1f} layer {:8.1f} "
        "p99 "
        "{:8.1f} max {:8.1f} imbalance {:.3f}\n",
        names[i],
        mean_cost(model, window, maps[i]),
        train.layer_us,
        train.p99_us,
        test.step_us,
        test.layer_us,
        test.p99_us,
        test.worst_us,
        test.imbalance);
    parts(model, window, maps[i]);
    fmt::print("   sim train: dispatch {:.1f} experts {:.1f} combine {:.1f} bounds {:.1f}\n",
               train.d,
               train.e,
               train.c,
               train.b);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
