// SPDX-License-Identifier: Apache-2.0
#include "sim/step/pipeline.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {
namespace {

/// The n-th pass of a stage in each direction.
struct Turn {
  int part = 0;
  int batch = 0;
};

Turn turn_of(const PipelineShape& shape, int stage, int n, bool backward) {
  const int round = shape.stages * shape.virtual_stages;
  const int place = n % round / shape.stages;
  const int of_stage = backward ? shape.virtual_stages - 1 - place : place;
  if (shape.virtual_stages == 1) {
    return {stage, n};
  }
  return {of_stage * shape.stages + stage, n / round * shape.stages + n % shape.stages};
}

class PipelineRun {
 public:
  explicit PipelineRun(const Pipeline& pipeline)
      : p_(pipeline),
        forward_(slots()),
        backward_(slots()),
        stages_(static_cast<std::size_t>(pipeline.shape.stages)) {
    if (p_.transfers != nullptr) {
      paths_.emplace(*p_.transfers->finder, p_.shape.stages * p_.transfers->ranks, PathScope::kAny);
    }
  }

  PipelineResult run() {
    build();
    const auto network = this->network();
    return result_of(execute(graph_, *network), *network);
  }

  PipelineTrace trace(const Cluster& cluster, SimTime makespan) {
    build();
    const auto network = this->network();
    PipelineTrace trace;
    StepTrace& tasks = trace.tasks;
    if (p_.transfers == nullptr) {
      tasks.times = execute(graph_, *network);
    } else {
      WatchedRun run = execute_watched(graph_, *network, cluster, p_.transfers->capacity, makespan);
      tasks.times = std::move(run.times);
      tasks.watched = std::move(run.watched);
      tasks.links = std::move(run.links);
      tasks.ranks = p_.shape.stages * p_.transfers->ranks;
    }
    trace.result = result_of(tasks.times, *network);
    tasks.graph = std::move(graph_);
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      trace.order.push_back(stage_order(p_.shape, static_cast<int>(s)));
      trace.ops.push_back(std::move(stages_[s].ops));
      trace.gathers.push_back(std::move(stages_[s].gathers));
      trace.reduces.push_back(std::move(stages_[s].reduces));
    }
    trace.rows = std::move(rows_);
    return trace;
  }

 private:
  struct Stage {
    std::vector<TaskId> ops;
    std::vector<TaskId> gathers;
    std::vector<TaskId> reduces;
    SimTime busy;
  };

  void build() {
    for (int s = 0; s < p_.shape.stages; ++s) {
      add_stage(s);
    }
    for (int part = 0; part < p_.shape.parts(); ++part) {
      for (int batch = 0; batch < p_.shape.micro_batches; ++batch) {
        connect(part, batch);
      }
    }
    if (paths_) {
      graph_.paths = paths_->paths();
    }
  }

  [[nodiscard]] std::unique_ptr<Network> network() const {
    const std::vector<BytesPerSecond> none(1, BytesPerSecond{1});
    return p_.transfers == nullptr ? make_network(NetworkEngine::kFluid, none)
                                   : make_network(p_.transfers->network, p_.transfers->capacity);
  }

  [[nodiscard]] PipelineResult result_of(const TaskTimes& times, const Network& network) const {
    PipelineResult result;
    result.flows = static_cast<std::int64_t>(rows_.size());
    result.network_events = network.events();
    for (const Stage& stage : stages_) {
      const std::size_t last = stage.ops.back().index();
      StageTimes t{.busy = stage.busy,
                   .last_start = times.start[last],
                   .end = times.end[last],
                   .reduced = times.end[last]};
      if (!stage.reduces.empty()) {
        t.reduced = std::max(t.reduced, times.end[stage.reduces.back().index()]);
      }
      result.stages.push_back(t);
    }
    return result;
  }

  [[nodiscard]] std::size_t slots() const {
    return static_cast<std::size_t>(p_.shape.parts()) *
           static_cast<std::size_t>(p_.shape.micro_batches);
  }
  [[nodiscard]] std::size_t slot(int part, int batch) const {
    return static_cast<std::size_t>(part) * static_cast<std::size_t>(p_.shape.micro_batches) +
           static_cast<std::size_t>(batch);
  }
  [[nodiscard]] const PartTimes& times_of(int part, int batch) const {
    const std::vector<PartTimes>& samples = p_.times[static_cast<std::size_t>(part)];
    return samples[static_cast<std::size_t>(batch) % samples.size()];
  }

  /// Where a part runs for a micro-batch.
  [[nodiscard]] int stage_of(int part, int batch) const {
    const bool back = p_.shape.bidirectional && 2 * batch >= p_.shape.micro_batches;
    const int stage = part % p_.shape.stages;
    return back ? p_.shape.stages - 1 - stage : stage;
  }

  [[nodiscard]] SimTime length(const PipelineOp& op) const {
    if (op.weights >= 0) {
      return times_of(op.weights, op.weights_batch).weights;
    }
    if (op.inputs_only) {
      const PartTimes& times = times_of(op.backward, op.backward_batch);
      return times.backward - times.weights;
    }
    if (op.forward >= 0 && op.backward >= 0) {
      return times_of(op.forward, op.forward_batch).pair;
    }
    return op.forward >= 0 ? times_of(op.forward, op.forward_batch).forward
                           : times_of(op.backward, op.backward_batch).backward;
  }

  [[nodiscard]] static TaskLabel label(int rank) {
    TaskLabel label;
    label.kind = TaskKind::kPipeline;
    label.rank = rank;
    return label;
  }

