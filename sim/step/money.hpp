// SPDX-License-Identifier: Apache-2.0
// What the hardware under a layout costs and draws, and what a token costs at a given rate. Prices
// are the user's or an example's; nothing here is ever measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/core/cost_units.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// What a price list rests on.
enum class PriceBasis : std::uint8_t {
  kExample,  ///< of an example: right in order of magnitude at best
  kAssumed,  ///< somebody's guess
  kQuoted,   ///< offers, bills or contracts of the user
};
[[nodiscard]] std::string_view to_text(PriceBasis basis);  ///< "example", "assumed", "quoted"

/// [price]
struct PriceSpec {
  std::string source;  ///< whose prices; "": no price list
  PriceBasis basis = PriceBasis::kAssumed;
  Dollars gpu_purchase;           ///< one GPU with its share of the baseboard
  Dollars node_purchase;          ///< a host without GPUs and NICs, its scale-up switches included
  Dollars nic_purchase;           ///< one NIC
  Dollars switch_purchase;        ///< one port of a scale-out switch
  Dollars cable_purchase;         ///< one cable of the scale-out network with its transceivers
  double depreciation_years = 4;  ///< until the purchase is written off, in equal parts
  double upkeep_per_year = 0;     ///< staff, space, spare parts: share of the purchase
  Watts gpu_busy;                 ///< draw of a GPU while steps run
  Watts gpu_idle;                 ///< the rest of the time
  Watts node_power;               ///< of a host beside its GPUs, NICs and scale-up included
  Watts switch_power;             ///< of one switch port with its transceivers
  double pue = 1;                 ///< power of the site / power of the machines, >= 1
  DollarsPerKilowattHour electricity;
  DollarsPerHour gpu_rent;     ///< a GPU for an hour, everything included; 0: not for rent
  double utilisation = 1;      ///< share of the paid time in which steps run, (0, 1]
  double training_tokens = 0;  ///< train: tokens of the whole run; 0: not asked for

  [[nodiscard]] bool is_stated() const { return !source.empty(); }
  [[nodiscard]] bool is_owned() const { return gpu_purchase.value > 0; }
  [[nodiscard]] bool is_rented() const { return gpu_rent.value > 0; }
};

/// Pieces of hardware that a layout is charged for.
struct Equipment {
  double gpus = 0;
  double nodes = 0;
  double nics = 0;
  double switch_ports = 0;  ///< of the scale-out network
  double cables = 0;
};

/// The hardware of `gpus` GPUs, the first ones of the cluster:
///   nodes  those that hold them, whole
///   NICs, switch ports, cables   of the cluster, times nodes / nodes of the cluster
/// A cable between NIC and switch takes one port, one between switches two; PCIe and scale-up links
/// are part of the node. Valid for: clusters whose other nodes earn their own share of the network.
/// Left out: ports that a switch has and nobody uses; spines that a larger cluster would need.
/// Checked by: money_test.
[[nodiscard]] Equipment equipment_of(const Cluster& cluster, std::int64_t gpus);

/// What the equipment costs and draws:
///   purchase      sum of pieces * price
///   depreciation  purchase / (depreciation_years * 8760 h)
///   upkeep        purchase * upkeep_per_year / 8760 h
///   power         pue * (gpus (u busy + (1 - u) idle) + nodes * node_power + ports * switch_power)
///   energy        power / 1000 W * electricity
///   owned         depreciation + upkeep + energy
///   rented        gpus of the nodes * gpu_rent                              u = utilisation
/// Source: straight-line depreciation; PUE as The Green Grid defines it. Valid for: a GPU that
/// draws gpu_busy during a whole step, waits included, so energy is on the high side. Left out:
/// interest, residual value, taxes. Checked by: money_test.
struct RunningCost {
  Dollars purchase;
  DollarsPerHour depreciation;
  DollarsPerHour upkeep;
  DollarsPerHour energy;
  Watts power;
  std::optional<DollarsPerHour> owned;   ///< none without gpu_purchase
  std::optional<DollarsPerHour> rented;  ///< none without gpu_rent
};
[[nodiscard]] RunningCost running_cost(const PriceSpec& price, const Equipment& equipment);

/// Dollars for a million tokens when steps process `tokens_per_s`:
///   hourly / (tokens_per_s * utilisation * 3600) * 1e6
/// Checked by: money_test.
[[nodiscard]] Dollars per_million_tokens(const PriceSpec& price,
                                         DollarsPerHour hourly,
                                         double tokens_per_s);

/// tokens_per_s * utilisation / power; none where no power is stated.
[[nodiscard]] std::optional<double> tokens_per_joule(const PriceSpec& price,
                                                     const RunningCost& cost,
                                                     double tokens_per_s);

/// A run over training_tokens: hours = training_tokens / (tokens_per_s * utilisation * 3600), cost
/// = hours * hourly, energy = hours * power. Left out: restarts beyond `utilisation`, failed runs,
/// evaluation. Checked by: money_test.
struct RunCost {
  double hours = 0;
  double kilowatt_hours = 0;
  std::optional<Dollars> owned;
  std::optional<Dollars> rented;
};
[[nodiscard]] RunCost cost_of_run(const PriceSpec& price,
                                  const RunningCost& cost,
                                  double tokens_per_s);

}  // namespace moesim
