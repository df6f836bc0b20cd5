// SPDX-License-Identifier: Apache-2.0
#include "sim/step/pass_graph.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/pass_labels.hpp"
#include "sim/step/pass_spans.hpp"

namespace moesim {
namespace {

class PassRun {
 public:
  PassRun(const WholeModel& model, std::span<const Pass> passes)
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
        communication_(communication_model(model.step.dispatch, model.step.constants, capacity_)) {
    for (const Pass& pass : passes) {
      lanes_.push_back(make_lane(pass));
    }
    overlaps_ = model.overlap != Overlap::kNone;
    serial_kernels_ = lanes_.size() > 1 && kernel_sms(model.step.dispatch) > 0;
  }

  TracedPass trace(SimTime makespan) {
    build();
    const auto network = this->network();
    WatchedRun run = execute_watched(graph_, *network, model_.step.cluster, capacity_, makespan);
    TracedPass traced{.result = result_of(run.times, *network), .trace = {}};
    std::vector<TrackSpan> spans = pass_spans(graph_, kernels_, lane_of_kernel_, directions_);
    traced.trace = {.graph = std::move(graph_),
                    .times = std::move(run.times),
                    .spans = std::move(spans),
                    .ranks = model_.step.ranks,
                    .watched = std::move(run.watched),
                    .links = std::move(run.links)};
    return traced;
  }

  PassResult run() {
    build();
    const auto network = this->network();
    return result_of(execute(graph_, *network), *network);
  }

 private:
  struct Lane {
    const Pass* pass = nullptr;
    bool is_backward = false;  ///< the pass has backward steps: forward ones are recomputed
    PassCosts alone;
    PassCosts beside;             ///< where work overlaps
    CommPlan gather;              ///< inside TP groups
    std::vector<TaskId> last;     ///< by rank, what it computed last
    std::vector<TaskId> arrived;  ///< by rank, the end of a kernel that nothing has waited for yet
  };

  [[nodiscard]] PassResult result_of(const TaskTimes& times, const Network& network) const {
    PassResult result;
    result.flows = std::count_if(graph_.tasks.begin(), graph_.tasks.end(), [](const Task& task) {
      return task.flow_path >= 0;
    });
    result.network_events = network.events();
    measure_communication(times, result);
    attribute(times, result);
    wait_for_host(times, result);
    return result;
  }

  void build() {
    interleave();
    join_paths();
    if (overlaps_) {
      graph_.kernels = kernels_;
    }
  }

  [[nodiscard]] std::unique_ptr<Network> network() const {
    NetworkSettings settings;
    settings.engine = model_.step.engine;
    if (model_.step.message_chunk.value > 0.0) {
      settings.chunk = model_.step.message_chunk;
    }
    return make_network(settings, capacity_);
  }

  Lane make_lane(const Pass& pass) {
    Lane lane;
    lane.pass = &pass;
    lane.is_backward = std::any_of(
        pass.program.begin(), pass.program.end(), [](const auto& step) { return step.backward; });
    const ComputeModel nominal{model_.step.cluster.gpu, model_.step.constants};
    lane.alone = pass_costs(model_, nominal, pass.load, pass.layers, true);
    if (model_.overlap != Overlap::kNone) {
      const ComputeModel left = beside_communication(model_.step, pass.layers, paths_, capacity_);
      lane.beside = pass_costs(model_, left, pass.load, pass.layers, false);
    }
    if (model_.parallel.tp > 1) {
      lane.gather = exchange_in_groups(model_, pass.load);
    }
    return lane;
  }

  void interleave() {
    std::vector<Program> programs;
    for (const Lane& lane : lanes_) {
      programs.push_back(lane.pass->program);
    }
    for (const IssuedStep& issued : order_of_issue(programs)) {
      Lane& lane = lanes_[issued.program];
      const ProgramStep& step = programs[issued.program][issued.step];
      issue_by_host(lane, step);
      issue(lane, step);
      directions_.resize(graph_.tasks.size(), direction(lane, step));
    }
  }

  [[nodiscard]] static PassDirection direction(const Lane& lane, const ProgramStep& step) {
    if (step.backward) {
      return PassDirection::kBackward;
    }
    return lane.is_backward ? PassDirection::kRecompute : PassDirection::kForward;
  }

