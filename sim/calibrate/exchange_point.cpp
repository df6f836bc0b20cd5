// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/exchange_point.hpp"

#include <fmt/core.h>

#include <memory>

#include "sim/calibrate/loads.hpp"
#include "sim/calibrate/predict_experts.hpp"

namespace moesim::calibrate {
namespace {

constexpr int kMostTokens = 1024;  // longer routings are repeats of a shorter one

}  // namespace

CopyBytes fp8_copy(const Exchange& exchange) {
  const ModelShape model =
      operator_shape(exchange.hidden, 1, exchange.experts, exchange.top_k, true);
  return copy_bytes(model, exchange.dispatcher);
}

std::pair<ExchangeWork, ExchangeWork> works_of(const Exchange& exchange,
                                               Hardware& hardware,
                                               int sms) {
  int tokens = exchange.tokens;
  std::int64_t repeat = 1;
  while (tokens > kMostTokens && tokens % 2 == 0) {
    tokens /= 2;
    repeat *= 2;
  }
  const LoadShape load{exchange.experts, exchange.top_k, exchange.ranks};
  const Routing routing =
      exchange.balanced ? balanced_routing(load, tokens) : uniform_routing(load, tokens, 1);
  const DispatchSpec dispatch{.kind = exchange.dispatcher,
                              .forwarding = Forwarding::kPipelined,
                              .scale_up = exchange.scale_up,
                              .sms = sms};
  ExchangeWork work =
      prepare_exchange(hardware.cluster(exchange.ranks), dispatch, routing, exchange.copy, repeat);
  ExchangeWork combine = work;
  combine.combine = true;
  return {std::move(work), std::move(combine)};
}

Point exchange_point(std::string place,
                     const Exchange& exchange,
                     ExchangeWork work,
                     Seconds measured) {
  const int domains = work.cluster->place(GpuId{exchange.ranks - 1}).domain + 1;
  Point point;
  point.family = KernelFamily::kCommunication;
  point.kernel = exchange.kernel;
  point.place = std::move(place);
  point.shape = work.combine ? "combine" : "dispatch";
  point.ep = exchange.ranks;
  point.size = exchange.tokens;
  point.label = fmt::format("EP{} {} {} tokens", exchange.ranks, point.shape, exchange.tokens);
  point.is_combine = work.combine;
  point.uses_scale_up = exchange.scale_up;
  point.uses_scale_out = domains > 1 || !exchange.scale_up;
  point.sms = work.dispatch.sms;
  point.rows = bytes_per_rank(work);
  point.slots = exchange.ranks;
  point.hidden = exchange.hidden;
  point.width = domains;
  point.measured = measured;
  point.predict = [work = std::make_shared<const ExchangeWork>(std::move(work))](
                      const CostConstants& c) { return predict_exchange(*work, c); };
  return point;
}

}  // namespace moesim::calibrate
