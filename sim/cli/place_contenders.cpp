// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/place_contenders.hpp"

#include <fmt/core.h>

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
#include "sim/moe/replica_names.hpp"
#include "sim/moe/surviving_placement.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/study/placement_bound.hpp"

namespace moesim::cli {
namespace {

constexpr std::array<std::string_view, 8> kKinds = {"contiguous",
                                                    "round_robin",
                                                    "random",
                                                    "greedy",
                                                    "eplb",
                                                    "eplb_global",
                                                    "optimised",
                                                    "hindsight"};

constexpr std::string_view kOptimised = "optimised";
constexpr std::string_view kHindsight = "hindsight";

using Loads = std::span<const std::vector<double>>;

/// The words of a list with commas, each once.
std::vector<std::string> words_in(std::string_view option,
                                  const std::string& text,
                                  std::span<const std::string_view> known) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) {
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      throw UserError(fmt::format("{} {}: found {}; expected {}, or several with commas",
                                  option,
                                  quoted_text(text),
                                  quoted_text(word),
                                  word_list(known)));
    }
    if (std::find(words.begin(), words.end(), word) == words.end()) {
      words.push_back(word);
    }
  }
  return words;
}

std::vector<std::string> kinds_in(const std::string& text) {
  return words_in("--placements", text, kKinds);
}

/// The rules that a search tries: the scenario's own where none is named.
std::vector<ReplicaRule> rules_in(const ContenderOptions& options, const Scenario& scenario) {
  std::vector<ReplicaRule> rules;
  for (const std::string& word : words_in("--choices", options.choices, kReplicaChoiceNames)) {
    const auto at = std::find(kReplicaChoiceNames.begin(), kReplicaChoiceNames.end(), word);
    rules.push_back(scenario.placement.replicas);
    rules.back().choice = static_cast<ReplicaChoice>(at - kReplicaChoiceNames.begin());
  }
  return rules.empty() ? std::vector{scenario.placement.replicas} : rules;
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

/// What a search says that the layers take: in steps it has not seen, if it has held some back.
Seconds promised(const SearchResult& found) {
  Seconds sum;
  for (const SearchedLayer& layer : found.layers) {
    sum += layer.best_objective;
  }
  return found.later.value_or(sum);
}

/// The placements that a search finds, with the choice of replicas that promises most for them all.
Contender searched(const std::string& name,
                   const ContenderInput& input,
                   const SearchOptions& search,
                   std::span<const ReplicaRule> rules) {
  const bool hindsight = name == kHindsight;
  const StepWindow from = hindsight ? input.judged : input.train;
  const TrafficWindow window{.first = from.first, .steps = from.steps};
  Contender best{.name = name, .placements = {}, .hindsight = hindsight, .is_searched = true};
  Seconds least;
  for (const ReplicaRule& rule : rules) {
    StepModel model = input.assembly.step;
    model.replicas = rule;
    SearchResult found = optimise_placement(model, window, search);
    const Seconds time = promised(found);
    if (best.placements.empty() || time < least) {
      least = time;
      best.placements = std::move(found.placements);
      best.replicas = rule;
    }
  }
  return best;
}

/// As optimised, but from the judged steps, all that they show believed.
Contender with_hindsight(const ContenderOptions& options, const ContenderInput& input, int slots) {
  SearchOptions search = search_options(options, input, slots);
  search.trial = false;
  search.tail = 0.0;
  return searched(std::string(kHindsight), input, search, rules_in(options, input.scenario));
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
Contender surviving(const ContenderOptions& options,
                    const ContenderInput& input,
                    int slots,
                    std::vector<Placement> starts) {
  SearchOptions search = search_options(options, input, slots);
  search.starts = std::move(starts);
  search.survival = {.node_of_rank = node_of_rank(input.assembly.step),
                     .least = options.survive + 1};
  return searched("survive", input, search, rules_in(options, input.scenario));
}

}  // namespace

bool has_search(const ContenderOptions& options) {
  const std::vector<std::string> kinds = kinds_in(options.kinds);
  return options.survive > 0 ||
         std::any_of(kinds.begin(), kinds.end(), [](const std::string& kind) {
           return kind == kOptimised || kind == kHindsight;
         });
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
  std::map<std::pair<int, ReplicaChoice>, Seconds> known;
  for (JudgedPlacement& placement : study.judged) {
    StepModel under = model;
    under.replicas.choice = placement.replicas;
    const int slots = placement.slots_per_rank * model.ranks;
    const auto key = std::pair(slots, placement.replicas);
    if (!known.contains(key)) {
      const std::optional<Seconds> bound =
          mean_layer_bound(under, judged, slots, input.control.threads, input.control.cancelled);
      if (!bound) {
        throw Cancelled();
      }
      known[key] = *bound;
    }
    placement.bound_layer_s = known[key].value;
  }
}

std::vector<Contender> make_contenders(const ContenderOptions& options,
                                       const ContenderInput& input) {
  const std::vector<std::string> kinds = kinds_in(options.kinds);
  const std::vector<ReplicaRule> rules = rules_in(options, input.scenario);
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
  const SearchOptions optimised = search_options(options, input, slots);
  std::vector<Contender> contenders;
  contenders.reserve(kinds.size() + files.size() + 1);
  for (const std::string& kind : kinds) {
    contenders.push_back(kind == kOptimised   ? searched(kind, input, optimised, rules)
                         : kind == kHindsight ? with_hindsight(options, input, slots)
                                              : Contender{kind, made(kind, input, slots, loads)});
  }
  std::move(files.begin(), files.end(), std::back_inserter(contenders));
  if (options.survive > 0) {
    contenders.push_back(surviving(options, input, slots, std::move(starts)));
  }
  return contenders;
}

}  // namespace moesim::cli