  void issue(Lane& lane, const ProgramStep& step) {
    switch (step.op) {
      case Op::kYield:
        return;
      case Op::kGather: {
        const std::size_t first = graph_.tasks.size();
        communicate(lane, [&](const std::vector<TaskId>& ready) {
          return append_plain_exchange(
              graph_, lane.gather, model_.step.constants.communication_start, group_paths_, ready);
        });
        for (std::size_t i = first; i < graph_.tasks.size(); ++i) {
          graph_.tasks[i].label.tensor_parallel = true;
        }
        return;
      }
      case Op::kDispatch:
        return communicate(lane, [&](const std::vector<TaskId>& ready) {
          return append_dispatch(graph_, work(lane, step), communication_, paths_, ready);
        });
      case Op::kCombine:
        return communicate(lane, [&](const std::vector<TaskId>& ready) {
          return append_combine(graph_, work(lane, step), communication_, paths_, ready);
        });
      default:
        return compute(lane, step);
    }
  }

  [[nodiscard]] const LayerWork& work(const Lane& lane, const ProgramStep& step) const {
    return lane.pass->layers[moe_index(model_.step.model, lane.pass->layers, step)].work;
  }

  void compute(Lane& lane, const ProgramStep& step) {
    const std::size_t moe = moe_index(model_.step.model, lane.pass->layers, step);
    const bool waits = step.op != Op::kShared;
    std::vector<TaskId> tasks;
    for (std::size_t r = 0; r < static_cast<std::size_t>(model_.step.ranks); ++r) {
      const double speed = model_.step.cluster.place(id_at<GpuId>(r)).speed;
      const SimTime alone = step_time(lane.alone, step, moe, r, speed);
      TaskLabel label;
      label.kind = kind_of(step.op);
      label.combine = step.op == Op::kReduce;
      label.layer = step.layer;
      label.rank = static_cast<std::int32_t>(r);
      tasks.push_back(graph_.add_delay(label, alone));
      if (overlaps_) {
        const SimTime beside = step_time(lane.beside, step, moe, r, speed);
        graph_.tasks.back().beside = pace(alone, beside);
      }
      if (!computed_.empty()) {
        graph_.add_edge(computed_[r], tasks.back());
      }
      if (waits && !lane.arrived.empty()) {
        graph_.add_edge(lane.arrived[r], tasks.back());
      }
    }
    lane.last = tasks;
    if (waits) {
      lane.arrived.clear();
    }
    computed_ = std::move(tasks);
  }

  [[nodiscard]] static double pace(SimTime alone, SimTime beside) {
    return beside > alone
               ? static_cast<double>(alone.picoseconds) / static_cast<double>(beside.picoseconds)
               : 1.0;
  }

  /// A kernel on every rank, after what its lane has computed and received.
  template <typename Append>
  void communicate(Lane& lane, const Append& append) {
    if (lane.last.empty()) {
      begin(lane);
    }
    const PhaseTasks phase = append(lane.arrived.empty() ? lane.last : lane.arrived);
    for (std::size_t r = 0; r < phase.start.size(); ++r) {
      if (serial_kernels_ && !communicated_.empty()) {
        graph_.add_edge(communicated_[r], phase.start[r]);
      }
      kernels_.push_back({phase.start[r], phase.done[r], static_cast<std::int32_t>(r)});
      lane_of_kernel_.push_back(static_cast<std::size_t>(&lane - lanes_.data()));
    }
    communicated_ = phase.done;
    lane.arrived = phase.done;
  }

