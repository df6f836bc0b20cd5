// SPDX-License-Identifier: Apache-2.0
// `moesim topology`: the fabric as a table, Graphviz or GraphML.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <optional>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/report/table.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "topology/cuts.hpp"
#include "topology/export.hpp"
#include "topology/summary.hpp"

namespace moesim::cli {
namespace {

std::string rate(BytesPerSecond value) {
  return readable_bytes(value.value) + "/s";
}

/// Everything the command shows.
struct View {
  Cluster cluster;
  std::vector<std::string> hits;
  TopologySummary summary;
  Bytes per_pair;
  std::vector<Cut> cuts;
};

std::string cuts_text(const View& view) {
  std::vector<std::vector<std::string>> rows;
  for (const Cut& cut : view.cuts) {
    rows.push_back({cut.name,
                    fmt::format("{}", cut.gpus),
                    rate(cut.capacity),
                    cut.capacity.value > 0 ? readable_time(cut.all_to_all.value) : "never"});
  }
  return rows.empty() ? ""
                      : "\nno all-to-all of " + to_text(view.per_pair) +
                            " from each GPU to each other is faster, on any paths:\n" +
                            table({"slowest cut of its sort", "GPUs", "capacity", "time"}, rows);
}

std::string hits_text(const View& view) {
  std::string text = view.hits.empty() ? "" : "\nfaults:\n";
  for (const std::string& hit : view.hits) {
    text += "  " + hit + "\n";
  }
  return text;
}

std::string as_text(const View& view) {
  const Cluster& cluster = view.cluster;
  const TopologySummary& summary = view.summary;
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
    rows.push_back({"leaves -> other switches", rate(summary.leaf_up)});
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
         table({"part", view.hits.empty() ? "nominal" : "with faults"}, rows) + cuts_text(view) +
         hits_text(view);
}

std::string as_json(const View& view) {
  const Cluster& cluster = view.cluster;
  const TopologySummary& summary = view.summary;
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
  json["links_down"] = summary.links_down;
  json["links_degraded"] = summary.links_degraded;
  json["faults"] = view.hits;
  json["bytes_per_pair"] = view.per_pair.value;
  json["cuts"] = nlohmann::ordered_json::array();
  for (const Cut& cut : view.cuts) {
    json["cuts"].push_back({{"name", cut.name},
                            {"gpus", cut.gpus},
                            {"capacity_bytes_per_s", cut.capacity.value},
                            {"all_to_all_bound_s",
                             cut.capacity.value > 0 ? nlohmann::ordered_json(cut.all_to_all.value)
                                                    : nlohmann::ordered_json(nullptr)}});
  }
  return json.dump(2) + "\n";
}

View look(const ScenarioOptions& options, const std::string& per_pair) {
  const std::optional<Bytes> size = parse_bytes(per_pair);
  if (!size || size->value == 0) {
    throw UserError(
        fmt::format("--bytes-per-pair {}: expected above 0, {}", per_pair, bytes_forms()));
  }
  ScenarioCluster made = make_cluster(load(options));
  View view{std::move(made.cluster), std::move(made.hits), {}, *size, {}};
  view.summary = summarise(view.cluster);
  view.cuts = slowest_cuts(view.cluster, *size);
  return view;
}

void run(const ScenarioOptions& options, const std::string& format, const std::string& per_pair) {
  const View view = look(options, per_pair);
  const Cluster& cluster = view.cluster;
  if (!options.out.empty()) {
    write_file_atomically(options.out / "topology.dot", to_graphviz(cluster));
    write_file_atomically(options.out / "topology.graphml", to_graphml(cluster));
    write_file_atomically(options.out / "topology.json", as_json(view));
  }
  if (options.json) {
    print(as_json(view));
  } else if (format == "graphviz") {
    print(to_graphviz(cluster));
  } else if (format == "graphml") {
    print(to_graphml(cluster));
  } else {
    print(as_text(view));
  }
}

}  // namespace

void add_topology_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  auto format = std::make_shared<std::string>("table");
  CLI::App* command = app.add_subcommand(
      "topology",
      "The fabric of a scenario: counts, rates, faults, cuts, bisection; Graphviz and GraphML");
  add_scenario_options(*command, *options);
  command->get_option("--out")->description(
      "write topology.json, topology.dot and topology.graphml into this folder");
  command->add_option("--format", *format, "table, graphviz or graphml")
      ->check(CLI::IsMember({"table", "graphviz", "graphml"}))
      ->capture_default_str();
  auto per_pair = std::make_shared<std::string>("1 MB");
  command->add_option("--bytes-per-pair", *per_pair, "size for the lower bounds of an all-to-all")
      ->type_name("SIZE")
      ->capture_default_str();
  command->footer(
      "Example: moesim topology scenarios/tinymoe_h200.toml --format graphviz | dot -Tsvg > "
      "fabric.svg");
  command->callback([options, format, per_pair] { run(*options, *format, *per_pair); });
}

}  // namespace moesim::cli
