// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/place_contenders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"
#include "sim/moe/placement_file.hpp"
#include "sim/moe/surviving_placement.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/study/placement_bound.hpp"

namespace moesim::cli {
namespace {

constexpr std::array<std::string_view, 7> kKinds = {
    "contiguous", "round_robin", "random", "greedy", "eplb", "eplb_global", "optimised"};

using Loads = std::span<const std::vector<double>>;

std::vector<std::string> kinds_in(const std::string& text) {
  std::vector<std::string> kinds;
  std::istringstream stream(text);
  for (std::string kind; std::getline(stream, kind, ',');) {
    if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end()) {
      throw UserError(fmt::format("--placements {}: found {}; expected {}, or several with commas",
                                  quoted_text(text),
                                  quoted_text(kind),
                                  word_list(kKinds)));
    }
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      kinds.push_back(kind);
    }
  }
  return kinds;
}

Domains domains_of(const ContenderInput& input) {
  return make_domains(rank_places(input.assembly.step.cluster, input.scenario.parallel.ep));
}

std::vector<Placement> made(const std::string& kind,
                            const ContenderInput& input,
                            int slots,
                            Loads loads) {
  const Scenario& scenario = input.scenario;
  PlacementSpec spec;
  if (kind == "eplb") {
    return eplb_of(input, slots, loads);
  }
  if (kind == "eplb_global") {
    spec.kind = PlacementKind::kEplb;
    spec.slots = slots;
    return trained_placements(spec, loads, scenario.parallel.ep, 1);
  }
  const int experts = scenario.model.num_experts;
  const int ranks = scenario.parallel.ep;
  if (experts % ranks != 0) {
    throw UserError(fmt::format(
        "--placements: {} needs parallel.ep to divide the experts, {} does not divide {}",
        kind,
        ranks,
        experts));
  }
  if (kind == "greedy") {
    spec.kind = PlacementKind::kGreedy;
    return trained_placements(spec, loads, scenario.parallel.ep, 1);
  }
  spec.kind = kind == "random"       ? PlacementKind::kRandom
              : kind == "contiguous" ? PlacementKind::kContiguous
                                     : PlacementKind::kRoundRobin;
  return make_placements(spec, placement_size(scenario, input.assembly.step.layers), scenario.seed);
}

SearchOptions search_options(const ContenderOptions& options,
                             const ContenderInput& input,
                             int slots) {
  return {.seed = input.scenario.seed,
          .slots = slots,
          .groups = input.scenario.placement.groups,
          .moves = options.moves,
          .shared = options.shared_map,
          .threads = input.control.threads,
          .cancelled = input.control.cancelled,
          .on_progress = input.control.on_progress};
}

std::vector<Placement> searched(const ContenderInput& input, const SearchOptions& search) {
  const TrafficWindow window{.first = input.train.first, .steps = input.train.steps};
  return optimise_placement(input.assembly.step, window, search).placements;
}

/// Placements that outlive the loss of nodes, before any search.
std::vector<Placement> first_surviving(const ContenderOptions& options,
                                       const ContenderInput& input,
                                       int slots,
                                       Loads loads) {
  const std::vector<int> nodes = node_of_rank(input.assembly.step);
  const int count = 1 + *std::max_element(nodes.begin(), nodes.end());
  const int copies = options.survive + 1;
  const int experts = input.scenario.model.num_experts;
  if (count < copies) {
    throw UserError(fmt::format("--survive {}: the ranks lie on {} node(s); expected {} or more",
                                options.survive,
                                count,
                                copies));
  }
  if (slots < copies * experts) {
    throw UserError(
        fmt::format("--survive {}: every expert needs {} slots on different nodes, {} in all; "
                    "there are {}: set --slots",
                    options.survive,
                    copies,
                    copies * experts,
                    slots));
  }
  std::vector<Placement> placements;
  for (const std::vector<double>& load : loads) {
    std::optional<Placement> placement = surviving_placement(load, slots, nodes, copies);
    if (!placement) {
      throw UserError(
          fmt::format("--survive {}: no placement found that gives every expert {} "
                      "nodes; more --slots may help",
                      options.survive,
                      copies));
    }
    placements.push_back(std::move(*placement));
  }
  return placements;
}