  /// A pass that begins with a kernel waits for nothing.
  void begin(Lane& lane) {
    for (int r = 0; r < model_.step.ranks; ++r) {
      TaskLabel label;
      label.rank = r;
      lane.last.push_back(graph_.add_delay(label, SimTime{}));
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

  void measure_communication(const TaskTimes& times, PassResult& result) const {
    std::int64_t sum = 0;
    for (const KernelSpan& kernel : kernels_) {
      sum += (times.end[kernel.until.index()] - times.start[kernel.from.index()]).picoseconds;
    }
    result.communication = {sum / model_.step.ranks};
  }

  /// Back from the last task through the predecessors that set each start.
  void attribute(const TaskTimes& times, PassResult& result) const {
    std::optional<TaskId> current;
    for (const Lane& lane : lanes_) {
      for (const std::vector<TaskId>* ends : {&lane.last, &lane.arrived}) {
        for (const TaskId end : *ends) {
          current =
              !current || times.end[end.index()] > times.end[current->index()] ? end : *current;
        }
      }
    }
    if (!current) {
      return;
    }
    result.makespan = times.end[current->index()];
    while (current) {
      const std::size_t i = current->index();
      const Task& task = graph_.tasks[i];
      const SimTime length = times.end[i] - times.start[i];
      const SimTime alone = task.beside < 1 ? std::min(task.duration, length) : length;
      result.parts[static_cast<std::size_t>(part_of(task.label))] += alone;
      result.parts[static_cast<std::size_t>(WholePart::kSlowed)] += length - alone;
      current = times.bound_by[i];
    }
    MOESIM_CHECK(
        std::accumulate(result.parts.begin(), result.parts.end(), SimTime{}) == result.makespan,
        "attribution does not sum to the makespan");
  }

  /// The host has issued so many layers when it waits for what ranks compute.
  struct HostWait {
    double layers = 0;
    std::vector<TaskId> computed;  ///< by rank
  };

  /// Every layer has one step of attention in each direction.
  void issue_by_host(const Lane& lane, const ProgramStep& step) {
    const StepModel& m = model_.step;
    if (step.op == Op::kAttention) {
      host_layers_ += step.backward ? 2 : 1;
    } else if (step.op == Op::kDispatch && !step.backward && has_notify(m.dispatch.kind) &&
               m.capacity.policy != OverflowPolicy::kPad) {
      host_waits_.push_back({host_layers_, lane.last});
    }
  }

  void wait_for_host(const TaskTimes& times, PassResult& result) const {
    const auto waited_until = [&](const HostWait& wait) {
      SimTime last;
      for (const TaskId task : wait.computed) {
        last = std::max(last, times.end[task.index()]);
      }
      return last;
    };
    SimTime added;
    const auto between = [&](SimTime gpu, double layers) {
      added += std::max(SimTime{}, ticks(layers * model_.host_layer) - gpu);
    };
    SimTime outside = result.makespan;  // of the first and the last wait
    double layers_outside = host_layers_;
    for (std::size_t i = 1; i < host_waits_.size(); ++i) {
      const SimTime gpu = waited_until(host_waits_[i]) - waited_until(host_waits_[i - 1]);
      const double layers = host_waits_[i].layers - host_waits_[i - 1].layers;
      between(gpu, layers);
      outside = outside - gpu;
      layers_outside -= layers;
    }
    between(outside, layers_outside);
    result.parts[static_cast<std::size_t>(WholePart::kHost)] = added;
    result.makespan += added;
  }

  const WholeModel& model_;
  std::vector<BytesPerSecond> capacity_;
  PathFinder finder_;
  PathTable paths_;
  PathTable group_paths_;
  CommunicationModel communication_;
  std::vector<Lane> lanes_;
  bool overlaps_ = false;
  bool serial_kernels_ = false;  ///< kernels of a rank keep an order
  TaskGraph graph_;
  std::vector<KernelSpan> kernels_;
  std::vector<std::size_t> lane_of_kernel_;
  std::vector<PassDirection> directions_;  ///< by task
  std::vector<TaskId> computed_;           ///< by rank, the last task of its compute stream
  std::vector<TaskId> communicated_;       ///< by rank, the end of its last kernel
  double host_layers_ = 0;                 ///< issued, a layer backwards being two
  std::vector<HostWait> host_waits_;
};

}  // namespace

CommPlan exchange_in_groups(const WholeModel& m, const PassLoad& load) {
  CommPlan plan;
  plan.row_bytes = activation_row_bytes(m.step.model.hidden_size, Dtype::kBf16);
  const int tp = m.parallel.tp;
  for (int source = 0; source < m.step.ranks; ++source) {
    const int first = source / tp * tp;
    const std::int64_t tokens = load.tokens(static_cast<std::size_t>(source / tp));
    const std::int64_t own = tokens * (source - first + 1) / tp - tokens * (source - first) / tp;
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

std::size_t moe_index(const ModelShape& model,
                      std::span<const PreparedLayer> layers,
                      const ProgramStep& step) {
  if (layers.empty() || !is_moe_layer(model, step.layer)) {
    return 0;
  }
  const int moe = (step.layer - model.first_moe_layer) / model.moe_interval;
  return static_cast<std::size_t>(moe - layers.front().work.layer);
}

PassResult run_passes(const WholeModel& model, std::span<const Pass> passes) {
  return PassRun(model, passes).run();
}

TracedPass trace_passes(const WholeModel& model, std::span<const Pass> passes, SimTime makespan) {
  return PassRun(model, passes).trace(makespan);
}

}  // namespace moesim
