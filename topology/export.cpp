// SPDX-License-Identifier: Apache-2.0
#include "topology/export.hpp"

#include <boost/graph/filtered_graph.hpp>
#include <boost/graph/graphml.hpp>
#include <boost/graph/graphviz.hpp>
#include <boost/property_map/function_property_map.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include "sim/core/check.hpp"
#include "topology/fabric_graph.hpp"

namespace moesim {
namespace {

/// Height in the drawing, top first.
int tier(VertexKind kind) {
  switch (kind) {
    case VertexKind::kCore:
      return 0;
    case VertexKind::kSpine:
      return 1;
    case VertexKind::kLeaf:
      return 2;
    case VertexKind::kNic:
      return 3;
    case VertexKind::kGpu:
      return 4;
    case VertexKind::kScaleUpSwitch:
      return 5;
  }
  return 0;
}

std::string_view style(VertexKind kind) {
  switch (kind) {
    case VertexKind::kCore:
    case VertexKind::kSpine:
      return "shape=box,fillcolor=\"#c6dbef\"";
    case VertexKind::kLeaf:
      return "shape=box,fillcolor=\"#deebf7\"";
    case VertexKind::kNic:
      return "shape=box,fillcolor=\"#fdd0a2\"";
    case VertexKind::kGpu:
      return "shape=box,fillcolor=\"#a1d99b\"";
    case VertexKind::kScaleUpSwitch:
      return "shape=ellipse,fillcolor=\"#dadaeb\"";
  }
  return "";
}

/// DOT string: quotes and backslashes escaped.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

bool alike(const Link& a, const Link& b) {
  return a.kind == b.kind && a.capacity == b.capacity && a.latency == b.latency &&
         a.health == b.health && a.background == b.background;
}

/// How each directed link is drawn.
struct Drawing {
  std::vector<char> shown;      ///< by LinkId
  std::vector<char> both_ways;  ///< the opposite direction is alike and not drawn
};

/// Pairs every link with an opposite one that is alike; the one that points down the page stands
/// for both.
Drawing draw_cables(const Cluster& cluster) {
  Drawing drawing{std::vector<char>(cluster.links.size(), 1),
                  std::vector<char>(cluster.links.size(), 0)};
  std::multimap<std::pair<std::size_t, std::size_t>, std::size_t> unpaired;  // by ends
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    const auto [begin, end] = unpaired.equal_range({link.target.index(), link.source.index()});
    const auto twin = std::find_if(
        begin, end, [&](const auto& entry) { return alike(cluster.links[entry.second], link); });
    if (twin == end) {
      unpaired.emplace(std::pair(link.source.index(), link.target.index()), i);
      continue;
    }
    const bool down_the_page = tier(cluster.vertices[link.source.index()].kind) <
                               tier(cluster.vertices[link.target.index()].kind);
    drawing.both_ways[down_the_page ? i : twin->second] = 1;
    drawing.shown[down_the_page ? twin->second : i] = 0;
    unpaired.erase(twin);
  }
  return drawing;
}

std::string link_attributes(const Cluster& cluster, const Link& link, bool both_ways) {
  // Quoted: DOT has no numbers with exponents.
  std::string text =
      fmt::format("kind={},capacity_bytes_per_s=\"{}\",latency_s=\"{}\",health=\"{}\"",
                  to_text(link.kind),
                  link.capacity.value,
                  link.latency.value,
                  link.health);
  if (both_ways) {
    text += ",dir=none";
  } else if (tier(cluster.vertices[link.source.index()].kind) >
             tier(cluster.vertices[link.target.index()].kind)) {
    text += ",constraint=false";  // an arrow up the page must not turn the tiers over
  }
  if (link.health == 0) {
    text += ",color=red,style=dashed";
  } else if (link.health < 1) {
    text += ",color=orange";
  }
  return text;
}

/// Graph attributes and one box per host.
void write_frame(std::ostream& out, const Cluster& cluster) {
  out << "label=" << quoted(cluster.name) << ";\n"
      << "rankdir=TB; newrank=true; ranksep=1.2; nodesep=0.08; splines=line; ordering=out; "
         "labelloc=b;\n"
      << "node [style=filled,fontname=\"Helvetica\",fontsize=10,height=0.3,width=0.5];\n"
      << "edge [color=\"#777777\",arrowsize=0.5];\n";
  std::map<int, std::vector<std::size_t>> hosts;
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    if (cluster.vertices[i].node >= 0) {
      hosts[cluster.vertices[i].node].push_back(i);
    }
  }
  for (const auto& [host, vertices] : hosts) {
    out << fmt::format("subgraph cluster_node{0} {{ label=\"node{0}\"; ", host);
    for (const std::size_t vertex : vertices) {
      out << vertex << "; ";
    }
    out << "}\n";
  }
}

