// SPDX-License-Identifier: Apache-2.0
// GraphML text into a graph of texts; used inside this folder only.
#pragma once

#include <boost/graph/adjacency_list.hpp>

#include <string>
#include <string_view>

namespace moesim {

/// Data as texts, so that a missing one is told from a wrong one.
struct GraphmlVertex {
  std::string name;
  std::string kind;
  std::string node;
};
struct GraphmlEdge {
  std::string kind;
  std::string capacity;
  std::string latency;
  std::string health;
  std::string background;
};
using GraphmlGraph = boost::
    adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, GraphmlVertex, GraphmlEdge>;

/// Throws UserError "error: GraphML: WHAT".
[[noreturn]] void refuse_graphml(const std::string& what);

/// Throws UserError at the first mistake, with its line where the text itself is wrong.
[[nodiscard]] GraphmlGraph parse_graphml(std::string_view text);

}  // namespace moesim
