// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving_cost.hpp"

namespace moesim {
namespace {

constexpr double kMillion = 1e6;

}  // namespace

PriceSpec serving_prices(PriceSpec price, double busy) {
  price.utilisation = busy;
  return price;
}

ServingCost serving_cost(DollarsPerHour hourly, const ServedLoad& load) {
  const double whole = hourly.value * load.seconds / kSecondsPerHour;
  const auto over = [](double dollars, double count, double of) {
    return count > 0 ? std::optional(Dollars{dollars / count * of}) : std::nullopt;
  };
  ServingCost cost{.all = over(whole, load.prompt_tokens + load.output_tokens, kMillion),
                   .prompt = over(whole, load.prompt_tokens, kMillion),
                   .output = over(whole, load.output_tokens, kMillion),
                   .good = over(whole, load.good_tokens, kMillion),
                   .request = over(whole, load.requests, 1),
                   .prefill = {},
                   .decode = {}};
  if (load.prefill_share > 0) {
    cost.prefill = over(whole * load.prefill_share, load.prompt_tokens, kMillion);
    cost.decode = over(whole * (1 - load.prefill_share), load.output_tokens, kMillion);
  }
  return cost;
}

}  // namespace moesim