/// Inside a host's box its name need not be repeated.
std::string_view short_name(const Vertex& vertex) {
  const std::string_view name = vertex.name;
  return vertex.node >= 0 ? name.substr(name.find('/') + 1) : name;
}

/// Boost writes a double with six digits only. So numbers go through it as text, shortest that
/// reads back exactly, and the keys so named are declared double here.
std::string declared_double(std::string graphml, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::string as_text = fmt::format("attr.name=\"{}\" attr.type=\"string\"", name);
    const std::size_t at = graphml.find(as_text);
    MOESIM_CHECK(at != std::string::npos, "Boost's GraphML writer declares every key");
    graphml.replace(at, as_text.size(), fmt::format("attr.name=\"{}\" attr.type=\"double\"", name));
  }
  return graphml;
}

}  // namespace

std::string to_graphviz(const Cluster& cluster) {
  const FabricGraph graph = make_graph(cluster);
  const Drawing drawing = draw_cables(cluster);
  const auto is_shown = [&](FabricGraph::edge_descriptor edge) {
    return drawing.shown[graph[edge].id.index()] != 0;
  };
  const boost::filtered_graph<FabricGraph, std::function<bool(FabricGraph::edge_descriptor)>> shown(
      graph, is_shown);
  std::ostringstream out;
  boost::write_graphviz(
      out,
      shown,
      [&](std::ostream& text, std::size_t i) {
        const Vertex& vertex = cluster.vertices[i];
        text << fmt::format("[label={},kind={},host={},{}]",
                            quoted(short_name(vertex)),
                            to_text(vertex.kind),
                            vertex.node,
                            style(vertex.kind));
      },
      [&](std::ostream& text, FabricGraph::edge_descriptor edge) {
        const std::size_t id = graph[edge].id.index();
        text << '[' << link_attributes(cluster, cluster.links[id], drawing.both_ways[id] != 0)
             << ']';
      },
      [&](std::ostream& text) { write_frame(text, cluster); });
  return out.str();
}

std::string to_graphml(const Cluster& cluster) {
  const FabricGraph graph = make_graph(cluster);
  const auto of_vertex = [&](auto value) {
    return boost::make_function_property_map<std::size_t>(
        [&cluster, value](std::size_t i) { return value(cluster.vertices[i]); });
  };
  const auto of_link = [&](auto value) {
    return boost::make_function_property_map<FabricGraph::edge_descriptor>(
        [&cluster, &graph, value](FabricGraph::edge_descriptor edge) {
          return value(cluster.link(graph[edge].id));
        });
  };
  boost::dynamic_properties properties;
  properties.property("name", of_vertex([](const Vertex& v) { return v.name; }));
  properties.property("kind",
                      of_vertex([](const Vertex& v) { return std::string(to_text(v.kind)); }));
  properties.property("node", of_vertex([](const Vertex& v) { return v.node; }));
  properties.property("kind", of_link([](const Link& l) { return std::string(to_text(l.kind)); }));
  properties.property("capacity_bytes_per_s",
                      of_link([](const Link& l) { return fmt::to_string(l.capacity.value); }));
  properties.property("latency_s",
                      of_link([](const Link& l) { return fmt::to_string(l.latency.value); }));
  properties.property("health", of_link([](const Link& l) { return fmt::to_string(l.health); }));
  properties.property("background_bytes_per_s",
                      of_link([](const Link& l) { return fmt::to_string(l.background.value); }));
  std::ostringstream out;
  boost::write_graphml(out, graph, properties, true);
  return declared_double(out.str(),
                         {"capacity_bytes_per_s", "latency_s", "health", "background_bytes_per_s"});
}

}  // namespace moesim
