// SPDX-License-Identifier: Apache-2.0
#include "topology/graphml_reader.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/graphml.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

/// Data as texts, so that a missing one is told from a wrong one.
struct ReadVertex {
  std::string name;
  std::string kind;
  std::string node;
};
struct ReadEdge {
  std::string kind;
  std::string capacity;
  std::string latency;
  std::string health;
  std::string background;
};
using ReadGraph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, ReadVertex, ReadEdge>;

[[noreturn]] void refuse(const std::string& what) {
  throw UserError("GraphML: " + what);
}

/// Position behind the XML tag, comment or section that starts at `at`.
std::size_t behind_markup(std::string_view text, std::size_t at) {
  const auto behind = [&](std::string_view end) {
    const std::size_t found = text.find(end, at);
    return found == std::string_view::npos ? text.size() : found + end.size();
  };
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("<!--")) {
    return behind("-->");
  }
  if (rest.starts_with("<![CDATA[")) {
    return behind("]]>");
  }
  char quote = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && c == '>') {
      return i + 1;
    }
    if (c == '"' || c == '\'') {
      quote = quote == 0 ? c : (quote == c ? '\0' : quote);
    }
  }
  return text.size();
}

/// Boost's reader goes one call deeper for each element inside another.
void check_nesting(std::string_view text) {
  constexpr int kMostLevels = 64;
  constexpr std::size_t kTagsOfEdge = 16;
  int level = 0;
  std::size_t tags = 0;
  for (std::size_t at = text.find('<'); at != std::string_view::npos;) {
    const std::size_t end = behind_markup(text, at);
    const char first = at + 1 < text.size() ? text[at + 1] : '\0';
    if (first == '/') {
      --level;
    } else if (first != '!' && first != '?' && (end < 2 || text[end - 2] != '/')) {
      ++level;
    }
    if (level > kMostLevels) {
      refuse(fmt::format("elements are nested deeper than {}", kMostLevels));
    }
    if (++tags > kTagsOfEdge * static_cast<std::size_t>(kMaxLinks)) {
      refuse(fmt::format("more than {} links", kMaxLinks));
    }
    at = text.find('<', end);
  }
}

/// Types of keys do not matter: every number is read from its text here.
std::string with_string_keys(std::string_view text) {
  std::string out(text);
  constexpr std::string_view kType = "attr.type=\"";
  for (std::size_t at = out.find(kType); at != std::string::npos; at = out.find(kType, at + 1)) {
    const std::size_t begin = at + kType.size();
    const std::size_t end = out.find('"', begin);
    if (end == std::string::npos) {
      break;
    }
    out.replace(begin, end - begin, "string");
  }
  return out;
}

ReadGraph parse(std::string_view text) {
  check_nesting(text);
  ReadGraph graph;
  boost::dynamic_properties data(boost::ignore_other_properties);
  data.property("name", boost::get(&ReadVertex::name, graph));
  data.property("kind", boost::get(&ReadVertex::kind, graph));
  data.property("node", boost::get(&ReadVertex::node, graph));
  data.property("kind", boost::get(&ReadEdge::kind, graph));
  data.property("capacity_bytes_per_s", boost::get(&ReadEdge::capacity, graph));
  data.property("latency_s", boost::get(&ReadEdge::latency, graph));
  data.property("health", boost::get(&ReadEdge::health, graph));
  data.property("background_bytes_per_s", boost::get(&ReadEdge::background, graph));
  std::istringstream stream(with_string_keys(text));
  try {
    boost::read_graphml(stream, graph, data);
  } catch (const boost::undirected_graph_error&) {
    refuse("the graph is undirected; edges must be directed, one each way");
  } catch (const std::exception& error) {
    std::string words = error.what();
    std::replace(words.begin(), words.end(), '\n', ' ');
    constexpr std::string_view kNoName = "<unspecified file>";
    if (words.starts_with(kNoName)) {
      words.replace(0, kNoName.size(), "line ");
    }
    refuse("cannot be read: " + words);
  }
  return graph;
}

template <typename Kind>
Kind kind_of(const std::string& word, int kinds, const std::string& where) {
  std::vector<std::string_view> known;
  for (int i = 0; i < kinds; ++i) {
    known.push_back(to_text(static_cast<Kind>(i)));
    if (known.back() == word) {
      return static_cast<Kind>(i);
    }
  }
  refuse(fmt::format("{}: {}; expected {}",
                     where,
                     word.empty() ? "no kind" : "kind " + quoted_text(word),
                     word_list(known)));
}

