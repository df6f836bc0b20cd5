// SPDX-License-Identifier: Apache-2.0
#include "topology/fault_effects.hpp"

#include <fmt/core.h>

#include "sim/core/rng.hpp"
#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"

namespace moesim {
namespace {

constexpr std::string_view kByChance = " by chance";

std::string state_text(double remaining) {
  return remaining == 0 ? "is down"
                        : fmt::format("is at {} %", fmt::format("{:.4g}", 100 * remaining));
}

}  // namespace

FaultEffects::FaultEffects(Cluster& cluster, FaultOutcome& outcome)
    : cluster_(cluster), outcome_(outcome) {
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    links_of_vertex_[cluster.links[i].source].push_back(i);
    links_of_vertex_[cluster.links[i].target].push_back(i);
  }
}

void FaultEffects::scale_link(std::size_t i, double remaining) {
  cluster_.links[i].health *= remaining;
  outcome_.hits.push_back(
      fmt::format("link {} {}", cluster_.link_name(id_at<LinkId>(i)), state_text(remaining)));
}

void FaultEffects::take(std::size_t i, const std::string& text, BytesPerSecond rate) {
  Link& link = cluster_.links[i];
  const std::string name = cluster_.link_name(id_at<LinkId>(i));
  if (rate >= link.usable()) {
    outcome_.mistakes.push_back({"background",
                                 fmt::format("{} leaves nothing of {}, which can carry {}",
                                             quoted_text(text),
                                             name,
                                             to_text(link.usable()))});
    return;
  }
  link.background += rate;
  outcome_.hits.push_back(fmt::format("link {} carries {} of others", name, to_text(rate)));
}

void FaultEffects::scale_vertex(std::string_view word,
                                VertexId vertex,
                                double remaining,
                                std::string_view by_chance) {
  const bool nic = cluster_.vertices[vertex.index()].kind == VertexKind::kNic;
  for (const std::size_t i : links_of_vertex_[vertex]) {
    Link& link = cluster_.links[i];
    link.health *= !nic || link.kind == LinkKind::kNic ? remaining : 1.0;
  }
  outcome_.hits.push_back(fmt::format("{} {} {}{}",
                                      word,
                                      cluster_.vertices[vertex.index()].name,
                                      state_text(remaining),
                                      by_chance));
}

void FaultEffects::slow_gpu(GpuPlace& gpu, double speed, std::string_view by_chance) {
  gpu.speed *= speed;
  outcome_.hits.push_back(fmt::format("gpu {} computes at {:.4g} %{}",
                                      cluster_.vertices[gpu.vertex.index()].name,
                                      100 * speed,
                                      by_chance));
}

void FaultEffects::lose_node(int node) {
  for (Link& link : cluster_.links) {
    const bool touches = cluster_.vertices[link.source.index()].node == node ||
                         cluster_.vertices[link.target.index()].node == node;
    link.health = touches ? 0.0 : link.health;
  }
  outcome_.hits.push_back(fmt::format("node node{} is lost", node));
  outcome_.lost_nodes.push_back(node);
}

/// Link i + 1 is the other way of link i, as builders make them.
bool FaultEffects::is_twin(std::size_t i) const {
  return i + 1 < cluster_.links.size() && cluster_.links[i + 1].kind == cluster_.links[i].kind &&
         cluster_.links[i + 1].target == cluster_.links[i].source &&
         cluster_.links[i + 1].source == cluster_.links[i].target;
}

void FaultEffects::scale_cable(std::size_t first, std::size_t last, double remaining) {
  for (std::size_t i = first; i <= last; ++i) {
    cluster_.links[i].health *= remaining;
  }
  outcome_.hits.push_back(fmt::format("cable {} <-> {} {}{}",
                                      cluster_.vertices[cluster_.links[first].source.index()].name,
                                      cluster_.vertices[cluster_.links[first].target.index()].name,
                                      state_text(remaining),
                                      kByChance));
}

void FaultEffects::draw(const FaultSpec& faults) {
  const auto is_hit = [&](std::string_view purpose, std::size_t index, double rate) {
    return rate > 0 && RngStream(faults.seed, purpose, index).uniform01() < rate;
  };
  for (std::size_t i = 0; i < cluster_.links.size(); ++i) {
    const std::size_t first = i;
    i += is_twin(i) ? 1U : 0U;
    if (cluster_.links[first].kind == LinkKind::kFabric &&
        is_hit("random links", first, faults.random_links)) {
      scale_cable(first, i, faults.random_remaining);
    }
  }
  for (std::size_t i = 0; i < cluster_.vertices.size(); ++i) {
    if (cluster_.vertices[i].kind == VertexKind::kNic &&
        is_hit("random nics", i, faults.random_nics)) {
      scale_vertex("nic", id_at<VertexId>(i), faults.random_remaining, kByChance);
    }
  }
  for (std::size_t i = 0; i < cluster_.gpus.size(); ++i) {
    if (is_hit("random gpus", i, faults.random_gpus)) {
      slow_gpu(cluster_.gpus[i], faults.random_remaining, kByChance);
    }
  }
}

}  // namespace moesim
