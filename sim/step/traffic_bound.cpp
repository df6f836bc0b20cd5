// SPDX-License-Identifier: Apache-2.0
#include "sim/step/traffic_bound.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/step/forward_pipeline.hpp"
#include "sim/step/phase_rules.hpp"
#include "sim/step/stage_state.hpp"
#include "sim/step/whole_bound.hpp"

namespace moesim {
namespace {

constexpr double kClockRounding = 1e-6;
constexpr double kNever = std::numeric_limits<double>::infinity();

using ByRank = std::vector<double>;  ///< seconds

/// What one exchange takes at least, whenever its kernels start.
struct PhaseBound {
  const CommPlan* plan = nullptr;
  PhaseRules rules;
  double kernel_start = 0;
  ByRank issue;
  ByRank out;                 ///< over one link, all that the rank sends
  ByRank in;                  ///< all that it gets
  std::vector<double> alone;  ///< by transfer
  std::vector<double> links;  ///< bytes, by link; empty: none
};

/// Bytes over links, reset after each rank.
class LinkLoad {
 public:
  explicit LinkLoad(std::span<const BytesPerSecond> capacity)
      : capacity_(capacity), bytes_(capacity.size()) {}

  void add(LinkId link, double bytes) {
    if (bytes_[link.index()] == 0) {
      touched_.push_back(link.index());
    }
    bytes_[link.index()] += bytes;
  }
  /// Of the link that takes longest; all loads are 0 again.
  double take() {
    double longest = 0;
    for (const std::size_t link : touched_) {
      longest = std::max(longest, bytes_[link] / capacity_[link].value);
      bytes_[link] = 0;
    }
    touched_.clear();
    return longest;
  }

 private:
  std::span<const BytesPerSecond> capacity_;
  std::vector<double> bytes_;
  std::vector<std::size_t> touched_;
};

/// The same order of work as run_passes, with times instead of tasks.
class LeastPasses {
 public:
  LeastPasses(const WholeModel& model, std::span<const Pass> passes)
      : model_(model),
        ranks_(static_cast<std::size_t>(model.step.ranks)),
        capacity_(effective_capacities(model.step.cluster, model.step.constants)),
        load_(capacity_),
        carried_(capacity_.size()),
        finder_(model.step.cluster,
                path_policy_of(model.step.dispatch, model.step.path_policy),
                model.step.seed,
                model.step.path_spread),
        paths_(finder_,
               model.step.ranks,
               model.step.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly),
        group_paths_(finder_, model.step.ranks, PathScope::kAny),
        communication_(communication_model(model.step.dispatch, model.step.constants, capacity_)) {
    const ComputeModel nominal{model.step.cluster.gpu, model.step.constants};
    for (const Pass& pass : passes) {
      Lane lane;
      lane.pass = &pass;
      lane.costs = pass_costs(model, nominal, pass.load, pass.layers, true);
      if (model.parallel.tp > 1) {
        lane.gather_plan = exchange_in_groups(model, pass.load);
      }
      lanes_.push_back(std::move(lane));
    }
    for (Lane& lane : lanes_) {
      if (model.parallel.tp > 1) {
        CommunicationModel plain;
        plain.dispatch.kind = DispatcherKind::kPairwise;
        plain.kernel_start = model.step.constants.communication_start;
        lane.gather = bound_of(lane.gather_plan, plain, false, group_paths_);
      }
    }
    serial_kernels_ = lanes_.size() > 1 && kernel_sms(model.step.dispatch) > 0;
  }

  double run() {
    std::vector<Program> programs;
    for (const Lane& lane : lanes_) {
      programs.push_back(lane.pass->program);
    }
    for (const IssuedStep& issued : order_of_issue(programs)) {
      issue(lanes_[issued.program], programs[issued.program][issued.step]);
    }
    double longest = 0;
    for (const Lane& lane : lanes_) {
      for (const ByRank* ends : {&lane.last, &lane.arrived}) {
        longest = ends->empty() ? longest : std::max(longest, latest(*ends));
      }
    }
    for (std::size_t link = 0; link < carried_.size(); ++link) {
      longest = std::max(longest, carried_[link] / capacity_[link].value);
    }
    return std::max(longest, host_time());
  }

 private:
  struct Lane {
    const Pass* pass = nullptr;
    PassCosts costs;
    CommPlan gather_plan;  ///< inside TP groups
    PhaseBound gather;
    ByRank last;     ///< end of what the rank computed last
    ByRank arrived;  ///< end of a kernel that nothing has waited for yet; empty: none
  };

  static double latest(const ByRank& times) {
    return *std::max_element(times.begin(), times.end());
  }

  [[nodiscard]] double host_time() const {
    double layers = 0;
    for (const Lane& lane : lanes_) {
      layers += static_cast<double>(std::count_if(
          lane.pass->program.begin(), lane.pass->program.end(), [](const ProgramStep& step) {
            return step.op == Op::kAttention;
          }));
    }
    return layers * model_.host_layer.value;
  }

