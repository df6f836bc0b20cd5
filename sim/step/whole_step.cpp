// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_step.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/attention_cost.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/replay.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumWholeParts> kPartNames = {
    "attention", "tensor_parallel", "dense", "gate", "dispatch", "experts", "combine", "head"};

WholePart part_of(const TaskLabel& label) {
  if (label.tensor_parallel) {
    return WholePart::kTensorParallel;
  }
  switch (label.kind) {
    case TaskKind::kAttention:
      return WholePart::kAttention;
    case TaskKind::kDense:
      return WholePart::kDense;
    case TaskKind::kHead:
      return WholePart::kHead;
    case TaskKind::kGate:
      return WholePart::kGate;
    case TaskKind::kExperts:
      return WholePart::kExperts;
    case TaskKind::kCombineFlow:
    case TaskKind::kCombineDone:
    case TaskKind::kReduce:
      return WholePart::kCombine;
    case TaskKind::kLaunch:
    case TaskKind::kIssue:
    case TaskKind::kPipelineFill:
    case TaskKind::kDispatchFlow:
    case TaskKind::kDispatchDone:
      return label.combine ? WholePart::kCombine : WholePart::kDispatch;
    case TaskKind::kBackground:  // nothing waits for it
      break;
  }
  MOESIM_CHECK(false, "unknown task");
}

/// What each TP group brings.
std::vector<std::vector<AttentionLoad>> group_loads(const WholeModel& m) {
  if (!m.loads.empty()) {
    return m.loads;
  }
  const AttentionLoad same = attention_load(m.kind, m.batch, m.parallel, m.kv_dtype);
  return {static_cast<std::size_t>(m.step.ranks / m.parallel.tp), {same}};
}

/// Tokens and sequences of one TP group.
struct GroupSize {
  std::int64_t tokens = 0;
  std::int64_t sequences = 0;
};
GroupSize size_of(const std::vector<AttentionLoad>& loads) {
  GroupSize size;
  for (const AttentionLoad& load : loads) {
    size.tokens += load.tokens();
    size.sequences += load.tokens() > 0 ? load.sequences : 0;
  }
  return size;
}

/// Every rank to every other one of its TP group.
CommPlan exchange_in_groups(const WholeModel& m,
                            const std::vector<std::vector<AttentionLoad>>& loads) {
  CommPlan plan;
  plan.row_bytes = activation_row_bytes(m.step.model.hidden_size, Dtype::kBf16);
  const int tp = m.parallel.tp;
  for (int source = 0; source < m.step.ranks; ++source) {
    const int first = source / tp * tp;
    const std::int64_t tokens = size_of(loads[static_cast<std::size_t>(source / tp)]).tokens;
    const std::int64_t own =
        tokens * (source - first + 1) / tp - tokens * (source - first) / tp;
    for (int destination = first; destination < first + tp; ++destination) {
      if (destination != source && own > 0) {
        plan.transfers.push_back({.source = RankId{source},
                                  .destination = RankId{destination},
                                  .bytes = own * plan.row_bytes,
                                  .messages = 1});
      }
    }
  }
  return plan;
}

/// The task graph of one step, layer after layer.
class WholeRun {
 public:
  WholeRun(const WholeModel& model, std::vector<PreparedLayer> layers)
      : model_(model),
        capacity_(effective_capacities(model.step.cluster, model.step.constants)),
        finder_(model.step.cluster,
                path_policy_of(model.step.dispatch, model.step.path_policy),
                model.step.seed,
                model.step.path_spread),
        paths_(finder_,
               model.step.ranks,
               model.step.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly),
        group_paths_(finder_, model.step.ranks, PathScope::kAny),
        prepared_(std::move(layers)),
        loads_(group_loads(model)),
        compute_{model.step.cluster.gpu, model.step.constants} {}

  WholeStepResult run(int step) {
    build();
    NetworkSettings settings;
    settings.engine = model_.step.engine;
    if (model_.step.message_chunk.value > 0.0) {
      settings.chunk = model_.step.message_chunk;
    }
    const auto network = make_network(settings, capacity_);
    const TaskTimes times = execute(graph_, *network);
    WholeStepResult result;
    result.step = step;
    result.flows = std::count_if(graph_.tasks.begin(), graph_.tasks.end(), [](const Task& task) {
      return task.flow_path >= 0;
    });
    result.network_events = network->events();
    attribute(times, result);
    return result;
  }

