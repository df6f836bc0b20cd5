// SPDX-License-Identifier: Apache-2.0
#include "sim/step/train_step.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/step/pipeline.hpp"
#include "sim/step/prepared_batch.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/stage_parts.hpp"
#include "sim/step/train_schedule.hpp"

namespace moesim {
namespace {

/// The MoE layers of a part, in parallel.
std::vector<PreparedLayer> prepare_part(const WholeModel& m, StageLayers layers, int routing) {
  const std::vector<int> moe_layers = moe_layers_in(m.step.model, layers);
  std::vector<PreparedLayer> prepared(moe_layers.size());
  tbb::task_group_context own(tbb::task_group_context::isolated);  // see prepare_step()
  tbb::parallel_for(
      std::size_t{0},
      prepared.size(),
      [&](std::size_t i) { prepared[i] = prepare_layer(m.step, routing, moe_layers[i]); },
      own);
  return prepared;
}

TrainPass run_part(const WholeModel& m,
                   int part,
                   int sample,
                   int routing,
                   const TrainControl& control,
                   const std::function<void()>& on_pass) {
  const PassShape shape{.layers = part_layers(m.step.model, m.parallel, part),
                        .head = part + 1 == m.parallel.pp * m.parallel.virtual_stages,
                        .tp = m.parallel.tp,
                        .overlap = m.overlap,
                        .recompute = m.training.recompute};
  const std::vector<PreparedLayer> prepared = prepare_part(m, shape.layers, routing);
  const PassLoad load = pass_load(m);
  const Pass forward{forward_program(m.step.model, shape), load, prepared};
  const Pass backward{backward_program(m.step.model, shape), load, prepared};
  TrainPass run;
  run.weights = ticks(weight_gradients_time(m, load, shape.layers, shape.head, prepared));
  const auto run_kind = [&](PassKind kind, std::span<const Pass> passes) {
    return control.run ? control.run({part, sample, kind}, passes) : run_passes(m, passes);
  };
  const auto pass = [&](int which) {
    if (which == 0) {
      run.forward = run_kind(PassKind::kForward, std::array{forward});
    } else if (which == 1) {
      run.backward = run_kind(PassKind::kBackward, std::array{backward});
    } else {
      run.pair = run_kind(PassKind::kPair, std::array{forward, backward});
    }
    on_pass();
  };
  tbb::task_group_context own(tbb::task_group_context::isolated);
  tbb::parallel_for(0, m.overlap == Overlap::kDualPipe ? 3 : 2, pass, own);
  return run;
}

/// When the step ends, with what follows the passes of each stage.
SimTime finish(const PipelineResult& passes,
               const std::vector<StageState>& states,
               bool gradients,
               bool optimiser) {
  SimTime last;
  for (std::size_t s = 0; s < states.size(); ++s) {
    last = std::max(last, stage_tail(passes.stages[s], states[s], gradients, optimiser).end);
  }
  return last;
}

PassSums sum_passes(const PipelineShape& shape, const TrainPasses& runs) {
  const auto of = [&](int part, int batch) -> const TrainPass& {
    const auto& samples = runs[static_cast<std::size_t>(part)];
    return samples[static_cast<std::size_t>(batch) % samples.size()];
  };
  PassSums sums;
  for (int s = 0; s < shape.stages; ++s) {
    for (const PipelineOp& op : stage_order(shape, s)) {
      if (op.weights >= 0) {
        continue;  // counted with the gradients of inputs
      }
      if (op.forward >= 0 && op.backward >= 0) {
        add_pass(sums, of(op.forward, op.forward_batch).pair);
      } else if (op.forward >= 0) {
        add_pass(sums, of(op.forward, op.forward_batch).forward);
      } else {
        add_pass(sums, of(op.backward, op.backward_batch).backward);
      }
    }
  }
  return sums;
}

/// Counts the flows and events of the passes into the result.
void count_network(const TrainPasses& runs, WholeStepResult& result) {
  for (const auto& samples : runs) {
    for (const TrainPass& run : samples) {
      for (const PassResult* pass : {&run.forward, &run.backward, &run.pair}) {
        result.flows += pass->flows;
        result.network_events += pass->network_events;
      }
    }
  }
}

}  // namespace

int num_passes(const WholeModel& m) {
  const int of_part = m.overlap == Overlap::kDualPipe ? 3 : 2;
  return m.parallel.pp * m.parallel.virtual_stages * m.training.samples * of_part;
}

TrainPasses simulate_train_passes(const WholeModel& m, int step, const TrainControl& control) {
  const int samples = m.training.samples;
  const int parts = m.parallel.pp * m.parallel.virtual_stages;
  TrainPasses runs(static_cast<std::size_t>(parts),
                   std::vector<TrainPass>(static_cast<std::size_t>(samples)));
  std::mutex progress;
  const auto on_pass = [&] {
    const std::scoped_lock lock(progress);
    if (control.on_pass) {
      control.on_pass();
    }
  };
  tbb::task_group_context own(tbb::task_group_context::isolated);
  tbb::parallel_for(
      0,
      parts * samples,
      [&](int i) {
        if (control.cancelled != nullptr && control.cancelled->load()) {
          throw Cancelled();
        }
        const int part = i / samples;
        const int sample = i % samples;
        runs[static_cast<std::size_t>(part)][static_cast<std::size_t>(sample)] =
            run_part(m, part, sample, step * samples + sample, control, on_pass);
      },
      own);
  return runs;
}

WholeStepResult simulate_train_step(const WholeModel& m, int step, const TrainControl& control) {
  return schedule_train_step(m, step, simulate_train_passes(m, step, control));
}

WholeStepResult schedule_train_step(const WholeModel& m, int step, const TrainPasses& runs) {
  Pipeline pipeline = pipeline_of(m, runs);
  WholeStepResult result;
  result.step = step;
  count_network(runs, result);
  const TrainFabric fabric(m);
  const std::vector<StageState>& states = fabric.states;
  const PassSums sums = sum_passes(pipeline.shape, runs);
  const SimTime schedule = run_pipeline(pipeline).end();
  pipeline.transfers = m.parallel.pp > 1 ? &fabric.transfers : nullptr;
  PipelineResult run = run_pipeline(pipeline);
  const SimTime with_transfers = run.end();
  result.flows += run.flows;
  result.network_events += run.network_events;
  const auto rerun = [&](bool reduces) {
    pipeline.exchanges = fabric.exchanges();
    for (StageExchanges& during : pipeline.exchanges) {
      during.reduce = reduces ? during.reduce : SimTime{};
    }
    run = run_pipeline(pipeline);
  };
  const bool gathers = states.front().during.gather > SimTime{};
  const bool reduces = states.front().during.reduce > SimTime{};
  if (gathers) {
    rerun(false);
  }
  const SimTime with_weights = finish(run, states, false, false);
  if (reduces) {
    rerun(true);
  }
  const SimTime with_gradients = finish(run, states, true, false);
  result.makespan = finish(run, states, true, true);

  result.parts = mean_parts(sums.parts, m.parallel.pp);
  result.communication = {sums.communication.picoseconds / m.parallel.pp};
  const auto put = [&](WholePart part, SimTime time) {
    result.parts[static_cast<std::size_t>(part)] = time;
  };
  put(WholePart::kBubble, schedule - SimTime{sums.busy.picoseconds / m.parallel.pp});
  put(WholePart::kPipeline, with_transfers - schedule);
  put(WholePart::kWeights, with_weights - with_transfers);
  put(WholePart::kGradients, with_gradients - with_weights);
  put(WholePart::kOptimiser, result.makespan - with_gradients);
  MOESIM_CHECK(
      std::accumulate(result.parts.begin(), result.parts.end(), SimTime{}) == result.makespan,
      "attribution does not sum to the makespan");
  return result;
}

}  // namespace moesim
