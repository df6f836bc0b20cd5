// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/domains.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Domain ids of `places`, ascending, each once.
std::vector<int> domain_ids(const std::vector<RankPlace>& places) {
  std::vector<int> ids;
  ids.reserve(places.size());
  for (const RankPlace& place : places) {
    ids.push_back(place.domain);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

std::size_t Domains::relay(std::size_t source, std::size_t domain) const {
  const std::vector<std::size_t>& ranks = members[domain];
  const int index = index_of_rank[source];
  for (const std::size_t rank : ranks) {
    if (index_of_rank[rank] == index) {
      return rank;
    }
  }
  return ranks[static_cast<std::size_t>(index) % ranks.size()];
}

Domains make_domains(const std::vector<RankPlace>& places) {
  const std::vector<int> ids = domain_ids(places);
  Domains domains;
  domains.members.resize(ids.size());
  for (std::size_t rank = 0; rank < places.size(); ++rank) {
    MOESIM_CHECK(places[rank].index_in_domain >= 0, "an index in a domain is not negative");
    const auto found = std::lower_bound(ids.begin(), ids.end(), places[rank].domain);
    const auto domain = static_cast<std::size_t>(found - ids.begin());
    domains.of_rank.push_back(domain);
    domains.index_of_rank.push_back(places[rank].index_in_domain);
    domains.members[domain].push_back(rank);
  }
  for (std::vector<std::size_t>& members : domains.members) {
    std::sort(members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(places[a].index_in_domain, a) < std::pair(places[b].index_in_domain, b);
    });
  }
  return domains;
}

}  // namespace moesim
