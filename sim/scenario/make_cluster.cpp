// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/make_cluster.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "sim/core/atomic_file.hpp"
#include "sim/core/check.hpp"
#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "topology/builders.hpp"
#include "topology/graphml_reader.hpp"
#include "topology/name_pattern.hpp"

namespace moesim {
namespace {

Cluster plain_cluster(const Scenario& scenario) {
  const ClusterSpec& spec = scenario.cluster;
  if (spec.graphml.empty()) {
    return build_cluster(spec);
  }
  Cluster cluster = read_graphml_cluster(read_file(spec.graphml));
  cluster.name = spec.name;
  cluster.gpu = spec.gpu;
  return cluster;
}

class Checks {
 public:
  Checks(const Scenario& scenario, const ConfigTree& tree) : scenario_(scenario), tree_(tree) {}

  std::vector<Diagnostic> run() {
    check_speeds();
    if (!found_.empty()) {
      return std::move(found_);
    }
    try {
      cluster_ = plain_cluster(scenario_);
    } catch (const UserError& error) {
      if (scenario_.cluster.graphml.empty()) {
        throw;
      }
      report("cluster.graphml",
             scenario_.cluster.graphml + ": " + error.diagnostics().front().message);
      return std::move(found_);
    }
    check_speed_names();
    check_counts();
    const FaultOutcome outcome = apply_faults(cluster_, scenario_.faults);
    for (const FaultMistake& mistake : outcome.mistakes) {
      report("faults." + mistake.list, mistake.message);
    }
    check_lost_nodes(outcome.lost_nodes);
    return std::move(found_);
  }

 private:
  void report(const std::string& key, std::string message) {
    const ConfigEntry* entry = tree_.find(key);
    Diagnostic mistake = entry == nullptr ? Diagnostic{} : mistake_at_value(*entry, {});
    mistake.key = key;
    mistake.message = std::move(message);
    found_.push_back(std::move(mistake));
  }

  void check_speeds() {
    for (const std::string& text : scenario_.cluster.nic.speeds) {
      const auto rule = parse_rule(text);
      const auto rate = rule ? parse_bytes_per_second(rule->value) : std::nullopt;
      if (!rate || rate->value == 0) {
        report("cluster.nic.speeds",
               quoted_text(text) + " is no rule; expected \"NIC: RATE\" with a bandwidth above 0");
      }
    }
  }

  void check_speed_names() {
    for (const std::string& text : scenario_.cluster.nic.speeds) {
      const std::string pattern = parse_rule(text)->pattern;
      const bool fits = std::any_of(
          cluster_.vertices.begin(), cluster_.vertices.end(), [&](const Vertex& vertex) {
            return vertex.kind == VertexKind::kNic && matches(pattern, vertex.name);
          });
      if (!fits) {
        report("cluster.nic.speeds", quoted_text(text) + " fits no nic");
      }
    }
  }

  void check_counts() {
    const ClusterSpec& spec = scenario_.cluster;
    if (spec.graphml.empty()) {
      return;
    }
    const int hosts = cluster_.gpus.empty()
                          ? 0
                          : 1 + std::max_element(cluster_.gpus.begin(),
                                                 cluster_.gpus.end(),
                                                 [](auto& a, auto& b) { return a.node < b.node; })
                                    ->node;
    const int each = static_cast<int>(cluster_.gpus.size()) / hosts;
    if (spec.nodes != hosts) {
      report("cluster.nodes", fmt::format("{}, but {} has {}", spec.nodes, spec.graphml, hosts));
    }
    if (spec.gpus_per_node != each) {
      report("cluster.gpus_per_node",
             fmt::format("{}, but {} has {} on each host", spec.gpus_per_node, spec.graphml, each));
    }
    check_domains();
  }

