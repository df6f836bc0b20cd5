// SPDX-License-Identifier: Apache-2.0
// Faults and unevenness: what is broken, slow or taken by others, as rules over names, and how they
// change a cluster.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/cluster.hpp"

namespace moesim {

/// [faults] Each list holds "NAME: STATE" rules; names are those of `moesim topology`, patterns as
/// in name_pattern.hpp. STATE is "down" or what remains, a number above 0 up to 1.
struct FaultSpec {
  std::vector<std::string> links = {};     ///< "spine0 -> pod1/leaf: 0.5", or "A <-> B" both ways
  std::vector<std::string> nics = {};      ///< "node0/nic3: down": its cables, both ways
  std::vector<std::string> switches = {};  ///< "spine2: 0.25": all links of it, both ways
  std::vector<std::string> gpus = {};      ///< "node1/gpu0: 0.8": speed of its compute
  std::vector<std::string> nodes = {};     ///< "node3": lost, with its GPUs and NICs
  std::vector<std::string> background =
      {};                         ///< "spine0 -> pod1/leaf: 10 GB/s": not ours, always there
  double random_links = 0.0;      ///< part of the switch-to-switch cables that are hit
  double random_nics = 0.0;       ///< part of the NICs
  double random_gpus = 0.0;       ///< part of the GPUs
  double random_remaining = 0.5;  ///< what remains of one that is hit, 0: down
  std::uint64_t seed = 1;         ///< of the three draws; not the scenario's

  [[nodiscard]] bool empty() const;
};

/// A rule that cannot be applied.
struct FaultMistake {
  std::string list;     ///< "links", "nics", ...
  std::string message;  ///< "\"node9/nic0: down\" fits no nic; did you mean ..."
};

struct FaultOutcome {
  std::vector<std::string> hits;  ///< one sentence a thing that is hit: "nic node0/nic3 is down"
  std::vector<FaultMistake> mistakes;
  std::vector<int> lost_nodes;  ///< ascending
};

/// What is wrong with the rules as texts, without a cluster.
[[nodiscard]] std::vector<FaultMistake> check_rules(const FaultSpec& faults);

/// Changes health, background and speed of the cluster's parts.
///
///   health of a link = product over the rules and draws that hit it;  background = their sum
///
/// A cable, NIC or GPU number i of its kind is hit at random when u_i < rate, with u_i the first
/// number of stream (seed, "random links" | "random nics" | "random gpus", i): a higher rate hits
/// the same ones and more. A lost node has all its links down.
/// Source: ours; seeded independent faults. Valid for: faults that last the whole run. Left out:
/// faults that come and go, retransmission, a rank that is restarted elsewhere.
/// Checked by: fabrics_test (worked, random faults nest).
[[nodiscard]] FaultOutcome apply_faults(Cluster& cluster, const FaultSpec& faults);

}  // namespace moesim
