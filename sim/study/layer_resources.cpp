// SPDX-License-Identifier: Apache-2.0
#include "sim/study/layer_resources.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/phase_rules.hpp"

namespace moesim {
namespace {

/// From one rank to another in the dispatch; the combine goes back.
struct Hop {
  std::size_t from = 0;
  std::size_t to = 0;
};

std::int64_t picoseconds(double seconds) {
  return std::llround(seconds * 1e12);
}

/// The way of a row from `source` to an expert on `rank`.
std::vector<Hop> hops_to_rank(DispatcherKind kind,
                              const Domains& domains,
                              std::size_t source,
                              std::size_t rank) {
  std::vector<Hop> hops = {{source, rank}};
  if (domains.of_rank[source] != domains.of_rank[rank]) {
    if (has_relays(kind)) {
      hops = {{domains.relay(source, domains.of_rank[rank]), rank}};
    } else if (kind == DispatcherKind::kTwoDimensional) {
      const std::size_t relay = domains.relay(rank, domains.of_rank[source]);
      hops = {{source, relay}, {relay, rank}};
    }
  }
  std::erase_if(hops, [](const Hop& hop) { return hop.from == hop.to; });
  return hops;
}

/// Finds the terms of every cell.
class TermMaker {
 public:
  TermMaker(const StepModel& model, int slots)
      : model_(model),
        places_(rank_places(model.cluster, model.ranks)),
        domains_(make_domains(places_)),
        copy_(
            copy_bytes(model.model, model.dispatch.kind, static_cast<int>(domains_.size()), slots)),
        capacity_(effective_capacities(model.cluster, model.constants)),
        communication_(communication_model(model.dispatch, model.constants, capacity_)),
        finder_(model.cluster,
                path_policy_of(model.dispatch, model.path_policy),
                model.seed,
                model.path_spread),
        paths_(finder_,
               model.ranks,
               model.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly) {}

  [[nodiscard]] std::size_t resources_of_phase() const {
    return capacity_.size() + 2 * domains_.of_rank.size();
  }

  LayerResources make() {
    const DispatcherKind kind = model_.dispatch.kind;
    const std::size_t ranks = domains_.of_rank.size();
    LayerResources result;
    if (kind != DispatcherKind::kAllGather) {  // moves tokens wherever the experts lie
      TermTable& by_rank = counts_assignments(kind) ? result.assignments : result.copies;
      fill(by_rank, ranks, [&](std::size_t rank, std::size_t source) {
        return hops_to_rank(kind, domains_, source, rank);
      });
      if (has_relays(kind)) {
        fill(result.relayed, domains_.size(), [&](std::size_t domain, std::size_t source) {
          return domain == domains_.of_rank[source]
                     ? std::vector<Hop>{}
                     : std::vector<Hop>{{source, domains_.relay(source, domain)}};
        });
      }
    }
    result.num_dispatch = resources_of_phase();
    result.num_resources = 2 * resources_of_phase();
    result.domains = std::move(domains_);
    return result;
  }

 private:
  template <typename HopsOf>
  void fill(TermTable& table, std::size_t rows, const HopsOf& hops_of) {
    table.begin = {0};
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t source = 0; source < domains_.of_rank.size(); ++source) {
        std::map<std::int32_t, std::int64_t> cell;
        for (const Hop& hop : hops_of(row, source)) {
          add_hop(cell, hop.from, hop.to, false);
          add_hop(cell, hop.to, hop.from, true);
        }
        for (const auto& [resource, time] : cell) {
          table.terms.push_back({resource, time});
        }
        table.begin.push_back(static_cast<std::int32_t>(table.terms.size()));
      }
    }
  }

  void add_hop(std::map<std::int32_t, std::int64_t>& cell,
               std::size_t from,
               std::size_t to,
               bool combine) {
    const std::size_t first = combine ? resources_of_phase() : 0;
    const auto add = [&](std::size_t resource, double seconds) {
      if (const std::int64_t time = picoseconds(seconds); time > 0) {
        cell[static_cast<std::int32_t>(first + resource)] += time;
      }
    };
    const double row = static_cast<double>(combine ? copy_.combine : copy_.dispatch());
    const bool merged = merges_messages(model_.dispatch.kind);
    const double on_link = row + (merged ? 0.0 : communication_.message_overhead.value);
    for (const PathPart& part : paths_.find(id_at<RankId>(from), id_at<RankId>(to))) {
      for (const LinkId link : paths_.paths()[static_cast<std::size_t>(part.path)].links) {
        add(link.index(), part.share * on_link / capacity_[link.index()].value);
      }
    }
    const PhaseRules rules = phase_rules(model_.dispatch.kind, combine);
    const std::size_t worker = rules.pulled ? to : from;
    add(capacity_.size() + worker, merged ? 0.0 : communication_.message_gap.value);
    const BytesPerSecond rate =
        combine ? communication_.combine_copy_rate : communication_.copy_rate;
    if (rate.value > 0) {
      const std::size_t first_copy = capacity_.size() + domains_.of_rank.size();
      add(first_copy + worker, row / rate.value);
      add(first_copy + to, rules.receiver_copies ? row / rate.value : 0.0);
    }
  }

