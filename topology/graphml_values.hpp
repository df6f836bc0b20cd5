// SPDX-License-Identifier: Apache-2.0
// Data of GraphML nodes and edges, from text to value; used inside this folder only.
#pragma once

#include <string>
#include <string_view>

#include "topology/cluster.hpp"

namespace moesim {

// Each throws UserError "error: GraphML: WHERE: ..." where the text is no such value.
[[nodiscard]] VertexKind graphml_vertex_kind(const std::string& word, const std::string& where);
[[nodiscard]] LinkKind graphml_link_kind(const std::string& word, const std::string& where);
/// @param high the largest right value; 0 is the least
[[nodiscard]] double graphml_number(const std::string& text,
                                    std::string_view name,
                                    double high,
                                    const std::string& where);

/// Throws where a link of its kind cannot join vertices of the kinds of its ends.
void check_ends(const Cluster& cluster, const Link& link, const std::string& where);

}  // namespace moesim
