// SPDX-License-Identifier: Apache-2.0
// Scenario -> TOML: every key, no presets. Keys that would contradict another are left out; they
// hold their defaults.
#include <fmt/core.h>

#include "sim/core/check.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/step_keys.hpp"

namespace moesim {
namespace {

/// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// The shortest text that reads back to the same double, as a TOML float.
std::string toml_float(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

class FieldWriter : public FieldVisitor {
 public:
  explicit FieldWriter(const Scenario& scenario) : scenario_(scenario) {}

  void begin_table(Key key) override {
    prefix_ += prefix_.empty() ? "" : ".";
    prefix_ += key.name;
    if (has_no_effect(prefix_)) {
      return;
    }
    out += fmt::format("\n[{}]\n", prefix_);
  }
  void end_table() override {
    const std::size_t dot = prefix_.rfind('.');
    prefix_.erase(dot == std::string::npos ? 0 : dot);
  }
  void text(Key key, std::string& value) override { line(key, toml_string(value)); }
  void count(Key key, std::int64_t& value, CountRange) override {
    line(key, fmt::format("{}", value));
  }
  void number(Key key, double& value, NumberRange) override { line(key, toml_float(value)); }
  void flag(Key key, bool& value) override { line(key, value ? "true" : "false"); }
  void word(Key key, int& index, std::span<const std::string_view> words) override {
    line(key, toml_string(words[static_cast<std::size_t>(index)]));
  }
  void list(Key key, std::vector<std::string>& items) override {
    std::string text;
    for (const std::string& item : items) {
      text += text.empty() ? "" : ", ";
      text += toml_string(item);
    }
    line(key, "[" + text + "]");
  }
  void quantity(Key key, double& value, const UnitKind& unit) override {
    line(key, toml_string(unit.write(value)));
  }

  std::string out;

 private:
  [[nodiscard]] bool has_no_effect(std::string_view path) const {
    const OverflowPolicy policy = scenario_.capacity.policy;
    const bool none = policy == OverflowPolicy::kNone;
    const bool moves = moves_on(policy);
    return (path == "capacity.factor" && none) ||
           (path == "capacity.order" && (none || policy == OverflowPolicy::kExpertChoice)) ||
           (path == "capacity.tries" && !moves) ||
           placement_key_has_no_effect(path, scenario_.placement) ||
           dispatch_key_has_no_effect(path, scenario_.dispatch) ||
           network_key_has_no_effect(path, scenario_.network) || cluster_key_has_no_effect(path) ||
           fault_key_has_no_effect(path) || routing_has_no_effect(path) ||
           step_key_has_no_effect(path, scenario_) || request_key_has_no_effect(path, scenario_) ||
           price_key_has_no_effect(path, scenario_);
  }
  [[nodiscard]] static bool placement_key_has_no_effect(std::string_view path,
                                                        const PlacementSpec& placement) {
    const bool eplb = placement.kind == PlacementKind::kEplb;
    return (path == "placement.file" && placement.kind != PlacementKind::kFile) ||
           (path == "placement.replica_limit" &&
            placement.replicas.choice != ReplicaChoice::kCapacityLimited) ||
           (!eplb && (path == "placement.slots" || path == "placement.groups")) ||
           (!is_trained(placement.kind) && path.starts_with("placement.train_"));
  }
  [[nodiscard]] static bool dispatch_key_has_no_effect(std::string_view path,
                                                       const DispatchSpec& dispatch) {
    const bool relays = has_relays(dispatch.kind);
    const bool nccl = dispatch.kind == DispatcherKind::kNccl;
    return (path == "dispatch.forwarding" && !relays) ||
           (path == "dispatch.chunk_tokens" &&
            (!relays || dispatch.forwarding == Forwarding::kStoreAndForward)) ||
           (path == "dispatch.channels" && !nccl) || (path == "dispatch.pxn" && !nccl);
  }
  [[nodiscard]] static bool network_key_has_no_effect(std::string_view path,
                                                      const NetworkSpec& network) {
    const PathChoice choice = network.spread.choice;
    const bool splits = choice == PathChoice::kSpray || choice == PathChoice::kAdaptive;
    return (path == "network.max_paths" && !splits) ||
           (path == "network.tolerance" && network.engine != NetworkEngine::kFluid) ||
           (path == "network.chunk" && network.engine != NetworkEngine::kMessage);
  }
  [[nodiscard]] bool cluster_key_has_no_effect(std::string_view path) const {
    const ClusterSpec& c = scenario_.cluster;
    if (!c.graphml.empty()) {
      return path.starts_with("cluster.scale_up.") || path.starts_with("cluster.nic.") ||
             path.starts_with("cluster.fabric.");
    }
    const bool blocks = c.fabric.tiers == 3 || c.fabric.kind == FabricKind::kDragonflyPlus;
    return path == "cluster.graphml" ||
           (path.starts_with("cluster.fabric.torus_") && c.fabric.kind != FabricKind::kTorus) ||
           (!blocks && (path == "cluster.fabric.pods_per_block" ||
                        path == "cluster.fabric.core_oversubscription")) ||
           (c.scale_up.kind != ScaleUpKind::kPcie &&
            (path == "cluster.scale_up.gpus_per_switch" || path == "cluster.scale_up.sockets")) ||
           (c.scale_up.bandwidth.value == 0 && path == "cluster.scale_up.bandwidth") ||
           (c.scale_up.sockets == 1 && path == "cluster.scale_up.socket_bandwidth");
  }
  [[nodiscard]] bool fault_key_has_no_effect(std::string_view path) const {
    const FaultSpec& f = scenario_.faults;
    const bool random = f.random_links > 0 || f.random_nics > 0 || f.random_gpus > 0;
    return !random && (path == "faults.random_remaining" || path == "faults.seed");
  }
  [[nodiscard]] bool routing_has_no_effect(std::string_view path) const {
    const RoutingOrigin source = scenario_.routing.source;
    return (source != RoutingOrigin::kGenerated && path.starts_with("routing.generated")) ||
           (source != RoutingOrigin::kLearned && path.starts_with("routing.learned")) ||
           (source == RoutingOrigin::kLearned && path == "routing.draw") ||
           (source != RoutingOrigin::kTrace &&
            (path == "routing.trace" || path == "routing.domains"));
  }
  void line(Key key, const std::string& value) {
    if (!has_no_effect(fmt::format("{}.{}", prefix_, key.name))) {
      out += fmt::format("{} = {}\n", key.name, value);
    }
  }

  const Scenario& scenario_;
  std::string prefix_;
};

}  // namespace

std::string resolved_toml(const Scenario& scenario) {
  MOESIM_CHECK(scenario.seed <= INT64_MAX, "a seed that TOML cannot hold");
  Scenario copy = scenario;
  // A shipped trace goes by its name, so that the text is the same on every machine.
  const std::filesystem::path trace(scenario.routing.trace);
  if (!trace.empty() && trace.parent_path() == data_folder() / "traces") {
    copy.routing.trace = trace.filename().string();
  } else if (!trace.empty() && !is_path(scenario.routing.trace)) {
    copy.routing.trace = "./" + scenario.routing.trace;  // not the shipped one of that name
  }
  FieldWriter writer(scenario);
  visit_fields(writer, copy);
  return std::move(writer.out);
}

}  // namespace moesim