/// The fastest found that outlive the loss of nodes.
std::vector<Placement> surviving(const ContenderOptions& options,
                                 const ContenderInput& input,
                                 int slots,
                                 std::vector<Placement> starts) {
  SearchOptions search = search_options(options, input, slots);
  search.starts = std::move(starts);
  search.survival = {.node_of_rank = node_of_rank(input.assembly.step),
                     .least = options.survive + 1};
  return searched(input, search);
}

}  // namespace

bool has_search(const ContenderOptions& options) {
  const std::vector<std::string> kinds = kinds_in(options.kinds);
  return options.survive > 0 || std::find(kinds.begin(), kinds.end(), "optimised") != kinds.end();
}

int contender_slots(const ContenderOptions& options, const Scenario& scenario) {
  const int ranks = scenario.parallel.ep;
  const int experts = scenario.model.num_experts;
  if (options.slots == 0) {
    return (experts * (options.survive + 1) + ranks) / ranks * ranks;
  }
  if (options.slots < experts || options.slots % ranks != 0) {
    throw UserError(
        fmt::format("--slots {}: expected a multiple of parallel.ep = {} from {} experts on",
                    options.slots,
                    ranks,
                    experts));
  }
  return options.slots;
}

std::vector<Placement> eplb_of(const ContenderInput& input, int slots, Loads loads) {
  PlacementSpec spec = input.scenario.placement;
  spec.kind = PlacementKind::kEplb;
  spec.slots = slots;
  return trained_placements(spec, loads, input.scenario.parallel.ep, eplb_nodes(domains_of(input)));
}

void add_bounds(PlacementStudy& study, const ContenderInput& input) {
  const StepModel& model = input.assembly.step;
  const TrafficWindow judged{.first = study.options.train.first + study.options.train.steps,
                             .steps = study.options.steps};
  std::map<int, Seconds> of_size;
  for (JudgedPlacement& placement : study.judged) {
    const int slots = placement.slots_per_rank * model.ranks;
    if (!of_size.contains(slots)) {
      const std::optional<Seconds> bound =
          mean_layer_bound(model, judged, slots, input.control.threads, input.control.cancelled);
      if (!bound) {
        throw Cancelled();
      }
      of_size[slots] = *bound;
    }
    placement.bound_layer_s = of_size[slots].value;
  }
}

std::vector<Contender> make_contenders(const ContenderOptions& options,
                                       const ContenderInput& input) {
  const std::vector<std::string> kinds = kinds_in(options.kinds);
  const int slots = contender_slots(options, input.scenario);
  const int layers = input.assembly.step.layers;
  const std::vector<std::vector<double>> loads =
      window_loads(*input.assembly.routing, input.train, layers);
  std::vector<Contender> files;  // what may be refused comes before the searches
  for (const std::string& file : options.files) {
    files.push_back({std::filesystem::path(file).filename().string(),
                     read_placements(file, placement_size(input.scenario, layers))});
  }
  std::vector<Placement> starts;
  if (options.survive > 0) {
    starts = first_surviving(options, input, slots, loads);
  }
  std::vector<Contender> contenders;
  contenders.reserve(kinds.size() + files.size() + 1);
  for (const std::string& kind : kinds) {
    contenders.push_back({kind,
                          kind == "optimised"
                              ? searched(input, search_options(options, input, slots))
                              : made(kind, input, slots, loads)});
  }
  std::move(files.begin(), files.end(), std::back_inserter(contenders));
  if (options.survive > 0) {
    contenders.push_back({"survive", surviving(options, input, slots, std::move(starts))});
  }
  return contenders;
}

}  // namespace moesim::cli
