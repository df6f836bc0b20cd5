// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/layer_pass.hpp"

#include "gpu_ref/measure/gpu_fill.hpp"

namespace moesim::measure {
namespace {

constexpr double kHold = 300e-6;

}  // namespace

void hold_for_pass(GpuTimer& timer) {
  hold(kHold, timer.stream());
}

void forward_without_gaps(gpu_ref::RankLayer& layer,
                          gpu_ref::Exchange& exchange,
                          const gpu_ref::RankTokens& tokens,
                          GpuTimer& timer) {
  hold_for_pass(timer);
  if (tokens.given != nullptr) {
    layer.choose(tokens.x, tokens.num_tokens, *tokens.given);
  } else {
    layer.choose(tokens.x, tokens.num_tokens);
  }
  layer.plan(exchange.gather_counts(layer));
  hold_for_pass(timer);
  layer.dispatch();
  gpu_ref::transfer_rows(layer, exchange, gpu_ref::Transfer::kDispatch);
  layer.run_experts();
  gpu_ref::transfer_rows(layer, exchange, gpu_ref::Transfer::kCombine);
  layer.combine(tokens.out);
}

}  // namespace moesim::measure
