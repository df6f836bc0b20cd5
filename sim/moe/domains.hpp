// SPDX-License-Identifier: Apache-2.0
// Where ranks sit in scale-up domains.
#pragma once

#include <cstddef>
#include <vector>

namespace moesim {

/// Where a rank sits: scale-up domain and index inside it.
struct RankPlace {
  int domain = 0;
  int index_in_domain = 0;
};

/// The scale-up domains of the ranks, numbered densely in order of their ids.
struct Domains {
  std::vector<std::size_t> of_rank;               ///< by rank
  std::vector<int> index_of_rank;                 ///< index_in_domain, by rank
  std::vector<std::vector<std::size_t>> members;  ///< per domain, ranks in order of their index

  [[nodiscard]] std::size_t size() const { return members.size(); }
  /// The rank of `domain` that relays for `source`.
  [[nodiscard]] std::size_t relay(std::size_t source, std::size_t domain) const;
};

[[nodiscard]] Domains make_domains(const std::vector<RankPlace>& places);

}  // namespace moesim
