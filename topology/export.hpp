// SPDX-License-Identifier: Apache-2.0
// The cluster in the formats of graph tools.
#pragma once

#include <string>

#include "topology/cluster.hpp"

namespace moesim {

/// Graphviz. Drawn top-down: spines, leaves, NICs, GPUs, scale-up switches, with a box round each
/// host. A cable whose two directions are alike is one edge without arrowheads; red and dashed: a
/// direction is down, orange: degraded. Vertices carry label, kind and host, edges kind,
/// capacity_bytes_per_s, latency_s and health (of the direction towards the GPUs). Lay it out with
/// `dot`. Checked by: export_test (Boost read_graphviz, worked).
[[nodiscard]] std::string to_graphviz(const Cluster& cluster);

/// GraphML: every directed link, with keys name, kind, node on vertices and kind,
/// capacity_bytes_per_s, latency_s, health, background_bytes_per_s on edges. The speed of slow GPUs
/// is not in it. graphml_reader.hpp reads it back.
/// Checked by: export_test (Boost read_graphml gives every value back).
[[nodiscard]] std::string to_graphml(const Cluster& cluster);

}  // namespace moesim
