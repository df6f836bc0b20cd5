// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/generated_routes.hpp"

#include <utility>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/generate/generator.hpp"

namespace moesim::generate {
namespace {

class GeneratedRoutes final : public RequestRoutes {
 public:
  GeneratedRoutes(const GeneratorSpec& spec, const RoutesShape& shape, std::uint64_t seed)
      : generator_(spec, shape.num_experts, shape.top_k, seed) {
    info_.origin = "generated";
    info_.draw = generated_label(spec) + "; each request is one of the generator's";
    info_.num_experts = shape.num_experts;
    info_.top_k = shape.top_k;
    info_.layers = shape.layers;
    for (int layer = 0; layer < shape.layers; ++layer) {
      popularity_.push_back(generator_.popularity(layer, 0));
    }
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  void choose(std::int64_t request,
              int layer,
              std::int64_t first_token,
              std::span<ExpertIndex> out) const override {
    MOESIM_CHECK(request >= 0 && first_token >= 0 && layer >= 0 && layer < info_.layers,
                 "no such token or layer");
    const RequestId who{.request = request,
                        .domain = static_cast<int>(request % generator_.spec().domains)};
    generator_.choose(who, layer, popularity_[static_cast<std::size_t>(layer)], first_token, out);
  }

 private:
  Generator generator_;
  RoutingSourceInfo info_;
  std::vector<std::vector<std::int32_t>> popularity_;  ///< by layer
};

}  // namespace

std::unique_ptr<RequestRoutes> open_generated_routes(const GeneratorSpec& spec,
                                                     const RoutesShape& shape,
                                                     std::uint64_t seed) {
  return std::make_unique<GeneratedRoutes>(spec, shape, seed);
}

}  // namespace moesim::generate
