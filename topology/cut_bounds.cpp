// SPDX-License-Identifier: Apache-2.0
#include "topology/cut_bounds.hpp"

#include <fmt/core.h>

#include "sim/core/check.hpp"

namespace moesim {

CutBounds::CutBounds(const Cluster& cluster, const std::vector<BytesPerSecond>& rates) {
  if (cluster.num_domains < 2) {
    return;
  }
  Cluster usable = cluster;
  for (std::size_t i = 0; i < usable.links.size(); ++i) {
    usable.links[i].capacity = rates[i];
    usable.links[i].health = 1.0;
    usable.links[i].background = {};
  }
  rates_ = domain_rates(usable);
  const std::vector<CutSet> sets = cut_sets(usable);
  MOESIM_CHECK(sets.size() <= 32, "the sets of a GPU fit 32 bits");
  for (const GpuPlace& gpu : cluster.gpus) {
    Place place{static_cast<std::size_t>(gpu.domain), 0};
    for (std::size_t i = 0; i < sets.size(); ++i) {
      place.sets |= sets[i].inside[place.domain] != 0 ? 1U << i : 0U;
    }
    places_.push_back(place);
  }
  for (const CutSet& set : sets) {
    rates_.push_back(set.rates);
    set_names_.push_back(set.name);
  }
}

CutBounds::Load::Load(const CutBounds& cuts)
    : cuts_(cuts), out_(cuts.rates_.size()), in_(cuts.rates_.size()) {}

void CutBounds::Load::add(GpuId source, GpuId target, std::int64_t size) {
  if (cuts_.places_.empty()) {
    return;
  }
  const Place& from = cuts_.places_[source.index()];
  const Place& to = cuts_.places_[target.index()];
  if (from.domain == to.domain) {
    return;
  }
  out_[from.domain] += size;
  in_[to.domain] += size;
  const std::size_t first_set = cuts_.rates_.size() - cuts_.set_names_.size();
  for (std::size_t i = 0; i < cuts_.set_names_.size(); ++i) {
    const bool from_inside = (from.sets >> i & 1U) != 0;
    const bool to_inside = (to.sets >> i & 1U) != 0;
    out_[first_set + i] += from_inside && !to_inside ? size : 0;
    in_[first_set + i] += !from_inside && to_inside ? size : 0;
  }
}

CutBound CutBounds::Load::slowest() const {
  CutBound slowest;
  const std::size_t domains = cuts_.rates_.size() - cuts_.set_names_.size();
  for (std::size_t i = 0; i < cuts_.rates_.size(); ++i) {
    const auto show = [&](std::int64_t moved, BytesPerSecond rate, const char* direction) {
      const Seconds time = rate.value > 0 ? bytes(static_cast<double>(moved)) / rate : Seconds{};
      if (time > slowest.time) {
        slowest = {time,
                   (i < domains ? fmt::format("domain {}", i) : cuts_.set_names_[i - domains]) +
                       direction};
      }
    };
    show(out_[i], cuts_.rates_[i].out, " out");
    show(in_[i], cuts_.rates_[i].in, " in");
  }
  return slowest;
}

}  // namespace moesim
