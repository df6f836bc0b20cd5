// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_step.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/forward_pipeline.hpp"
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
  return simulate_prepared_step(model, step, prepare_whole_step(model, step));
}

WholeStepResult simulate_prepared_step(const WholeModel& model,
                                       int step,
                                       const PreparedStep& prepared) {
  MOESIM_CHECK(prepared.size() == static_cast<std::size_t>(model.parallel.pp), "of this model");
  std::vector<PassResult> stages(prepared.size());
  tbb::task_group_context own(tbb::task_group_context::isolated);
  tbb::parallel_for(
      std::size_t{0},
      stages.size(),
      [&](std::size_t s) {
        const StageLayers layers =
            part_layers(model.step.model, model.parallel, static_cast<int>(s));
        stages[s] = run_passes(model, passes_of(model, prepared[s], layers));
      },
      own);
  if (stages.size() > 1) {
    return forward_result(model, step, stages);
  }
  const PassResult& run = stages.front();
  return {.step = step,
          .makespan = run.makespan,
          .parts = run.parts,
          .communication = run.communication,
          .flows = run.flows,
          .network_events = run.network_events};
}

StepTrace trace_whole_step(const WholeModel& model, int step, SimTime makespan) {
  MOESIM_CHECK(model.kind != StepKind::kTrain && model.parallel.pp == 1, "a step with a trace");
  const StageLayers all{0, model.step.model.layers};
  const std::vector<PreparedBatch> batches = prepare_batches(model, step, all);
  return trace_passes(model, passes_of(model, batches, all), makespan).trace;
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