  void issue(Lane& lane, const ProgramStep& step) {
    switch (step.op) {
      case Op::kYield:
        return;
      case Op::kGather:
        return communicate(lane, {&lane.gather, 1});
      case Op::kDispatch: {
        const LayerTraffic& traffic = work(lane, step).traffic;
        std::vector<PhaseBound> phases;
        if (!traffic.notify.transfers.empty()) {
          CommunicationModel counts_only = communication_;
          counts_only.message_gap = {};
          counts_only.message_overhead = {};
          counts_only.copy_rate = {};
          phases.push_back(bound_of(traffic.notify, counts_only, false, paths_));
        }
        phases.push_back(bound_of(traffic.dispatch, communication_, false, paths_));
        return communicate(lane, phases);
      }
      case Op::kCombine: {
        const PhaseBound phase =
            bound_of(work(lane, step).traffic.combine, communication_, true, paths_);
        return communicate(lane, {&phase, 1});
      }
      default:
        return compute(lane, step);
    }
  }

  [[nodiscard]] const LayerWork& work(const Lane& lane, const ProgramStep& step) const {
    return lane.pass->layers[moe_index(model_.step.model, lane.pass->layers, step)].work;
  }

  void compute(Lane& lane, const ProgramStep& step) {
    const std::size_t moe = moe_index(model_.step.model, lane.pass->layers, step);
    const bool waits = step.op != Op::kShared && !lane.arrived.empty();
    ByRank ends(ranks_);
    for (std::size_t r = 0; r < ranks_; ++r) {
      const double speed = model_.step.cluster.place(id_at<GpuId>(r)).speed;
      const double start =
          std::max(computed_.empty() ? 0 : computed_[r], waits ? lane.arrived[r] : 0);
      ends[r] = start + step_time(lane.costs, step, moe, r, speed).to_seconds().value;
    }
    lane.last = ends;
    if (waits) {
      lane.arrived.clear();
    }
    computed_ = std::move(ends);
  }

  /// Kernels one after the other on every rank.
  void communicate(Lane& lane, std::span<const PhaseBound> phases) {
    ByRank ready = lane.arrived.empty() ? lane.last : lane.arrived;
    ready.resize(ranks_);
    if (serial_kernels_ && !communicated_.empty()) {
      for (std::size_t r = 0; r < ranks_; ++r) {
        ready[r] = std::max(ready[r], communicated_[r]);
      }
    }
    for (const PhaseBound& phase : phases) {
      ready = ends_of(phase, std::move(ready));
      for (std::size_t link = 0; link < phase.links.size(); ++link) {
        carried_[link] += phase.links[link];
      }
    }
    communicated_ = ready;
    lane.arrived = std::move(ready);
  }

  /// When each rank's kernel ends, at the earliest. @param ready  when it may start
  [[nodiscard]] ByRank ends_of(const PhaseBound& phase, ByRank ready) const {
    ByRank start = std::move(ready);
    for (double& time : start) {
      time += phase.kernel_start;
    }
    const std::vector<Transfer>& transfers = phase.plan->transfers;
    ByRank flows = start;  // when what a rank's kernel works on may flow
    if (phase.rules.starts_together && !transfers.empty()) {
      std::fill(flows.begin(), flows.end(), latest(start));
    }
    ByRank done(ranks_);
    ByRank first_in(ranks_, kNever);
    ByRank first_out(ranks_, kNever);
    for (std::size_t r = 0; r < ranks_; ++r) {
      done[r] = start[r] + phase.issue[r];
    }
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      const std::size_t from = transfers[i].source.index();
      const std::size_t to = transfers[i].destination.index();
      const double begun = flows[phase.rules.pulled ? to : from];
      first_in[to] = std::min(first_in[to], begun);
      first_out[from] = std::min(first_out[from], begun);
      done[to] = std::max(done[to], begun + phase.alone[i]);
      if (!phase.rules.pulled) {
        done[to] = std::max(done[to], start[from] + phase.issue[from]);
      }
    }
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (first_in[r] < kNever) {
        done[r] = std::max(done[r], first_in[r] + phase.in[r]);
      }
      if (first_out[r] < kNever && phase.rules.kernel_waits_for_sends) {
        done[r] = std::max(done[r], first_out[r] + phase.out[r]);
      }
    }
    if (phase.rules.ends_together) {
      std::fill(done.begin(), done.end(), latest(done));
    }
    return done;
  }

