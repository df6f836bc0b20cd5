// SPDX-License-Identifier: Apache-2.0
// Keys and other values for them: those of generated and learned routing.
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

inline std::vector<Change> generator_changes() {
  const std::vector<Override> on = {"routing.source=generated", "routing.trace=\"\""};
  std::vector<Change> changes = {{"kind", "zipf"},
                                 {"fitted_on", "\"a \\\"trace\\\"\""},
                                 {"experts", "64"},
                                 {"top_k", "6"},
                                 {"layers", "3"},
                                 {"zipf_exponent", "0.6"},
                                 {"popularity_sigma", "1.05"},
                                 {"cold_share", "0.1"},
                                 {"cold_drop", "3.3"},
                                 {"domain_sigma", "0.3"},
                                 {"request_sigma", "0.2"},
                                 {"token_sigma", "0.7"},
                                 {"token_correlation", "0.9"},
                                 {"groups", "2"},
                                 {"top_groups", "2"},
                                 {"domains", "11"},
                                 {"request_tokens", "100"},
                                 {"drift_steps", "50"},
                                 {"gate_weights", "all"},
                                 {"weight_scale", "0.7"}};
  for (Change& change : changes) {
    change.path = "routing.generated." + change.path;
    change.before = on;
  }
  changes.at(14).before.emplace_back("routing.generated.groups=4");
  return changes;
}

inline std::vector<Change> learned_changes() {
  const std::vector<Override> on = {"routing.source=learned", "routing.trace=\"\""};
  std::vector<Change> changes = {{"first_step", "500"},
                                 {"stride", "0"},
                                 {"tokens", "2048"},
                                 {"clusters", "7"},
                                 {"width", "8"},
                                 {"common_scale", "0.2"},
                                 {"token_scale", "0.9"},
                                 {"initial_scale", "0.02"},
                                 {"learning_rate", "1.5"},
                                 {"skill_rate", "0.1"},
                                 {"aux_loss", "0.01"},
                                 {"z_loss", "0.001"},
                                 {"noise", "0.5"},
                                 {"bias_rate", "0.3"},
                                 {"expert_choice", "true"},
                                 {"reset_after", "5"},
                                 {"gate_weights", "none"}};
  for (Change& change : changes) {
    change.path = "routing.learned." + change.path;
    change.before = on;
  }
  changes.at(14).before.emplace_back("capacity.policy=expert_choice");
  return changes;
}

}  // namespace moesim
