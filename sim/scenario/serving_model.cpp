// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/serving_model.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/generated_routes.hpp"
#include "sim/moe/traces/trace_source.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/step/serving/attention_group.hpp"

namespace moesim {
namespace {

UserError mistake(std::string key, std::string message) {
  Diagnostic diagnostic;
  diagnostic.key = std::move(key);
  diagnostic.message = std::move(message);
  return UserError({std::move(diagnostic)});
}

std::unique_ptr<RequestRoutes> open_routes(const Scenario& s, const Pace& pace) {
  if (s.model.moe_layers == 0) {
    return nullptr;
  }
  if (s.routing.source == RoutingOrigin::kTrace) {
    return traces::open_trace_routes(s.routing, s.seed, pace);
  }
  if (s.routing.source == RoutingOrigin::kLearned) {
    throw mistake(
        "routing.source",
        "learned gates route steps, not requests; serving takes \"trace\" or \"generated\"");
  }
  return generate::open_generated_routes(
      s.routing.generated,
      {.num_experts = s.model.num_experts, .top_k = s.model.top_k, .layers = s.model.moe_layers},
      s.seed);
}

/// What fits beside the weights of every EP group, which are alike.
KvSpace checked_kv_space(const Scenario& scenario) {
  Scenario decode = scenario;
  decode.step.kind = StepKind::kDecode;
  const MemoryModel memory = memory_model(decode);
  const KvSpace space = kv_space(memory, scenario.requests);
  if (space.tokens == 0) {
    throw mistake(
        "cluster.gpu.memory",
        fmt::format("{:.3g} GB leave no room for a KV cache: a rank holds {:.3g} GB of weights, "
                    "activations of requests.max_batch_tokens = {} and buffers; see moesim memory "
                    "with step.kind = prefill",
                    memory.capacity / gigabytes(1),
                    space.fixed / gigabytes(1),
                    scenario.requests.max_batch_tokens));
  }
  return space;
}

/// Arrivals on a coarse grid of stamps come in bursts that nobody sent.
void note_stamps(const RequestSpec& spec,
                 const Arrivals& arrivals,
                 std::vector<std::string>& notes) {
  const auto requests = static_cast<std::int64_t>(arrivals.requests.size());
  if (spec.source != ArrivalSource::kPoisson && spec.spread.value == 0 &&
      arrivals.stamps * 4 < requests) {
    notes.push_back(
        fmt::format("{} arrivals share {} time stamps: bursts of the recording's grid; "
                    "requests.spread moves them apart",
                    requests,
                    arrivals.stamps));
  }
}

/// The limits of an attention group as serve() makes it.
GroupLimits group_limits(const RequestSpec& spec, const KvSpace& kv) {
  return {.max_batch_tokens = spec.max_batch_tokens,
          .chunk_tokens = spec.chunk_tokens,
          .max_sequences = spec.max_sequences,
          .kv_tokens = kv.tokens};
}

}  // namespace

ServingLimits serving_limits(const Scenario& s) {
  const KvSpace kv = checked_kv_space(s);
  const Arrivals arrivals = read_arrivals(s.requests, s.seed);
  std::vector<ServedRequest> none;
  const AttentionGroup group(group_limits(s.requests, kv), none);
  double tokens = 0;
  double last = s.requests.warm_up.value;
  for (const Request& request : arrivals.requests) {
    const double arrival = ticks(request.arrival).to_seconds().value;
    if (arrival >= s.requests.warm_up.value && group.can_hold(request)) {
      tokens += static_cast<double>(request.prompt_tokens + request.output_tokens);
      last = std::max(last, arrival);
    }
  }
  const double seconds = last - s.requests.warm_up.value;
  const Bytes cache = kv.per_token * static_cast<double>(kv.tokens);
  return {.most_tokens_per_s = tokens > 0 ? tokens / seconds : 0,
          .memory_ratio = (kv.fixed + cache) / s.cluster.gpu.memory};
}

ServingModel serving_model(const Scenario& s, const Pace& pace) {
  ServingModel model;
  model.kv = checked_kv_space(s);
  model.arrivals = read_arrivals(s.requests, s.seed);
  model.assembly = assemble_serving(s, pace);
  model.routes = open_routes(s, pace);
  model.notes = model.assembly.joins;
  model.notes.insert(model.notes.end(), model.assembly.notes.begin(), model.assembly.notes.end());
  note_stamps(s.requests, model.arrivals, model.notes);
  if (s.requests.groups > 1) {
    model.notes.emplace_back(
        "every EP group takes the step times of the first one, as if it had the network alone");
  }
  model.whole = {.step = std::move(model.assembly.step),
                 .kind = StepKind::kDecode,
                 .parallel = s.parallel,
                 .batch = {},
                 .kv_dtype = s.memory.kv_dtype,
                 .overlap = s.step.overlap};
  model.setup = {.spec = s.requests,
                 .attention_groups = s.parallel.ep / s.parallel.tp,
                 .tp = s.parallel.tp,
                 .kv_tokens = model.kv.tokens,
                 .kv_bytes_per_token = model.kv.per_token,
                 .kv_dtype = s.memory.kv_dtype,
                 .seed = s.seed};
  return model;
}

}  // namespace moesim
