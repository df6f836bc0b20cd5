// SPDX-License-Identifier: Apache-2.0
#include "topology/faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "sim/core/rng.hpp"
#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "topology/name_pattern.hpp"

namespace moesim {
namespace {

/// "down" is 0, else a number in (0, 1].
std::optional<double> parse_remaining(std::string_view text) {
  if (text == "down") {
    return 0.0;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value > 0 && value <= 1 ? std::optional(value) : std::nullopt;
}

/// What the value of a rule of one list must be.
bool value_is_right(std::string_view list, std::string_view value) {
  if (list == "background") {
    const auto rate = parse_bytes_per_second(value);
    return rate && rate->value > 0;
  }
  const std::optional<double> remaining = parse_remaining(value);
  return remaining && (list != "gpus" || *remaining > 0);
}

std::string expected_rule(std::string_view list) {
  if (list == "background") {
    return "expected \"A -> B: RATE\" with a bandwidth above 0";
  }
  if (list == "links") {
    return "expected \"A -> B: STATE\" or \"A <-> B: STATE\", STATE down or a number above 0 up to "
           "1";
  }
  if (list == "gpus") {
    return "expected \"NAME: SPEED\", SPEED a number above 0 up to 1; faults.nodes loses a node";
  }
  return "expected \"NAME: STATE\", STATE down or a number above 0 up to 1";
}

bool is_link_list(std::string_view list) {
  return list == "links" || list == "background";
}

void check_list(std::string_view list,
                const std::vector<std::string>& texts,
                std::vector<FaultMistake>& mistakes) {
  for (const std::string& text : texts) {
    const std::optional<NameRule> rule = parse_rule(text);
    const bool right = rule && value_is_right(list, rule->value) &&
                       (!is_link_list(list) || rule->pattern.find("->") != std::string::npos);
    if (!right) {
      mistakes.push_back(
          {std::string(list), quoted_text(text) + " is no rule; " + expected_rule(list)});
    }
  }
}

std::string state_text(double remaining) {
  return remaining == 0 ? "is down"
                        : fmt::format("is at {} %", fmt::format("{:.4g}", 100 * remaining));
}

/// Applies the rules of one list after the other.
class Applier {
 public:
  Applier(Cluster& cluster, FaultOutcome& outcome) : cluster_(cluster), outcome_(outcome) {
    for (std::size_t i = 0; i < cluster.links.size(); ++i) {
      links_of_vertex_[cluster.links[i].source].push_back(i);
      links_of_vertex_[cluster.links[i].target].push_back(i);
    }
  }

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
    draw(faults);
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

  /// "A -> B" as the patterns of its ends; "A <-> B" goes both ways.
  struct LinkPattern {
    std::string source;
    std::string target;
    bool both_ways = false;

    explicit LinkPattern(const std::string& text) {
      const std::size_t arrow = text.find("->");
      both_ways = arrow > 0 && text[arrow - 1] == '<';
      source = trimmed(std::string_view(text).substr(0, both_ways ? arrow - 1 : arrow));
      target = trimmed(std::string_view(text).substr(arrow + 2));
    }
    [[nodiscard]] bool fits(const std::string& from, const std::string& to) const {
      return (matches(source, from) && matches(target, to)) ||
             (both_ways && matches(source, to) && matches(target, from));
    }
  };

  void hit_links(std::string_view list, const std::string& text) {
    const NameRule rule = *parse_rule(text);
    const LinkPattern pattern(rule.pattern);
    std::vector<std::string> names;
    bool found = false;
    for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
      Link& link = cluster_.links[i];
      if (!pattern.fits(cluster_.vertices[link.source.index()].name,
                        cluster_.vertices[link.target.index()].name)) {
        continue;
      }
      found = true;
      if (list == "links") {
        link.health *= *parse_remaining(rule.value);
        outcome_.hits.push_back(fmt::format("link {} {}",
                                            cluster_.link_name(id_at<LinkId>(i)),
                                            state_text(*parse_remaining(rule.value))));
      } else {
        take(i, text, *parse_bytes_per_second(rule.value));
      }
    }
    if (!found) {
      for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
        names.push_back(cluster_.link_name(id_at<LinkId>(i)));
      }
      report_unmatched(list, text, "link", pattern.source + " -> " + pattern.target, names);
    }
  }

