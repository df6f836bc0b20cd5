// SPDX-License-Identifier: Apache-2.0
// What serving costs: the hardware of money.hpp over what a run of requests yielded.
#pragma once

#include <optional>

#include "sim/step/money.hpp"

namespace moesim {

/// What a stretch of serving yielded.
struct ServedLoad {
  double seconds = 0;   ///< that are paid for, idle or not
  double requests = 0;  ///< done in it
  double prompt_tokens = 0;
  double output_tokens = 0;
  double good_tokens = 0;    ///< prompts and outputs of the requests within the SLO
  double busy = 0;           ///< share of the time that an EP group spends in steps
  double prefill_share = 0;  ///< disaggregated: share of the GPUs that only prefill; 0: colocated
};

/// The price list of a run whose GPUs were busy for that share of the time: draw follows it.
[[nodiscard]] PriceSpec serving_prices(PriceSpec price, double busy);

/// Serving for hourly * seconds / 3600, over what it yielded; none where it yielded nothing:
///   all      prompt and output tokens, at one price
///   prompt, output   that kind of token alone, the other for nothing
///   good     tokens of the requests within the SLO; those of all others earn nothing
///   request  a request on the mean
///   prefill, decode   disaggregated: what the prefilling GPUs cost over the prompt tokens, and the
///                     others over the output tokens; prompts * prefill + outputs * decode = cost
/// Valid for: load as in the run, all the time. Left out: the steps of a colocated batch are not
/// divided into prompts and outputs: they share them. Checked by: money_test.
struct ServingCost {
  std::optional<Dollars> all;
  std::optional<Dollars> prompt;
  std::optional<Dollars> output;
  std::optional<Dollars> good;
  std::optional<Dollars> request;
  std::optional<Dollars> prefill;
  std::optional<Dollars> decode;
};
[[nodiscard]] ServingCost serving_cost(DollarsPerHour hourly, const ServedLoad& load);

}  // namespace moesim
