// SPDX-License-Identifier: Apache-2.0
// Keys to change in the round trip of the resolved scenario: what a change is, and those of
// [price].
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace moesim {

/// One key with another valid value than it has.
struct Change {
  std::string path;
  std::string value;
  std::vector<Override> before = {};  ///< what must hold for the key to have an effect
  std::vector<Override> with = {};    ///< what the new value needs besides

  friend std::ostream& operator<<(std::ostream& out, const Change& change) {
    return out << change.path << " = " << change.value;
  }
};

inline std::vector<Change> price_changes() {
  std::vector<Change> changes = {{"source", "another"},
                                 {"basis", "quoted"},
                                 {"gpu_purchase", "25 kUSD"},
                                 {"node_purchase", "61.5 kUSD"},
                                 {"nic_purchase", "1200 USD"},
                                 {"switch_purchase", "700 USD"},
                                 {"cable_purchase", "1.5 MUSD"},
                                 {"depreciation_years", "5"},
                                 {"upkeep_per_year", "0.05"},
                                 {"gpu_busy", "0.7 kW"},
                                 {"gpu_idle", "75 W"},
                                 {"node_power", "2.5 kW"},
                                 {"switch_power", "25 W"},
                                 {"pue", "1.3"},
                                 {"electricity", "0.09 USD/kWh"},
                                 {"gpu_rent", "2.3 USD/h"},
                                 {"utilisation", "0.6"}};
  for (Change& change : changes) {
    change.path = "price." + change.path;
    change.before = {"step.kind=decode",
                     "batch.context_tokens=128",
                     "price.source=somebody",
                     "price.basis=example",
                     "price.gpu_rent=1 USD/h",
                     "price.gpu_busy=500 W"};
  }
  changes.push_back({"price.training_tokens", "1.4e13", changes.front().before});
  changes.back().before.front() = "step.kind=train";
  return changes;
}

}  // namespace moesim