 private:
  void build() {
    const ModelShape& shape = model_.step.model;
    ModelShape share = shape;
    share.attention = attention_share(shape.attention, model_.parallel.tp);
    std::vector<Seconds> attention;  // by TP group
    std::vector<Seconds> dense;
    std::vector<Seconds> head;
    for (const std::vector<AttentionLoad>& loads : loads_) {
      const auto [tokens, sequences] = size_of(loads);
      const bool any = tokens > 0;
      const int tp = model_.parallel.tp;
      attention.push_back(mixed_attention_time(compute_, share, loads));
      dense.push_back(any ? dense_ffn_time(compute_, shape, tp, tokens) : Seconds{});
      head.push_back(any ? head_time(compute_, shape, tp, sequences) : Seconds{});
    }
    const CommunicationModel communication =
        communication_model(model_.step.dispatch, model_.step.constants, capacity_);
    std::size_t moe = 0;
    for (int layer = 0; layer < shape.layers; ++layer) {
      exchange();
      compute(TaskKind::kAttention, attention);
      exchange();
      if (is_moe_layer(shape, layer)) {
        LayerTasks before;
        before.done = ready_;
        ready_ = append_layer(graph_,
                              prepared_[moe++].work,
                              communication,
                              paths_,
                              ready_.empty() ? nullptr : &before)
                     .done;
      } else {
        exchange();
        compute(TaskKind::kDense, dense);
        exchange();
      }
    }
    compute(TaskKind::kHead, head);
    join_paths();
  }

  /// One task on every rank, of the time of its TP group, slower on a slow GPU.
  void compute(TaskKind kind, const std::vector<Seconds>& by_group) {
    std::vector<TaskId> tasks;
    for (int r = 0; r < model_.step.ranks; ++r) {
      TaskLabel label;
      label.kind = kind;
      label.rank = r;
      const Seconds time = by_group[static_cast<std::size_t>(r / model_.parallel.tp)];
      tasks.push_back(
          graph_.add_delay(label, ticks(time / model_.step.cluster.place(GpuId{r}).speed)));
      if (!ready_.empty()) {
        graph_.add_edge(ready_[static_cast<std::size_t>(r)], tasks.back());
      }
    }
    ready_ = std::move(tasks);
  }

  /// Rows go round inside each TP group; nothing without one, nor before the first layer, whose
  /// rows every rank looks up itself.
  void exchange() {
    if (model_.parallel.tp == 1 || ready_.empty()) {
      return;
    }
    const std::size_t first = graph_.tasks.size();
    ready_ = append_plain_exchange(
        graph_, group_plan_, model_.step.constants.communication_start, group_paths_, ready_);
    for (std::size_t i = first; i < graph_.tasks.size(); ++i) {
      graph_.tasks[i].label.tensor_parallel = true;
    }
  }

  /// Both tables of paths behind one another.
  void join_paths() {
    graph_.paths = paths_.paths();
    const auto shift = static_cast<std::int32_t>(graph_.paths.size());
    graph_.paths.insert(
        graph_.paths.end(), group_paths_.paths().begin(), group_paths_.paths().end());
    for (Task& task : graph_.tasks) {
      task.flow_path += task.flow_path >= 0 && task.label.tensor_parallel ? shift : 0;
    }
  }

  /// Back from the last head task through the predecessors that set each start.
  void attribute(const TaskTimes& times, WholeStepResult& result) const {
    std::optional<TaskId> current = ready_.front();
    for (const TaskId head : ready_) {
      current = times.end[head.index()] > times.end[current->index()] ? head : *current;
    }
    result.makespan = times.end[current->index()];
    while (current) {
      const std::size_t i = current->index();
      result.parts[static_cast<std::size_t>(part_of(graph_.tasks[i].label))] +=
          times.end[i] - times.start[i];
      current = times.bound_by[i];
    }
    MOESIM_CHECK(
        std::accumulate(result.parts.begin(), result.parts.end(), SimTime{}) == result.makespan,
        "attribution does not sum to the makespan");
  }

  const WholeModel& model_;
  std::vector<BytesPerSecond> capacity_;
  PathFinder finder_;
  PathTable paths_;
  PathTable group_paths_;
  TaskGraph graph_;
  std::vector<PreparedLayer> prepared_;
  std::vector<std::vector<AttentionLoad>> loads_;  ///< by TP group
  ComputeModel compute_;
  CommPlan group_plan_ = exchange_in_groups(model_, loads_);
  std::vector<TaskId> ready_;  ///< by rank, its last task so far
};

}  // namespace

std::string_view whole_part_name(WholePart part) {
  return kPartNames[static_cast<std::size_t>(part)];
}

WholeStepResult simulate_whole_step(const WholeModel& model, int step) {
  std::vector<PreparedLayer> layers(static_cast<std::size_t>(model.step.layers));
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto prepare = [&](std::size_t layer) {
    layers[layer] = prepare_layer(model.step, step, static_cast<int>(layer));
  };
  tbb::parallel_for(std::size_t{0}, layers.size(), prepare, own);
  return WholeRun(model, std::move(layers)).run(step);
}

std::vector<WholeStepResult> replay_whole(const WholeModel& model,
                                          int steps,
                                          const WholeControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  std::vector<WholeStepResult> results;
  for (int step = 0; step < steps; ++step) {
    if (control.cancelled != nullptr && control.cancelled->load()) {
      throw Cancelled();
    }
    results.push_back(simulate_whole_step(model, step));
    if (control.on_progress) {
      control.on_progress(step + 1, steps);
    }
  }
  return results;
}

}  // namespace moesim
