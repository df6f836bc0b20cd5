// SPDX-License-Identifier: Apache-2.0
#include "topology/graphml_values.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <vector>

#include "sim/core/text.hpp"
#include "topology/graphml_text.hpp"

namespace moesim {
namespace {

template <typename Kind>
Kind kind_of(const std::string& word, int kinds, const std::string& where) {
  std::vector<std::string_view> known;
  for (int i = 0; i < kinds; ++i) {
    known.push_back(to_text(static_cast<Kind>(i)));
    if (known.back() == word) {
      return static_cast<Kind>(i);
    }
  }
  refuse_graphml(fmt::format("{}: {}; expected {}",
                             where,
                             word.empty() ? "no kind" : "kind " + quoted_text(word),
                             word_list(known)));
}

double number_of(std::string_view text, std::string_view name, const std::string& where) {
  text = trimmed(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) {
    refuse_graphml(fmt::format("{}: no {}", where, name));
  }
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    refuse_graphml(fmt::format("{}: {} is {}, no number", where, name, quoted_text(text)));
  }
  return value;
}

}  // namespace

VertexKind graphml_vertex_kind(const std::string& word, const std::string& where) {
  return kind_of<VertexKind>(word, kNumVertexKinds, where);
}

LinkKind graphml_link_kind(const std::string& word, const std::string& where) {
  return kind_of<LinkKind>(word, kNumLinkKinds, where);
}

double graphml_number(const std::string& text,
                      std::string_view name,
                      double high,
                      const std::string& where) {
  const double value = number_of(text, name, where);
  if (value < 0 || value > high) {
    refuse_graphml(fmt::format("{}: {} is {}, not within 0 and {:g}", where, name, value, high));
  }
  return value;
}

void check_ends(const Cluster& cluster, const Link& link, const std::string& where) {
  const VertexKind source = cluster.vertices[link.source.index()].kind;
  const VertexKind target = cluster.vertices[link.target.index()].kind;
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
      right = joins(in_host, in_host) && (source != target || source == VertexKind::kScaleUpSwitch);
      break;
    case LinkKind::kNic:
      right = joins(is(VertexKind::kNic), in_fabric);
      break;
    case LinkKind::kFabric:
      right = joins(in_fabric, in_fabric);
      break;
  }
  if (!right || link.source == link.target) {
    refuse_graphml(fmt::format("{}: a link of kind {} cannot join {} and {}",
                               where,
                               to_text(link.kind),
                               to_text(source),
                               link.source == link.target ? "itself" : to_text(target)));
  }
}

}  // namespace moesim
