// SPDX-License-Identifier: Apache-2.0
#include "topology/faults.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "topology/fault_effects.hpp"
#include "topology/fault_rules.hpp"
#include "topology/name_pattern.hpp"

namespace moesim {
namespace {

/// Applies the rules of one list after the other.
class Applier {
 public:
  Applier(Cluster& cluster, FaultOutcome& outcome)
      : cluster_(cluster), outcome_(outcome), effects_(cluster, outcome) {}

  void apply(const FaultSpec& faults) {
    for (const std::string& text : faults.links) {
      hit_links("links", text);
    }
    for (const std::string& text : faults.nics) {
      hit_vertices("nics", text, "nic", [](VertexKind kind) { return kind == VertexKind::kNic; });
    }
    for (const std::string& text : faults.switches) {
      hit_vertices("switches", text, "switch", [](VertexKind kind) {
        return kind != VertexKind::kNic && kind != VertexKind::kGpu;
      });
    }
    for (const std::string& text : faults.gpus) {
      slow_gpus(text);
    }
    for (const std::string& text : faults.nodes) {
      lose_nodes(text);
    }
    effects_.draw(faults);
    for (const std::string& text : faults.background) {
      hit_links("background", text);
    }
  }

 private:
  void report_unmatched(std::string_view list,
                        std::string_view text,
                        std::string_view kind,
                        std::string_view pattern,
                        const std::vector<std::string>& names) {
    std::string near = nearest_word(pattern, names);
    if (!near.empty()) {
      near = fmt::format("; did you mean \"{}\"?", near);
    }
    outcome_.mistakes.push_back(
        {std::string(list), fmt::format("{} fits no {}{}", quoted_text(text), kind, near)});
  }

  void hit_links(std::string_view list, const std::string& text) {
    const NameRule rule = *parse_rule(text);
    const LinkPattern pattern(rule.pattern);
    std::vector<std::string> names;
    bool found = false;
    for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
      const Link& link = cluster_.links[i];
      if (!pattern.fits(cluster_.vertices[link.source.index()].name,
                        cluster_.vertices[link.target.index()].name)) {
        continue;
      }
      found = true;
      if (list == "links") {
        effects_.scale_link(i, *parse_remaining(rule.value));
      } else {
        effects_.take(i, text, *parse_bytes_per_second(rule.value));
      }
    }
    if (!found) {
      for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
        names.push_back(cluster_.link_name(id_at<LinkId>(i)));
      }
      report_unmatched(list, text, "link", pattern.source + " -> " + pattern.target, names);
    }
  }

  template <typename OfKind>
  void hit_vertices(std::string_view list,
                    const std::string& text,
                    std::string_view word,
                    const OfKind& of_kind) {
    const NameRule rule = *parse_rule(text);
    std::vector<std::string> names;
    bool found = false;
    for (std::size_t i = 0; i < cluster_.vertices.size(); ++i) {
      const Vertex& vertex = cluster_.vertices[i];
      if (!of_kind(vertex.kind)) {
        continue;
      }
      names.push_back(vertex.name);
      if (matches(rule.pattern, vertex.name)) {
        found = true;
        effects_.scale_vertex(word, id_at<VertexId>(i), *parse_remaining(rule.value), "");
      }
    }
    if (!found) {
      report_unmatched(list, text, word, rule.pattern, names);
    }
  }

  void slow_gpus(const std::string& text) {
    const NameRule rule = *parse_rule(text);
    std::vector<std::string> names;
    bool found = false;
    for (GpuPlace& gpu : cluster_.gpus) {
      names.push_back(cluster_.vertices[gpu.vertex.index()].name);
      if (matches(rule.pattern, names.back())) {
        found = true;
        effects_.slow_gpu(gpu, *parse_remaining(rule.value), "");
      }
    }
    if (!found) {
      report_unmatched("gpus", text, "gpu", rule.pattern, names);
    }
  }

  void lose_nodes(const std::string& text) {
    int nodes = 0;
    for (const GpuPlace& gpu : cluster_.gpus) {
      nodes = std::max(nodes, gpu.node + 1);
    }
    std::vector<std::string> names;
    bool found = false;
    for (int node = 0; node < nodes; ++node) {
      names.push_back(fmt::format("node{}", node));
      if (matches(text, names.back())) {
        found = true;
        effects_.lose_node(node);
      }
    }
    if (!found) {
      report_unmatched("nodes", text, "node", text, names);
    }
  }

  Cluster& cluster_;
  FaultOutcome& outcome_;
  FaultEffects effects_;
};

}  // namespace

FaultOutcome apply_faults(Cluster& cluster, const FaultSpec& faults) {
  FaultOutcome outcome;
  outcome.mistakes = check_rules(faults);
  if (outcome.mistakes.empty() && !faults.empty()) {
    Applier(cluster, outcome).apply(faults);
    std::sort(outcome.lost_nodes.begin(), outcome.lost_nodes.end());
    outcome.lost_nodes.erase(std::unique(outcome.lost_nodes.begin(), outcome.lost_nodes.end()),
                             outcome.lost_nodes.end());
  }
  return outcome;
}

}  // namespace moesim