  PhaseBound bound_of(const CommPlan& plan,
                      const CommunicationModel& model,
                      bool combine,
                      PathTable& paths) {
    const Seconds extra = combine ? model.combine_extra_start : Seconds{};
    PhaseBound bound{.plan = &plan,
                     .rules = phase_rules(model.dispatch.kind, combine),
                     .kernel_start = ticks(model.kernel_start + extra).to_seconds().value,
                     .issue = ByRank(ranks_),
                     .out = ByRank(ranks_),
                     .in = ByRank(ranks_),
                     .alone = std::vector<double>(plan.transfers.size()),
                     .links = std::vector<double>(capacity_.size())};
    const std::vector<Seconds> issue = issue_times(plan, model, combine, ranks_);
    std::transform(issue.begin(), issue.end(), bound.issue.begin(), [](Seconds time) {
      return ticks(time).to_seconds().value;
    });
    for (const bool sent : {true, false}) {
      const auto rank_of = [&](std::size_t i) {
        const Transfer& t = plan.transfers[i];
        return (sent ? t.source : t.destination).index();
      };
      std::vector<std::size_t> order(plan.transfers.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return rank_of(a) < rank_of(b);
      });
      for (std::size_t at = 0; at < order.size(); ++at) {
        const double alone =
            load_transfer(plan.transfers[order[at]], model, paths, sent ? &bound.links : nullptr);
        bound.alone[order[at]] = alone;
        if (at + 1 == order.size() || rank_of(order[at + 1]) != rank_of(order[at])) {
          (sent ? bound.out : bound.in)[rank_of(order[at])] = load_.take();
        }
      }
    }
    return bound;
  }

  /// Adds a transfer to load_. @return its time alone on its paths
  double load_transfer(const Transfer& t,
                       const CommunicationModel& model,
                       PathTable& paths,
                       std::vector<double>* links) {
    const std::span<const PathPart> parts = paths.find(t.source, t.destination);
    const std::vector<std::int64_t> split = split_bytes(t.bytes, parts);
    const double overhead = 1 + static_cast<double>(t.messages) * model.message_overhead.value /
                                    static_cast<double>(t.bytes);
    double alone = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (split[i] == 0) {
        continue;
      }
      const double sent = static_cast<double>(split[i]) * overhead;
      const FlowPath& path = paths.paths()[static_cast<std::size_t>(parts[i].path)];
      double slowest = 0;
      for (const LinkId link : path.links) {
        load_.add(link, sent);
        slowest = std::max(slowest, sent / capacity_[link.index()].value);
        if (links != nullptr) {
          (*links)[link.index()] += sent;
        }
      }
      alone = std::max(alone, path.latency.value + slowest);
    }
    return alone;
  }

  const WholeModel& model_;
  std::size_t ranks_;
  std::vector<BytesPerSecond> capacity_;
  LinkLoad load_;
  std::vector<double> carried_;  ///< bytes of the whole step, by link
  PathFinder finder_;
  PathTable paths_;
  PathTable group_paths_;
  CommunicationModel communication_;
  std::vector<Lane> lanes_;
  bool serial_kernels_ = false;
  ByRank computed_;
  ByRank communicated_;
};

/// Rings between copies, on paths along the rails as training has them.
struct Rings {
  explicit Rings(const WholeModel& m)
      : finder(m.step.cluster, PathPolicy::kRailAligned, m.step.seed),
        fabric{.cluster = &m.step.cluster,
               .finder = &finder,
               .capacity = effective_capacities(m.step.cluster, m.step.constants),
               .engine = m.step.engine,
               .start = m.step.constants.communication_start} {}

  PathFinder finder;
  RingFabric fabric;
};

}  // namespace

Seconds least_training_time(const WholeModel& m) {
  MOESIM_CHECK(m.kind == StepKind::kTrain, "a training step");
  const std::vector<Seconds> ends = least_stage_ends(shape_of(m));
  const Rings rings(m);
  Seconds longest{};
  for (int stage = 0; stage < m.parallel.pp; ++stage) {
    const StageState state = stage_state(m, rings.fabric, stage);
    const Seconds end = ends.empty() ? Seconds{} : ends[static_cast<std::size_t>(stage)];
    const double passes = static_cast<double>(m.batch.micro_batches) * m.parallel.virtual_stages;
    const Seconds reduces = passes * state.during.reduce.to_seconds();
    const Seconds reduced = state.during.overlaps ? std::max(end, reduces) : end + reduces;
    longest = std::max(longest,
                       reduced + (state.last_part + state.optimiser + state.gather).to_seconds());
  }
  return (1 - kClockRounding) * longest;
}

Seconds least_traffic_time(const WholeModel& model, const PreparedStep& prepared) {
  MOESIM_CHECK(model.kind != StepKind::kTrain, "an inference step");
  if (model.step.engine != NetworkEngine::kFluid) {
    return {};
  }
  ForwardStages stages{.passes = {},
                       .transfers = {},
                       .micro_batches = model.batch.micro_batches,
                       .cycles = model.kind == StepKind::kDecode};
  for (std::size_t s = 0; s < prepared.size(); ++s) {
    const StageLayers layers = part_layers(model.step.model, model.parallel, static_cast<int>(s));
    const std::vector<Pass> passes = passes_of(model, prepared[s], layers);
    const Seconds least{LeastPasses(model, passes).run()};
    stages.passes.push_back(ticks((1 - kClockRounding) * least));
  }
  return (1 - kClockRounding) * forward_step(stages).to_seconds();
}

}  // namespace moesim
