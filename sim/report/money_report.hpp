// SPDX-License-Identifier: Apache-2.0
// What steps of a whole model and serving cost, as text and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

#include "sim/step/money.hpp"
#include "sim/step/serving_cost.hpp"

namespace moesim {

/// Prices and the hardware they are put on.
struct MoneyReport {
  PriceSpec price;
  Equipment equipment;
  RunningCost running;
};

/// @pre price.is_stated()
[[nodiscard]] MoneyReport money_report(const PriceSpec& price,
                                       const Cluster& cluster,
                                       std::int64_t gpus);

/// @param kind "prefill", "decode" or "train": what a token is
[[nodiscard]] std::string money_text(const MoneyReport& report,
                                     double tokens_per_s,
                                     const std::string& kind);
[[nodiscard]] nlohmann::ordered_json money_json(const MoneyReport& report, double tokens_per_s);

/// The same of serving; the prices are those of serving_prices.
/// @param slo  whether the run has one
[[nodiscard]] std::string serving_money_text(const MoneyReport& report,
                                             const ServedLoad& load,
                                             bool slo);
[[nodiscard]] nlohmann::ordered_json serving_money_json(const MoneyReport& report,
                                                        const ServedLoad& load);

/// "12.3 kUSD", "0.123 USD": three significant digits.
[[nodiscard]] std::string readable_dollars(double dollars);
/// "23.5 kW".
[[nodiscard]] std::string readable_power(double watts);

}  // namespace moesim