  /// Background traffic must leave something, or the link is rather down.
  void take(std::size_t i, const std::string& text, BytesPerSecond rate) {
    Link& link = cluster_.links[i];
    const std::string name = cluster_.link_name(id_at<LinkId>(i));
    if (rate >= link.usable()) {
      outcome_.mistakes.push_back({"background",
                                   fmt::format("{} leaves nothing of {}, which can carry {}",
                                               quoted_text(text),
                                               name,
                                               to_text(link.usable()))});
      return;
    }
    link.background += rate;
    outcome_.hits.push_back(fmt::format("link {} carries {} of others", name, to_text(rate)));
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
        scale_vertex(word, id_at<VertexId>(i), *parse_remaining(rule.value), "");
      }
    }
    if (!found) {
      report_unmatched(list, text, word, rule.pattern, names);
    }
  }

  /// All links of a switch; of a NIC its cables only.
  void scale_vertex(std::string_view word,
                    VertexId vertex,
                    double remaining,
                    std::string_view by_chance) {
    const bool nic = cluster_.vertices[vertex.index()].kind == VertexKind::kNic;
    for (const std::size_t i : links_of_vertex_[vertex]) {
      Link& link = cluster_.links[i];
      link.health *= !nic || link.kind == LinkKind::kNic ? remaining : 1.0;
    }
    outcome_.hits.push_back(fmt::format("{} {} {}{}",
                                        word,
                                        cluster_.vertices[vertex.index()].name,
                                        state_text(remaining),
                                        by_chance));
  }

  void slow_gpu(GpuPlace& gpu, double speed, std::string_view by_chance) {
    gpu.speed *= speed;
    outcome_.hits.push_back(fmt::format("gpu {} computes at {:.4g} %{}",
                                        cluster_.vertices[gpu.vertex.index()].name,
                                        100 * speed,
                                        by_chance));
  }

  void slow_gpus(const std::string& text) {
    const NameRule rule = *parse_rule(text);
    std::vector<std::string> names;
    bool found = false;
    for (GpuPlace& gpu : cluster_.gpus) {
      names.push_back(cluster_.vertices[gpu.vertex.index()].name);
      if (matches(rule.pattern, names.back())) {
        found = true;
        slow_gpu(gpu, *parse_remaining(rule.value), "");
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
        lose_node(node);
      }
    }
    if (!found) {
      report_unmatched("nodes", text, "node", text, names);
    }
  }

  void lose_node(int node) {
    for (Link& link : cluster_.links) {
      const bool touches = cluster_.vertices[link.source.index()].node == node ||
                           cluster_.vertices[link.target.index()].node == node;
      link.health = touches ? 0.0 : link.health;
    }
    outcome_.hits.push_back(fmt::format("node node{} is lost", node));
    outcome_.lost_nodes.push_back(node);
  }

  /// Link i + 1 is the other way of link i, as builders make them.
  [[nodiscard]] bool is_twin(std::size_t i) const {
    return i + 1 < cluster_.links.size() && cluster_.links[i + 1].kind == cluster_.links[i].kind &&
           cluster_.links[i + 1].target == cluster_.links[i].source &&
           cluster_.links[i + 1].source == cluster_.links[i].target;
  }

  void scale_cable(std::size_t first,
                   std::size_t last,
                   double remaining,
                   std::string_view by_chance) {
    for (std::size_t i = first; i <= last; ++i) {
      cluster_.links[i].health *= remaining;
    }
    outcome_.hits.push_back(
        fmt::format("cable {} <-> {} {}{}",
                    cluster_.vertices[cluster_.links[first].source.index()].name,
                    cluster_.vertices[cluster_.links[first].target.index()].name,
                    state_text(remaining),
                    by_chance));
  }

  void draw(const FaultSpec& faults) {
    constexpr std::string_view kByChance = " by chance";
    const auto is_hit = [&](std::string_view purpose, std::size_t index, double rate) {
      return rate > 0 && RngStream(faults.seed, purpose, index).uniform01() < rate;
    };
    for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
      const std::size_t first = i;
      i += is_twin(i) ? 1U : 0U;
      if (cluster_.links[first].kind == LinkKind::kFabric &&
          is_hit("random links", first, faults.random_links)) {
        scale_cable(first, i, faults.random_remaining, kByChance);
      }
    }
    for (std::size_t i = 0; i < cluster_.vertices.size(); ++i) {
      if (cluster_.vertices[i].kind == VertexKind::kNic &&
          is_hit("random nics", i, faults.random_nics)) {
        scale_vertex("nic", id_at<VertexId>(i), faults.random_remaining, kByChance);
      }
    }
    for (std::size_t i = 0; i < cluster_.gpus.size(); ++i) {
      if (is_hit("random gpus", i, faults.random_gpus)) {
        slow_gpu(cluster_.gpus[i], faults.random_remaining, kByChance);
      }
    }
  }

  Cluster& cluster_;
  FaultOutcome& outcome_;
  std::map<VertexId, std::vector<std::size_t>> links_of_vertex_;
};

}  // namespace

bool FaultSpec::empty() const {
  return links.empty() && nics.empty() && switches.empty() && gpus.empty() && nodes.empty() &&
         background.empty() && random_links == 0 && random_nics == 0 && random_gpus == 0;
}

std::vector<FaultMistake> check_rules(const FaultSpec& faults) {
  std::vector<FaultMistake> mistakes;
  check_list("links", faults.links, mistakes);
  check_list("nics", faults.nics, mistakes);
  check_list("switches", faults.switches, mistakes);
  check_list("gpus", faults.gpus, mistakes);
  check_list("background", faults.background, mistakes);
  return mistakes;
}

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
