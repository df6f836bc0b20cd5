// SPDX-License-Identifier: Apache-2.0
// A cluster from GraphML, as to_graphml() writes it or as other tools do.
#pragma once

#include <string_view>

#include "topology/cluster.hpp"

namespace moesim {

/// The graph of a GraphML text; the GPU model and the cluster's name are for the caller to set.
///
/// A <node> has the data `kind` (gpu, scale_up_switch, nic, leaf, spine or core), `name` (else its
/// kind and number) and, for GPUs and NICs, `node`: the host, from 0. An <edge> is one direction
/// and has `kind` (scale_up, pcie, nic, fabric), `capacity_bytes_per_s` > 0, `latency_s` >= 0, and
/// may have `health` in [0, 1] (else 1) and `background_bytes_per_s` below capacity * health (else
/// 0). GPUs are numbered in order of their nodes in the text. A scale-up domain is what scale-up
/// switches, or PCIe switches of kind scale_up_switch, join; domains must have equal sizes.
/// Other data is ignored.
///
/// Throws UserError "error: what is wrong" at the first mistake: no GraphML, elements nested deeper
/// than 64, more than kMaxLinks edges, missing or wrong data, a link between kinds that it cannot
/// join, no GPU, unequal hosts or domains.
/// Source: GraphML primer (graphdrawing.org); Boost.Graph's reader.
/// Checked by: graphml_test (round trip, hostile texts).
[[nodiscard]] Cluster read_graphml_cluster(std::string_view text);

}  // namespace moesim
