// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_step.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/micro_batch.hpp"
#include "sim/step/pass_graph.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/train_step.hpp"
#include "sim/step/whole_trace.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumWholeParts> kPartNames = {"attention",
                                                                     "tensor_parallel",
                                                                     "dense",
                                                                     "gate",
                                                                     "dispatch",
                                                                     "experts",
                                                                     "combine",
                                                                     "head",
                                                                     "slowed",
                                                                     "host",
                                                                     "pipeline",
                                                                     "bubble",
                                                                     "gradients",
                                                                     "weights",
                                                                     "optimiser"};

/// A micro-batch and its layers.
struct Prepared {
  MicroBatch batch;
  std::vector<PreparedLayer> layers;
};

/// Every MoE layer of the step, whole or in halves (layers in parallel).
std::vector<Prepared> prepare(const WholeModel& m, int step) {
  std::vector<Prepared> batches;
  if (m.overlap == Overlap::kTwoBatch) {
    for (const MicroBatch& half : halves(m)) {
      batches.push_back({half, {}});
    }
  } else {
    batches.push_back({{0, m.batch.tokens_per_rank, pass_load(m)}, {}});
  }
  const auto layers = static_cast<std::size_t>(m.step.layers);
  for (Prepared& prepared : batches) {
    prepared.layers.resize(layers);
  }
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto prepare_one = [&](std::size_t layer) {
    const int moe = static_cast<int>(layer);
    if (batches.size() == 1) {
      batches.front().layers[layer] = prepare_layer(m.step, step, moe);
      return;
    }
    const Routing routing = m.step.routing->route(step, moe);
    for (Prepared& prepared : batches) {
      prepared.layers[layer] = prepare_routed(
          m.step, moe, tokens_of(routing, prepared.batch.first_token, prepared.batch.tokens));
    }
  };
  tbb::parallel_for(std::size_t{0}, layers, prepare_one, own);
  return batches;
}

std::vector<Pass> passes_of(const WholeModel& model, const std::vector<Prepared>& batches) {
  std::vector<Pass> passes;
  for (const Prepared& prepared : batches) {
    const PassShape shape{.layers = {0, model.step.model.layers},
                          .head = prepared.batch.load.head_rows > 0,
                          .tp = model.parallel.tp,
                          .overlap = model.overlap};
    passes.push_back({.program = forward_program(model.step.model, shape),
                      .load = prepared.batch.load,
                      .layers = prepared.layers});
  }
  return passes;
}

}  // namespace

std::string_view whole_part_name(WholePart part) {
  return kPartNames[static_cast<std::size_t>(part)];
}

bool is_exposed_communication(WholePart part) {
  switch (part) {
    case WholePart::kTensorParallel:
    case WholePart::kDispatch:
    case WholePart::kCombine:
    case WholePart::kPipeline:
    case WholePart::kGradients:
    case WholePart::kWeights:
      return true;
    default:
      return false;
  }
}

WholeStepResult simulate_whole_step(const WholeModel& model, int step) {
  if (model.kind == StepKind::kTrain) {
    return simulate_train_step(model, step);
  }
  const std::vector<Prepared> batches = prepare(model, step);
  const PassResult run = run_passes(model, passes_of(model, batches));
  return {.step = step,
          .makespan = run.makespan,
          .parts = run.parts,
          .communication = run.communication,
          .flows = run.flows,
          .network_events = run.network_events};
}

StepTrace trace_whole_step(const WholeModel& model, int step, SimTime makespan) {
  MOESIM_CHECK(model.kind != StepKind::kTrain, "a training step has a trace of its own");
  const std::vector<Prepared> batches = prepare(model, step);
  return trace_passes(model, passes_of(model, batches), makespan).trace;
}

std::vector<WholeStepResult> replay_whole(const WholeModel& model,
                                          int steps,
                                          const WholeControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  const int of_step = model.kind == StepKind::kTrain ? num_passes(model) : 1;
  int done = 0;
  const auto on_pass = [&] {
    ++done;
    if (control.on_progress) {
      control.on_progress(done, steps * of_step);
    }
  };
  std::vector<WholeStepResult> results;
  for (int step = 0; step < steps; ++step) {
    if (control.cancelled != nullptr && control.cancelled->load()) {
      throw Cancelled();
    }
    if (model.kind == StepKind::kTrain) {
      results.push_back(
          simulate_train_step(model, step, {.cancelled = control.cancelled, .on_pass = on_pass}));
    } else {
      results.push_back(simulate_whole_step(model, step));
      on_pass();
    }
  }
  return results;
}

}  // namespace moesim
