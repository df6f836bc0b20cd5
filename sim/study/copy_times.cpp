// SPDX-License-Identifier: Apache-2.0
#include "sim/study/copy_times.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "sim/step/phase_rules.hpp"
#include "sim/step/phase_tasks.hpp"
#include "sim/study/layer_resources.hpp"

namespace moesim {
namespace {

double largest(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

/// Usable rates of the links that only one GPU has.
struct GpuRates {
  std::vector<double> in;           ///< all links into the GPU
  std::vector<double> out;          ///< all links out of it
  std::vector<double> scale_up_in;  ///< the scale-up ones of these
  std::vector<double> scale_up_out;
  std::vector<double> scale_out_in;   ///< its own way in from other domains
  std::vector<double> scale_out_out;  ///< its own way out
};

/// Rates of a NIC towards the fabric, and how many GPUs it has.
struct NicRates {
  double in = 0.0;
  double out = 0.0;
  int gpus = 0;
};

std::vector<NicRates> nic_rates(const Cluster& cluster,
                                const std::vector<BytesPerSecond>& capacity) {
  std::vector<NicRates> nics(cluster.vertices.size());
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (link.kind == LinkKind::kNic) {
      nics[link.target.index()].in += capacity[i].value;
      nics[link.source.index()].out += capacity[i].value;
    }
    if (cluster.vertices[link.source.index()].kind == VertexKind::kGpu) {
      ++nics[link.target.index()].gpus;
    }
  }
  return nics;
}

GpuRates gpu_rates(const StepModel& model) {
  const Cluster& cluster = model.cluster;
  const std::vector<BytesPerSecond> capacity = effective_capacities(cluster, model.constants);
  const std::vector<NicRates> nics = nic_rates(cluster, capacity);
  std::vector<std::optional<std::size_t>> rank_of(cluster.vertices.size());
  for (std::size_t r = 0; r < static_cast<std::size_t>(model.ranks); ++r) {
    rank_of[cluster.place(id_at<GpuId>(r)).vertex.index()] = r;
  }
  const std::vector<double> none(static_cast<std::size_t>(model.ranks));
  GpuRates rates{none, none, none, none, none, none};
  const auto own = [&](const Link& link, VertexId other, double rate, bool in) {
    const NicRates& nic = nics[other.index()];
    const bool alone = cluster.vertices[other.index()].kind == VertexKind::kNic && nic.gpus == 1;
    const double through = link.kind == LinkKind::kScaleUp ? 0.0 : rate;
    return alone ? std::min(through, in ? nic.in : nic.out) : through;
  };
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    const double rate = capacity[i].value;
    if (const auto rank = rank_of[link.target.index()]) {
      rates.in[*rank] += rate;
      rates.scale_up_in[*rank] += link.kind == LinkKind::kScaleUp ? rate : 0.0;
      rates.scale_out_in[*rank] += own(link, link.source, rate, true);
    }
    if (const auto rank = rank_of[link.source.index()]) {
      rates.out[*rank] += rate;
      rates.scale_up_out[*rank] += link.kind == LinkKind::kScaleUp ? rate : 0.0;
      rates.scale_out_out[*rank] += own(link, link.target, rate, false);
    }
  }
  return rates;
}

/// Bytes at the best of these rates.
double time_at(double bytes, const std::vector<double>& rates) {
  return largest(rates) > 0.0 ? bytes / largest(rates) : 0.0;
}

/// What the multiprocessors of a rank take to copy a row that it gives back.
double combine_copying(const StepModel& model, const CopyBytes& copy) {
  const CommunicationModel communication = communication_model(
      model.dispatch, model.constants, effective_capacities(model.cluster, model.constants));
  const double rate = communication.combine_copy_rate.value;
  return rate > 0.0 && !phase_rules(model.dispatch.kind, true).pulled
             ? static_cast<double>(copy.combine) / rate
             : 0.0;
}

}  // namespace

CopyTimes copy_times(const StepModel& model, const Domains& domains, int slots) {
  const DispatcherKind kind = model.dispatch.kind;
  if (kind == DispatcherKind::kAllGather) {
    return {};  // moves tokens wherever the experts lie
  }
  const CopyBytes copy = copy_bytes(model.model, kind, static_cast<int>(domains.size()), slots);
  const double overhead = merges_messages(kind) ? 0.0 : model.constants.message_overhead.value;
  const double in = static_cast<double>(copy.dispatch()) + overhead;
  const double out = static_cast<double>(copy.combine) + overhead;
  const GpuRates rates = gpu_rates(model);
  const double copying = combine_copying(model, copy);
  const bool scale_up_alone =
      domains.size() == 1 && model.dispatch.scale_up && largest(rates.scale_up_in) > 0.0;
  return {
      .remote = {.in = time_at(in, rates.scale_out_in), .out = time_at(out, rates.scale_out_out)},
      .any = {
          .in = time_at(in, scale_up_alone ? rates.scale_up_in : rates.in),
          .out = std::max(copying, time_at(out, scale_up_alone ? rates.scale_up_out : rates.out))}};
}

}  // namespace moesim