  /// What the dispatcher asks of the scale-up domains of a read graph.
  void check_domains() {
    const int domain = cluster_.gpus_per_domain;
    const int ep = scenario_.parallel.ep;
    const DispatcherKind kind = scenario_.dispatch.kind;
    if (needs_whole_domains(kind) && ep > domain && ep % domain != 0) {
      report("parallel.ep",
             fmt::format("{} does not fill whole scale-up domains of {} GPUs, as "
                         "dispatch.dispatcher = {} needs",
                         ep,
                         domain,
                         dispatcher_name(kind)));
    }
    if (needs_one_domain(kind) && ep > domain) {
      report("parallel.ep",
             fmt::format("{} ranks do not fit one scale-up domain of {} GPUs, which "
                         "dispatch.dispatcher = {} cannot leave",
                         ep,
                         domain,
                         dispatcher_name(kind)));
    }
  }

  /// Rank r runs on GPU r. Only replicas can take over what a lost node held.
  void check_lost_nodes(const std::vector<int>& nodes) {
    const PlacementSpec& placement = scenario_.placement;
    const int experts = scenario_.model.num_experts;
    const bool may_replicate =
        placement.kind == PlacementKind::kFile ||
        (placement.kind == PlacementKind::kEplb && placement.slots > experts);
    for (const int node : nodes) {
      const std::vector<int> ranks = ranks_of(node);
      if (ranks.empty()) {
        continue;
      }
      if (!may_replicate) {
        report("faults.nodes",
               fmt::format("node{} holds {} rank(s) from {} on and {} experts of each layer; no "
                           "replica can take them over, so a step cannot run: take a smaller "
                           "parallel.ep, or more nodes and another lost one",
                           node,
                           ranks.size(),
                           ranks.front(),
                           static_cast<int>(ranks.size()) * (experts / scenario_.parallel.ep)));
      } else if (!fills_domain(ranks.front(), nodes) && relays_in_domain()) {
        report("faults.nodes",
               fmt::format("node{} is only a part of its scale-up domain, through whose GPUs "
                           "dispatch.dispatcher = {} forwards: take pairwise or low_latency",
                           node,
                           dispatcher_name(scenario_.dispatch.kind)));
      }
    }
  }

  [[nodiscard]] std::vector<int> ranks_of(int node) const {
    std::vector<int> ranks;
    for (int r = 0; r < scenario_.parallel.ep; ++r) {
      if (cluster_.place(GpuId{r}).node == node) {
        ranks.push_back(r);
      }
    }
    return ranks;
  }

  /// Whether every rank of the domain of `rank` is on a lost node.
  [[nodiscard]] bool fills_domain(int rank, const std::vector<int>& nodes) const {
    const int domain = cluster_.place(GpuId{rank}).domain;
    for (int r = 0; r < scenario_.parallel.ep; ++r) {
      const GpuPlace& place = cluster_.place(GpuId{r});
      if (place.domain == domain &&
          std::find(nodes.begin(), nodes.end(), place.node) == nodes.end()) {
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] bool relays_in_domain() const {
    const DispatcherKind kind = scenario_.dispatch.kind;
    return has_relays(kind) || kind == DispatcherKind::kTwoDimensional;
  }

  const Scenario& scenario_;
  const ConfigTree& tree_;
  Cluster cluster_;
  std::vector<Diagnostic> found_;
};

}  // namespace

ScenarioCluster make_cluster(const Scenario& scenario) {
  ScenarioCluster made;
  made.cluster = plain_cluster(scenario);
  FaultOutcome outcome = apply_faults(made.cluster, scenario.faults);
  MOESIM_CHECK(outcome.mistakes.empty(), "a loaded scenario has right rules");
  made.hits = std::move(outcome.hits);
  made.lost_nodes = std::move(outcome.lost_nodes);
  return made;
}

std::vector<Diagnostic> cluster_checks(const Scenario& scenario, const ConfigTree& tree) {
  const bool plain = scenario.cluster.graphml.empty() && scenario.cluster.nic.speeds.empty() &&
                     scenario.faults.empty();
  return plain ? std::vector<Diagnostic>{} : Checks(scenario, tree).run();
}

}  // namespace moesim
