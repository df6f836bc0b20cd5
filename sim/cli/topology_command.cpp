// SPDX-License-Identifier: Apache-2.0
// `moesim topology`: the fabric as a table, Graphviz or GraphML.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/report/table.hpp"
#include "topology/builders.hpp"
#include "topology/export.hpp"
#include "topology/summary.hpp"

namespace moesim::cli {
namespace {

std::string rate(BytesPerSecond value) {
  return readable_bytes(value.value) + "/s";
}

std::string as_text(const Cluster& cluster, const TopologySummary& summary) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < summary.vertices.size(); ++i) {
    if (summary.vertices[i] > 0) {
      rows.push_back({fmt::format("{} vertices", to_text(static_cast<VertexKind>(i))),
                      fmt::format("{}", summary.vertices[i])});
    }
  }
  for (std::size_t i = 0; i < summary.links.size(); ++i) {
    if (summary.links[i] > 0) {
      rows.push_back({fmt::format("{} links (directed)", to_text(static_cast<LinkKind>(i))),
                      fmt::format("{}", summary.links[i])});
    }
  }
  rows.push_back({"GPUs -> scale-up", rate(summary.scale_up_injection)});
  rows.push_back({"NICs -> leaves", rate(summary.nic_injection)});
  if (summary.oversubscription) {
    rows.push_back({"leaves -> spines", rate(summary.leaf_up)});
    rows.push_back({"oversubscription", fmt::format("{:.2f}", *summary.oversubscription)});
  }
  if (summary.bisection) {
    rows.push_back({"scale-out bisection (max-flow, one way)", rate(*summary.bisection)});
  }
  return fmt::format("{}: {} GPUs in {} scale-up domain(s) of {}\n",
                     cluster.name,
                     cluster.gpus.size(),
                     cluster.num_domains,
                     cluster.gpus_per_domain) +
         table({"part", "nominal"}, rows);
}

std::string as_json(const Cluster& cluster, const TopologySummary& summary) {
  nlohmann::ordered_json json = {{"format", "moesim-topology"},
                                 {"cluster", cluster.name},
                                 {"gpus", cluster.gpus.size()},
                                 {"scale_up_domains", cluster.num_domains},
                                 {"gpus_per_domain", cluster.gpus_per_domain}};
  for (std::size_t i = 0; i < summary.vertices.size(); ++i) {
    json["vertices"][std::string(to_text(static_cast<VertexKind>(i)))] = summary.vertices[i];
  }
  for (std::size_t i = 0; i < summary.links.size(); ++i) {
    json["directed_links"][std::string(to_text(static_cast<LinkKind>(i)))] = summary.links[i];
  }
  json["scale_up_injection_bytes_per_s"] = summary.scale_up_injection.value;
  json["nic_injection_bytes_per_s"] = summary.nic_injection.value;
  json["leaf_up_bytes_per_s"] = summary.leaf_up.value;
  json["oversubscription_ratio"] = nullptr;
  json["bisection_bytes_per_s"] = nullptr;
  if (summary.oversubscription) {
    json["oversubscription_ratio"] = *summary.oversubscription;
  }
  if (summary.bisection) {
    json["bisection_bytes_per_s"] = summary.bisection->value;
  }
  return json.dump(2) + "\n";
}

void run(const ScenarioOptions& options, const std::string& format) {
  const Cluster cluster = build_cluster(load(options).cluster);
  if (!options.out.empty()) {
    write_file_atomically(options.out / "topology.dot", to_graphviz(cluster));
    write_file_atomically(options.out / "topology.graphml", to_graphml(cluster));
    write_file_atomically(options.out / "topology.json", as_json(cluster, summarise(cluster)));
  }
  if (options.json) {
    print(as_json(cluster, summarise(cluster)));
  } else if (format == "graphviz") {
    print(to_graphviz(cluster));
  } else if (format == "graphml") {
    print(to_graphml(cluster));
  } else {
    print(as_text(cluster, summarise(cluster)));
  }
}

}  // namespace

void add_topology_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  auto format = std::make_shared<std::string>("table");
  CLI::App* command = app.add_subcommand(
      "topology", "The fabric of a scenario: counts, rates, bisection; Graphviz and GraphML");
  add_scenario_options(*command, *options);
  command->add_option("--format", *format, "table, graphviz or graphml")
      ->check(CLI::IsMember({"table", "graphviz", "graphml"}))
      ->capture_default_str();
  command->footer(
      "Example: moesim topology scenarios/tinymoe_h200.toml --format graphviz | dot -Tsvg > "
      "fabric.svg");
  command->callback([options, format] { run(*options, *format); });
}

}  // namespace moesim::cli