  void add_stage(int s) {
    Stage& stage = stages_[static_cast<std::size_t>(s)];
    const StageExchanges exchanges =
        p_.exchanges.empty() ? StageExchanges{} : p_.exchanges[static_cast<std::size_t>(s)];
    for (const PipelineOp& op : stage_order(p_.shape, s)) {
      const SimTime time = length(op);
      const TaskId task = graph_.add_delay(label(s), time);
      stage.busy += time;
      if (!stage.ops.empty()) {
        graph_.add_edge(stage.ops.back(), task);
      }
      if (exchanges.gather > SimTime{}) {
        add_gather(stage, s, exchanges.gather, task);
      }
      if (!stage.reduces.empty() && !exchanges.overlaps) {
        graph_.add_edge(stage.reduces.back(), task);
      }
      if (op.backward >= 0 && exchanges.reduce > SimTime{}) {
        const TaskId reduce = graph_.add_delay(label(s), exchanges.reduce);
        graph_.add_edge(task, reduce);
        if (!stage.reduces.empty()) {
          graph_.add_edge(stage.reduces.back(), reduce);
        }
        stage.reduces.push_back(reduce);
      }
      stage.ops.push_back(task);
      if (op.forward >= 0) {
        forward_[slot(op.forward, op.forward_batch)] = task;
      }
      if (op.backward >= 0) {
        backward_[slot(op.backward, op.backward_batch)] = task;
      }
    }
  }

  /// Fetched while the pass before runs, after the gather before.
  void add_gather(Stage& stage, int s, SimTime time, TaskId pass) {
    const TaskId gather = graph_.add_delay(label(s), time);
    if (!stage.gathers.empty()) {
      graph_.add_edge(stage.gathers.back(), gather);
    }
    if (stage.ops.size() >= 2) {
      graph_.add_edge(stage.ops[stage.ops.size() - 2], gather);
    }
    graph_.add_edge(gather, pass);
    stage.gathers.push_back(gather);
  }

  /// What a part's passes hand to the next part, and the gradients back.
  void connect(int part, int batch) {
    const std::size_t at = slot(part, batch);
    if (part + 1 == p_.shape.parts()) {
      graph_.add_edge(forward_[at], backward_[at]);
      return;
    }
    const std::size_t next = slot(part + 1, batch);
    const int here = stage_of(part, batch);
    const int there = stage_of(part + 1, batch);
    transfer(forward_[at],
             forward_[next],
             {.part = part, .batch = batch, .source = here, .target = there});
    transfer(backward_[next],
             backward_[at],
             {.part = part + 1, .batch = batch, .backward = true, .source = there, .target = here});
  }

  void transfer(TaskId from, TaskId to, PipelineTrace::Rows rows) {
    const int source = rows.source;
    const int target = rows.target;
    if (p_.transfers == nullptr || source == target) {
      graph_.add_edge(from, to);
      return;
    }
    const StageTransfers& t = *p_.transfers;
    for (int r = 0; r < t.ranks; ++r) {
      for (const PathPart& path :
           paths_->find(RankId{source * t.ranks + r}, RankId{target * t.ranks + r})) {
        const TaskId flow = graph_.add_flow(label(source), path.path, t.bytes * path.share);
        graph_.add_edge(from, flow);
        graph_.add_edge(flow, to);
        rows.rank = r;
        rows.flow = flow;
        rows_.push_back(rows);
      }
    }
  }

  const Pipeline& p_;
  TaskGraph graph_;
  std::optional<PathTable> paths_;
  std::vector<TaskId> forward_;   ///< by slot
  std::vector<TaskId> backward_;  ///< by slot
  std::vector<Stage> stages_;
  std::vector<PipelineTrace::Rows> rows_;
};

}  // namespace

std::vector<PipelineOp> one_forward_one_backward(const PipelineShape& shape, int stage) {
  MOESIM_CHECK(shape.virtual_stages == 1 || shape.micro_batches % shape.stages == 0,
               "interleaved micro-batches come in groups of as many as stages");
  const int passes = shape.micro_batches * shape.virtual_stages;
  const int behind = shape.stages - stage - 1;
  const int warm_up = shape.virtual_stages == 1 && !shape.pairs
                          ? behind
                          : 2 * behind + (shape.virtual_stages - 1) * shape.stages;
  const int first = std::min(passes, warm_up + (shape.pairs ? 1 : 0));
  std::vector<PipelineOp> ops;
  const auto put = [&](int forward, int backward) {
    PipelineOp op;
    if (forward >= 0) {
      const Turn turn = turn_of(shape, stage, forward, false);
      op.forward = turn.part;
      op.forward_batch = turn.batch;
    }
    if (backward >= 0) {
      const Turn turn = turn_of(shape, stage, backward, true);
      op.backward = turn.part;
      op.backward_batch = turn.batch;
    }
    ops.push_back(op);
  };
  for (int n = 0; n < first; ++n) {
    put(n, -1);
  }
  for (int n = first; n < passes; ++n) {
    if (shape.pairs) {
      put(n, n - first);
    } else {
      put(n, -1);
      put(-1, n - first);
    }
  }
  for (int n = passes - first; n < passes; ++n) {
    put(-1, n);
  }
  return ops;
}

std::vector<PipelineOp> stage_order(const PipelineShape& shape, int stage) {
  return shape.bidirectional ? dualpipe_order(shape, stage)
                             : one_forward_one_backward(shape, stage);
}

SimTime PipelineResult::end() const {
  SimTime last;
  for (const StageTimes& stage : stages) {
    last = std::max(last, stage.end);
  }
  return last;
}

PipelineResult run_pipeline(const Pipeline& pipeline) {
  return PipelineRun(pipeline).run();
}

PipelineTrace trace_pipeline(const Pipeline& pipeline, const Cluster& cluster, SimTime makespan) {
  return PipelineRun(pipeline).trace(cluster, makespan);
}

}  // namespace moesim
