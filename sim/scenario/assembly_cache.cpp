// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assembly_cache.hpp"

#include <fmt/core.h>

#include <sstream>
#include <utility>

#include "sim/step/step.hpp"

namespace moesim {
namespace {

/// A source that others use too.
class SharedSource final : public RoutingSource {
 public:
  explicit SharedSource(std::shared_ptr<const RoutingMemo> source) : source_(std::move(source)) {}
  [[nodiscard]] const RoutingSourceInfo& info() const override { return source_->info(); }
  [[nodiscard]] Routing route(int step, int layer) const override {
    return source_->route(step, layer);
  }

 private:
  std::shared_ptr<const RoutingMemo> source_;
};

}  // namespace

std::string tables_of(const std::string& resolved, const std::string& name) {
  std::istringstream lines(resolved);
  std::string tables;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) {
      inside = line == "[" + name + "]" || line.starts_with("[" + name + ".");
    }
    tables += inside ? line + "\n" : "";
  }
  return tables;
}

std::shared_ptr<const AssemblyCache::ClusterParts> AssemblyCache::cluster(
    const Scenario& scenario) {
  const std::string resolved = resolved_toml(scenario);
  const std::string key = tables_of(resolved, "cluster") + tables_of(resolved, "faults") +
                          fmt::format("{} {}",
                                      scenario.calibration.scale_up_efficiency,
                                      scenario.calibration.scale_out_efficiency);
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<const ClusterParts>& known = clusters_[key];
  if (known == nullptr) {
    auto parts = std::make_shared<ClusterParts>();
    parts->made = make_cluster(scenario);
    const Cluster& cluster = parts->made.cluster;
    parts->cuts = CutBounds(cluster, effective_capacities(cluster, scenario.calibration));
    known = std::move(parts);
    ++made_.clusters;
  }
  return known;
}

std::unique_ptr<RoutingSource> AssemblyCache::routing(
    const Scenario& scenario,
    int layers,
    int candidates,
    const std::function<std::unique_ptr<RoutingSource>()>& open) {
  const std::string key =
      tables_of(resolved_toml(scenario), "routing") + fmt::format("{} {} {} {} {} {} {}",
                                                                  scenario.seed,
                                                                  scenario.model.num_experts,
                                                                  scenario.model.top_k,
                                                                  layers,
                                                                  scenario.parallel.ep,
                                                                  scenario.batch.tokens_per_rank,
                                                                  candidates);
  const std::scoped_lock lock(mutex_);
  const auto known = sources_.find(key);
  if (known != sources_.end()) {
    return std::make_unique<SharedSource>(known->second);
  }
  drop_oldest_sources();
  auto opened = std::make_shared<RoutingMemo>(open(), most_bytes_);
  sources_[key] = opened;
  opened_.push_back(key);
  ++made_.sources;
  return std::make_unique<SharedSource>(std::move(opened));
}

AssemblyCache::Made AssemblyCache::made() const {
  const std::scoped_lock lock(mutex_);
  return made_;
}

void AssemblyCache::drop_oldest_sources() {
  std::int64_t bytes = 0;
  for (const auto& [key, source] : sources_) {
    bytes += source->bytes();
  }
  while (bytes > most_bytes_ && !opened_.empty()) {
    const auto oldest = sources_.find(opened_.front());
    bytes -= oldest->second->bytes();
    sources_.erase(oldest);
    opened_.pop_front();
  }
}

}  // namespace moesim