  const StepModel& model_;
  std::vector<RankPlace> places_;
  Domains domains_;
  CopyBytes copy_;
  std::vector<BytesPerSecond> capacity_;
  CommunicationModel communication_;
  PathFinder finder_;
  PathTable paths_;
};

/// A resource's terms, over the cells of all tables.
struct Column {
  std::vector<std::size_t> cells;
  std::vector<std::int64_t> times;
};

bool outweighs(const Column& a, const Column& b) {
  return std::equal(
      a.times.begin(), a.times.end(), b.times.begin(), [](auto x, auto y) { return x >= y; });
}

/// The resources of one phase that no other one outweighs, in order.
std::vector<std::size_t> binding(const std::vector<Column>& columns,
                                 std::size_t first,
                                 std::size_t last) {
  std::map<std::vector<std::size_t>, std::vector<std::size_t>> best;  // by the cells they share
  for (std::size_t i = first; i < last; ++i) {
    if (columns[i].cells.empty()) {
      continue;
    }
    std::vector<std::size_t>& rivals = best[columns[i].cells];
    if (std::any_of(rivals.begin(), rivals.end(), [&](std::size_t r) {
          return outweighs(columns[r], columns[i]);
        })) {
      continue;
    }
    std::erase_if(rivals, [&](std::size_t r) { return outweighs(columns[i], columns[r]); });
    rivals.push_back(i);
  }
  std::vector<std::size_t> kept;
  for (const auto& [cells, rivals] : best) {
    kept.insert(kept.end(), rivals.begin(), rivals.end());
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

/// Leaves out what cannot be the maximum and numbers the rest densely.
void keep_binding(LayerResources& resources) {
  TermTable* const tables[] = {&resources.copies, &resources.assignments, &resources.relayed};
  std::vector<Column> columns(resources.num_resources);
  std::size_t cells = 0;
  for (const TermTable* table : tables) {
    for (std::size_t cell = 0; cell + 1 < table->begin.size(); ++cell, ++cells) {
      for (const ResourceTerm& term : table->of(cell)) {
        Column& column = columns[static_cast<std::size_t>(term.resource)];
        column.cells.push_back(cells);
        column.times.push_back(term.picoseconds);
      }
    }
  }
  std::vector<std::size_t> kept = binding(columns, 0, resources.num_dispatch);
  const std::size_t num_dispatch = kept.size();
  const auto combine = binding(columns, resources.num_dispatch, resources.num_resources);
  kept.insert(kept.end(), combine.begin(), combine.end());
  std::vector<std::int32_t> number(resources.num_resources, -1);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    number[kept[i]] = static_cast<std::int32_t>(i);
  }
  for (TermTable* table : tables) {
    TermTable dense{.begin = {0}, .terms = {}};
    for (std::size_t cell = 0; cell + 1 < table->begin.size(); ++cell) {
      for (ResourceTerm term : table->of(cell)) {
        term.resource = number[static_cast<std::size_t>(term.resource)];
        if (term.resource >= 0) {
          dense.terms.push_back(term);
        }
      }
      dense.begin.push_back(static_cast<std::int32_t>(dense.terms.size()));
    }
    *table = std::move(dense);
  }
  resources.num_dispatch = num_dispatch;
  resources.num_resources = kept.size();
}

}  // namespace

bool counts_assignments(DispatcherKind kind) {
  return kind == DispatcherKind::kLowLatency || kind == DispatcherKind::kNccl ||
         kind == DispatcherKind::kTwoDimensional;
}

bool merges_messages(DispatcherKind kind) {
  return kind == DispatcherKind::kNccl || kind == DispatcherKind::kTwoDimensional;
}

LayerResources layer_resources(const StepModel& model, int slots) {
  MOESIM_CHECK(model.ranks > 0 && slots > 0, "a layer has ranks and slots");
  LayerResources resources = TermMaker(model, slots).make();
  keep_binding(resources);
  return resources;
}

}  // namespace moesim
