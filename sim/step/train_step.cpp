// SPDX-License-Identifier: Apache-2.0
#include "sim/step/train_step.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/step/collectives.hpp"
#include "sim/step/memory.hpp"
#include "sim/step/pipeline.hpp"
#include "sim/step/prepared_batch.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/stage_parts.hpp"
#include "sim/step/stage_state.hpp"

namespace moesim {
namespace {

/// The MoE layers of a part, in parallel.
std::vector<PreparedLayer> prepare_part(const WholeModel& m, StageLayers layers, int sample) {
  const std::vector<int> moe_layers = moe_layers_in(m.step.model, layers);
  std::vector<PreparedLayer> prepared(moe_layers.size());
  tbb::task_group_context own(tbb::task_group_context::isolated);  // see prepare_step()
  tbb::parallel_for(
      std::size_t{0},
      prepared.size(),
      [&](std::size_t i) { prepared[i] = prepare_layer(m.step, sample, moe_layers[i]); },
      own);
  return prepared;
}

TrainPass run_part(const WholeModel& m,
                   int part,
                   int sample,
                   const std::function<void()>& on_pass) {
  const PassShape shape{.layers = part_layers(m.step.model, m.parallel, part),
                        .head = part + 1 == m.parallel.pp * m.parallel.virtual_stages,
                        .tp = m.parallel.tp,
                        .overlap = m.overlap,
                        .recompute = m.training.recompute};
  const std::vector<PreparedLayer> prepared = prepare_part(m, shape.layers, sample);
  const PassLoad load = pass_load(m);
  const Pass forward{forward_program(m.step.model, shape), load, prepared};
  const Pass backward{backward_program(m.step.model, shape), load, prepared};
  TrainPass run;
  run.weights = ticks(weight_gradients_time(m, load, shape.layers, shape.head, prepared));
  const auto pass = [&](int which) {
    if (which == 0) {
      run.forward = run_passes(m, std::array{forward});
    } else if (which == 1) {
      run.backward = run_passes(m, std::array{backward});
    } else {
      run.pair = run_passes(m, std::array{forward, backward});
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
    const StageTimes& t = passes.stages[s];
    const StageState& state = states[s];
    SimTime end = t.end;
    if (gradients) {
      const SimTime before = state.reduce - state.last_part;
      const SimTime begun = before > SimTime{} ? t.last_start + before : t.end;
      end = std::max({t.reduced, begun + state.last_part, t.end + state.last_part});
    }
    end += (optimiser ? state.optimiser : SimTime{}) + state.gather;
    last = std::max(last, end);
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

/// The schedule with the time of every pass that was simulated.
Pipeline pipeline_of(const WholeModel& m, const TrainPasses& runs) {
  Pipeline pipeline;
  pipeline.shape = {.stages = m.parallel.pp,
                    .virtual_stages = m.parallel.virtual_stages,
                    .micro_batches = m.batch.micro_batches,
                    .pairs = m.overlap == Overlap::kDualPipe,
                    .bidirectional = is_bidirectional(m)};
  for (const auto& samples : runs) {
    pipeline.times.emplace_back();
    for (const TrainPass& run : samples) {
      pipeline.times.back().push_back({run.forward.makespan,
                                       run.backward.makespan,
                                       run.pair.makespan,
                                       std::min(run.weights, run.backward.makespan)});
    }
  }
  return pipeline;
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

/// What a micro-batch's rows take from a stage to the next.
StageTransfers stage_transfers(const WholeModel& m, const PathFinder& finder) {
  StageTransfers transfers{
      .finder = &finder,
      .capacity = effective_capacities(m.step.cluster, m.step.constants),
      .network = {},
      .ranks = m.step.ranks,
      .bytes = bytes(static_cast<double>(
          m.batch.tokens_per_rank * activation_row_bytes(m.step.model.hidden_size, Dtype::kBf16)))};
  transfers.network.engine = m.step.engine;
  if (m.step.message_chunk.value > 0.0) {
    transfers.network.chunk = m.step.message_chunk;
  }
  return transfers;
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
            run_part(m, part, step * samples + sample, on_pass);
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
  const PathFinder finder(m.step.cluster, m.step.path_policy, m.step.seed, m.step.path_spread);
  const PathFinder ring_finder(m.step.cluster, PathPolicy::kRailAligned, m.step.seed);
  StageTransfers transfers = stage_transfers(m, finder);
  const RingFabric fabric{.cluster = &m.step.cluster,
                          .finder = &ring_finder,
                          .capacity = transfers.capacity,
                          .engine = m.step.engine,
                          .start = m.step.constants.communication_start};
  std::vector<StageState> states;
  for (int s = 0; s < m.parallel.pp; ++s) {
    states.push_back(stage_state(m, fabric, s));
  }

  const PassSums sums = sum_passes(pipeline.shape, runs);
  const SimTime schedule = run_pipeline(pipeline).end();
  pipeline.transfers = m.parallel.pp > 1 ? &transfers : nullptr;
  PipelineResult run = run_pipeline(pipeline);
  const SimTime with_transfers = run.end();
  result.flows += run.flows;
  result.network_events += run.network_events;
  const auto rerun = [&](bool reduces) {
    pipeline.exchanges.clear();
    for (const StageState& state : states) {
      pipeline.exchanges.push_back(state.during);
      pipeline.exchanges.back().reduce = reduces ? state.during.reduce : SimTime{};
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