double number_of(std::string_view text, std::string_view name, const std::string& where) {
  text = trimmed(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) {
    refuse(fmt::format("{}: no {}", where, name));
  }
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    refuse(fmt::format("{}: {} is {}, no number", where, name, quoted_text(text)));
  }
  return value;
}

/// @param high the largest right value
double number_within(const std::string& text,
                     std::string_view name,
                     double high,
                     const std::string& where) {
  const double value = number_of(text, name, where);
  if (value < 0 || value > high) {
    refuse(fmt::format("{}: {} is {}, not within 0 and {:g}", where, name, value, high));
  }
  return value;
}

class Reader {
 public:
  explicit Reader(const ReadGraph& graph) : graph_(graph) {}

  Cluster read() {
    read_vertices();
    if (cluster_.gpus.empty()) {
      refuse("no node is of kind gpu");
    }
    check_hosts();
    read_links();
    find_domains();
    return std::move(cluster_);
  }

 private:
  void read_vertices() {
    std::set<std::string> names;
    for (std::size_t i = 0; i < boost::num_vertices(graph_); ++i) {
      const ReadVertex& read = graph_[i];
      const std::string where =
          read.name.empty() ? fmt::format("node {}", i) : "node " + quoted_text(read.name);
      Vertex vertex;
      vertex.kind = kind_of<VertexKind>(read.kind, kNumVertexKinds, where);
      vertex.name = read.name.empty() ? fmt::format("{}{}", to_text(vertex.kind), i) : read.name;
      if (!names.insert(vertex.name).second) {
        refuse(where + ": a second node of that name");
      }
      vertex.node = host_of(read, vertex.kind, where);
      if (vertex.kind == VertexKind::kGpu) {
        cluster_.gpus.push_back({.vertex = id_at<VertexId>(i), .node = vertex.node});
      }
      cluster_.vertices.push_back(std::move(vertex));
    }
  }

  static int host_of(const ReadVertex& read, VertexKind kind, const std::string& where) {
    constexpr double kMostHosts = 1e6;
    const bool on_host = kind == VertexKind::kGpu || kind == VertexKind::kNic;
    if (!on_host && (read.node.empty() || trimmed(read.node) == "-1")) {
      return -1;
    }
    const double host = number_within(read.node, "node", kMostHosts, where);
    if (host != std::floor(host)) {
      refuse(fmt::format("{}: node is {}, no whole number", where, host));
    }
    return static_cast<int>(host);
  }

  /// Hosts 0, 1, ... with equally many GPUs.
  void check_hosts() {
    std::map<int, int> gpus_of_host;
    for (const GpuPlace& gpu : cluster_.gpus) {
      ++gpus_of_host[gpu.node];
    }
    const int each = gpus_of_host.begin()->second;
    int expected = 0;
    for (const auto& [host, gpus] : gpus_of_host) {
      if (host != expected) {
        refuse(fmt::format("host {} has no GPU; hosts count from 0 without gaps", expected));
      }
      if (gpus != each) {
        refuse(fmt::format("host {} has {} GPUs, host 0 has {}", host, gpus, each));
      }
      ++expected;
    }
    for (const Vertex& vertex : cluster_.vertices) {
      if (vertex.node >= expected) {
        refuse(fmt::format("node {}: host {} has no GPU", quoted_text(vertex.name), vertex.node));
      }
    }
  }

