// SPDX-License-Identifier: Apache-2.0
#include "sim/network/max_min.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr double kNotFixed = -1.0;

}  // namespace

void MaxMinSystem::clear() {
  capacity.clear();
  class_begin.assign(1, 0);
  class_links.clear();
  num_flows.clear();
  rate_cap.clear();
}

std::span<const double> MaxMinSolver::solve(const MaxMinSystem& system) {
  rate_.assign(system.num_classes(), kNotFixed);
  index_links(system);
  sort_caps(system);
  fill(system);
  return rate_;
}

/// Classes by link (a counting sort), and what each link starts with.
void MaxMinSolver::index_links(const MaxMinSystem& system) {
  const std::size_t num_links = system.capacity.size();
  link_begin_.assign(num_links + 2, 0);
  for (const std::int32_t link : system.class_links) {
    ++link_begin_[static_cast<std::size_t>(link) + 2];
  }
  for (std::size_t l = 2; l < link_begin_.size(); ++l) {
    link_begin_[l] += link_begin_[l - 1];
  }
  links_.resize(num_links);
  for (std::size_t l = 0; l < num_links; ++l) {
    links_[l] = {.residual = system.capacity[l], .weight = 0.0};
  }
  link_classes_.resize(system.class_links.size());
  for (std::size_t c = 0; c < system.num_classes(); ++c) {
    for (std::int32_t i = system.class_begin[c]; i < system.class_begin[c + 1]; ++i) {
      const auto link = static_cast<std::size_t>(system.class_links[static_cast<std::size_t>(i)]);
      link_classes_[static_cast<std::size_t>(link_begin_[link + 1]++)] =
          static_cast<std::int32_t>(c);
      links_[link].weight += system.num_flows[c];
    }
  }
}

void MaxMinSolver::sort_caps(const MaxMinSystem& system) {
  capped_.clear();
  next_capped_ = 0;
  for (std::size_t c = 0; c < system.num_classes(); ++c) {
    if (std::isfinite(system.rate_cap[c])) {
      capped_.push_back(static_cast<std::int32_t>(c));
    }
  }
  std::sort(capped_.begin(), capped_.end(), [&](std::int32_t a, std::int32_t b) {
    const double cap_a = system.rate_cap[static_cast<std::size_t>(a)];
    const double cap_b = system.rate_cap[static_cast<std::size_t>(b)];
    return cap_a != cap_b ? cap_a < cap_b : a < b;
  });
}

/// Raises the common rate of all classes that are not fixed from one event to the next: a class
/// meets its cap, or a link is full and fixes every class that crosses it.
void MaxMinSolver::fill(const MaxMinSystem& system) {
  heap_.clear();
  for (std::size_t l = 0; l < links_.size(); ++l) {
    if (links_[l].weight > 0.0) {
      heap_.push_back(
          {.rate = links_[l].residual / links_[l].weight, .link = static_cast<std::int32_t>(l)});
    }
  }
  for (std::size_t i = heap_.size() / 2; i > 0; --i) {
    sift_down(i - 1);
  }
  double level = 0.0;
  while (!heap_.empty()) {
    if (!refresh_top(level) || fix_capped(system, heap_.front().rate)) {
      continue;
    }
    level = heap_.front().rate;
    const auto link = static_cast<std::size_t>(heap_.front().link);
    for (std::int32_t i = link_begin_[link]; i < link_begin_[link + 1]; ++i) {
      fix(system, static_cast<std::size_t>(link_classes_[static_cast<std::size_t>(i)]), level);
    }
  }
}

/// True when the first link of the heap has its true share there. Shares only grow while classes
/// are fixed below them, so a link that lags is put back with its new share. Never below the level
/// reached: what rounding took from a residual must not starve a flow.
bool MaxMinSolver::refresh_top(double level) {
  Share& top = heap_.front();
  const LinkState& link = links_[static_cast<std::size_t>(top.link)];
  if (link.weight <= 0.0) {
    top = heap_.back();
    heap_.pop_back();
    sift_down(0);
    return false;
  }
  const double share = std::max(level, link.residual / link.weight);
  if (share > top.rate) {
    top.rate = share;
    sift_down(0);
    return false;
  }
  return true;
}

/// Fixes the next class whose cap is met before the links' next share.
bool MaxMinSolver::fix_capped(const MaxMinSystem& system, double share) {
  while (next_capped_ < capped_.size()) {
    const auto c = static_cast<std::size_t>(capped_[next_capped_]);
    if (system.rate_cap[c] > share) {
      return false;
    }
    ++next_capped_;
    if (rate_[c] == kNotFixed) {
      fix(system, c, system.rate_cap[c]);
      return true;
    }
  }
  return false;
}

void MaxMinSolver::fix(const MaxMinSystem& system, std::size_t flow_class, double rate) {
  if (rate_[flow_class] != kNotFixed) {
    return;
  }
  rate_[flow_class] = rate;
  const double flows = system.num_flows[flow_class];
  const auto end = static_cast<std::size_t>(system.class_begin[flow_class + 1]);
  for (auto i = static_cast<std::size_t>(system.class_begin[flow_class]); i < end; ++i) {
    LinkState& link = links_[static_cast<std::size_t>(system.class_links[i])];
    link.residual -= flows * rate;
    link.weight -= flows;
  }
}

void MaxMinSolver::sift_down(std::size_t i) {
  const auto before = [](const Share& a, const Share& b) {
    return a.rate != b.rate ? a.rate < b.rate : a.link < b.link;
  };
  const std::size_t size = heap_.size();
  while (2 * i + 1 < size) {
    std::size_t child = 2 * i + 1;
    if (child + 1 < size && before(heap_[child + 1], heap_[child])) {
      ++child;
    }
    if (!before(heap_[child], heap_[i])) {
      return;
    }
    std::swap(heap_[i], heap_[child]);
    i = child;
  }
}

std::vector<BytesPerSecond> max_min_rates(std::span<const BytesPerSecond> capacity,
                                          std::span<const FlowClass> classes) {
  MaxMinSystem system;
  system.clear();
  for (const BytesPerSecond c : capacity) {
    MOESIM_CHECK(std::isfinite(c.value) && c.value > 0.0, "a link has no finite capacity > 0");
    system.capacity.push_back(c.value);
  }
  for (const FlowClass& flows : classes) {
    MOESIM_CHECK(!flows.links.empty(), "a flow crosses no link");
    MOESIM_CHECK(flows.num_flows > 0, "a class has no flow");
    MOESIM_CHECK(flows.rate_cap.value > 0.0, "a rate cap is not > 0");
    for (const LinkId link : flows.links) {
      MOESIM_CHECK(link.value >= 0 && link.index() < capacity.size(), "no such link");
      system.class_links.push_back(link.value);
    }
    system.class_begin.push_back(static_cast<std::int32_t>(system.class_links.size()));
    system.num_flows.push_back(static_cast<double>(flows.num_flows));
    system.rate_cap.push_back(flows.rate_cap.value);
  }
  std::vector<BytesPerSecond> rates;
  rates.reserve(classes.size());
  MaxMinSolver solver;
  for (const double rate : solver.solve(system)) {
    rates.push_back({rate});
  }
  return rates;
}

}  // namespace moesim