  void read_links() {
    if (boost::num_edges(graph_) > static_cast<std::size_t>(kMaxLinks)) {
      refuse(fmt::format("more than {} links", kMaxLinks));
    }
    for (auto [edge, end] = boost::edges(graph_); edge != end; ++edge) {
      const ReadEdge& read = graph_[*edge];
      Link link;
      link.source = id_at<VertexId>(boost::source(*edge, graph_));
      link.target = id_at<VertexId>(boost::target(*edge, graph_));
      const std::string where = fmt::format("edge {} -> {}",
                                            cluster_.vertices[link.source.index()].name,
                                            cluster_.vertices[link.target.index()].name);
      constexpr double kMostRate = 1e18;
      link.kind = kind_of<LinkKind>(read.kind, kNumLinkKinds, where);
      check_ends(link, where);
      link.capacity = {number_within(read.capacity, "capacity_bytes_per_s", kMostRate, where)};
      link.latency = {number_within(read.latency, "latency_s", 1.0, where)};
      link.health = read.health.empty() ? 1.0 : number_within(read.health, "health", 1.0, where);
      if (!read.background.empty()) {
        link.background = {
            number_within(read.background, "background_bytes_per_s", kMostRate, where)};
      }
      if (link.capacity.value == 0) {
        refuse(where + ": capacity_bytes_per_s is 0; a link that is down has health 0");
      }
      if (link.background.value > 0 && link.usable().value <= 0) {
        refuse(where + ": background_bytes_per_s leaves nothing of capacity * health");
      }
      cluster_.links.push_back(link);
    }
  }

  void check_ends(const Link& link, const std::string& where) const {
    const VertexKind source = cluster_.vertices[link.source.index()].kind;
    const VertexKind target = cluster_.vertices[link.target.index()].kind;
    const auto joins = [&](auto one, auto other) {
      return (one(source) && other(target)) || (one(target) && other(source));
    };
    const auto is = [](VertexKind kind) {
      return [kind](VertexKind found) { return found == kind; };
    };
    const auto in_host = [](VertexKind kind) {
      return kind == VertexKind::kGpu || kind == VertexKind::kNic ||
             kind == VertexKind::kScaleUpSwitch;
    };
    const auto in_fabric = [](VertexKind kind) {
      return kind == VertexKind::kLeaf || kind == VertexKind::kSpine || kind == VertexKind::kCore;
    };
    bool right = false;
    switch (link.kind) {
      case LinkKind::kScaleUp:
        right = joins(is(VertexKind::kGpu), is(VertexKind::kScaleUpSwitch));
        break;
      case LinkKind::kPcie:
        right =
            joins(in_host, in_host) && (source != target || source == VertexKind::kScaleUpSwitch);
        break;
      case LinkKind::kNic:
        right = joins(is(VertexKind::kNic), in_fabric);
        break;
      case LinkKind::kFabric:
        right = joins(in_fabric, in_fabric);
        break;
    }
    if (!right || link.source == link.target) {
      refuse(fmt::format("{}: a link of kind {} cannot join {} and {}",
                         where,
                         to_text(link.kind),
                         to_text(source),
                         link.source == link.target ? "itself" : to_text(target)));
    }
  }

  /// The root of a vertex among those that scale-up switches join.
  std::size_t root(std::size_t vertex) {
    while (parent_[vertex] != vertex) {
      parent_[vertex] = parent_[parent_[vertex]];
      vertex = parent_[vertex];
    }
    return vertex;
  }

  void find_domains() {
    parent_.resize(cluster_.vertices.size());
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    for (const Link& link : cluster_.links) {
      const auto is_nic = [&](VertexId end) {
        return cluster_.vertices[end.index()].kind == VertexKind::kNic;
      };
      const bool inside =
          link.kind == LinkKind::kScaleUp ||
          (link.kind == LinkKind::kPcie && !is_nic(link.source) && !is_nic(link.target));
      if (inside) {
        parent_[root(link.source.index())] = root(link.target.index());
      }
    }
    std::map<std::size_t, int> domain_of_root;
    std::vector<int> sizes;
    for (GpuPlace& gpu : cluster_.gpus) {
      const auto [at, is_new] =
          domain_of_root.emplace(root(gpu.vertex.index()), static_cast<int>(sizes.size()));
      if (is_new) {
        sizes.push_back(0);
      }
      gpu.domain = at->second;
      gpu.index_in_domain = sizes[static_cast<std::size_t>(gpu.domain)]++;
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != sizes[0]) {
        refuse(
            fmt::format("scale-up domain {} has {} GPUs, domain 0 has {}", i, sizes[i], sizes[0]));
      }
    }
    cluster_.num_domains = static_cast<int>(sizes.size());
    cluster_.gpus_per_domain = sizes.front();
  }

  const ReadGraph& graph_;
  Cluster cluster_;
  std::vector<std::size_t> parent_;
};

}  // namespace

Cluster read_graphml_cluster(std::string_view text) {
  const ReadGraph graph = parse(text);
  return Reader(graph).read();
}

}  // namespace moesim
