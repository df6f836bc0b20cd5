// SPDX-License-Identifier: Apache-2.0
#include "sim/study/replica_split.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim {
namespace {

constexpr int kDistances = 3;  // own rank, own domain, elsewhere

int distance(const Domains& domains, std::size_t source, std::size_t rank) {
  if (rank == source) {
    return 0;
  }
  return domains.of_rank[rank] == domains.of_rank[source] ? 1 : 2;
}

std::size_t nearest(const Domains& domains,
                    std::size_t source,
                    std::size_t expert,
                    std::span<const std::size_t> rank_of) {
  for (int d = 0; d < kDistances; ++d) {
    std::uint64_t count = 0;
    for (const std::size_t rank : rank_of) {
      count += distance(domains, source, rank) == d ? 1U : 0U;
    }
    if (count == 0) {
      continue;
    }
    std::uint64_t skip = mix_hash(source, expert) % count;
    for (std::size_t i = 0; i < rank_of.size(); ++i) {
      if (distance(domains, source, rank_of[i]) == d && skip-- == 0) {
        return i;
      }
    }
  }
  MOESIM_CHECK(false, "an expert has a slot");
}

ReplicaSplit empty_split(const ExpertTraffic& traffic, std::size_t replicas) {
  return {.rows = std::vector<std::int64_t>(replicas * static_cast<std::size_t>(traffic.steps)),
          .sent = std::vector<std::int64_t>(replicas * static_cast<std::size_t>(traffic.ranks))};
}

/// Assignments of one source in one step.
struct Share {
  std::size_t replica = 0;
  std::size_t step = 0;
  std::size_t source = 0;
  std::size_t assignments = 0;
};

void add(const ExpertTraffic& traffic, ReplicaSplit& split, const Share& share) {
  const auto assignments = static_cast<std::int64_t>(share.assignments);
  split.rows[share.replica * static_cast<std::size_t>(traffic.steps) + share.step] += assignments;
  split.sent[share.replica * static_cast<std::size_t>(traffic.ranks) + share.source] += assignments;
}

/// Replicas in the order in which a source wants them: by distance, then from its hashed one on.
std::vector<std::size_t> wanted(const Domains& domains,
                                std::size_t source,
                                std::size_t expert,
                                std::span<const std::size_t> rank_of) {
  std::vector<std::size_t> order;
  const std::size_t first = mix_hash(source, expert) % rank_of.size();
  for (int d = 0; d < kDistances; ++d) {
    for (std::size_t i = 0; i < rank_of.size(); ++i) {
      const std::size_t replica = (first + i) % rank_of.size();
      if (distance(domains, source, rank_of[replica]) == d) {
        order.push_back(replica);
      }
    }
  }
  return order;
}

/// Places of (source, step) in ReplicaTurns::replica, [source * steps + step].
std::vector<std::int32_t> turn_places(const ExpertTraffic& traffic, std::size_t expert) {
  std::vector<std::int32_t> places;
  std::int32_t place = 0;
  for (std::size_t source = 0; source < static_cast<std::size_t>(traffic.ranks); ++source) {
    for (int step = 0; step < traffic.steps; ++step) {
      places.push_back(place);
      place += traffic.of(step, expert)[source];
    }
  }
  places.push_back(place);
  return places;
}

}  // namespace

TurnTokens turn_tokens(const ExpertTraffic& traffic, std::size_t expert, std::size_t replicas) {
  TurnTokens tokens{.replicas = replicas, .begin = {0}, .token = {}};
  for (std::size_t source = 0; source < static_cast<std::size_t>(traffic.ranks); ++source) {
    for (std::size_t replica = 0; replica < replicas; ++replica) {
      for (const KeptAssignment& kept : traffic.kept_of(expert, source)) {
        if ((source + static_cast<std::size_t>(kept.turn)) % replicas == replica) {
          tokens.token.push_back(kept.token);
        }
      }
      tokens.begin.push_back(static_cast<std::int32_t>(tokens.token.size()));
    }
  }
  return tokens;
}

ReplicaSplit even_split(const ExpertTraffic& traffic, std::size_t expert, std::size_t replicas) {
  ReplicaSplit split = empty_split(traffic, replicas);
  for (int step = 0; step < traffic.steps; ++step) {
    const std::span<const std::int32_t> counts = traffic.of(step, expert);
    for (std::size_t source = 0; source < counts.size(); ++source) {
      const auto count = static_cast<std::size_t>(counts[source]);
      for (std::size_t turn = 0; turn < replicas && turn < count; ++turn) {
        add(traffic,
            split,
            {.replica = (source + turn) % replicas,
             .step = static_cast<std::size_t>(step),
             .source = source,
             .assignments = (count - turn - 1) / replicas + 1});
      }
    }
  }
  return split;
}

std::vector<std::size_t> nearest_replicas(const Domains& domains,
                                          std::size_t expert,
                                          std::span<const std::size_t> rank_of) {
  std::vector<std::size_t> replica_of_source;
  for (std::size_t source = 0; source < domains.of_rank.size(); ++source) {
    replica_of_source.push_back(nearest(domains, source, expert, rank_of));
  }
  return replica_of_source;
}

ReplicaSplit split_by_source(const ExpertTraffic& traffic,
                             std::size_t expert,
                             std::span<const std::size_t> replica_of_source,
                             std::size_t replicas) {
  ReplicaSplit split = empty_split(traffic, replicas);
  for (int step = 0; step < traffic.steps; ++step) {
    const std::span<const std::int32_t> counts = traffic.of(step, expert);
    for (std::size_t source = 0; source < counts.size(); ++source) {
      add(traffic,
          split,
          {.replica = replica_of_source[source],
           .step = static_cast<std::size_t>(step),
           .source = source,
           .assignments = static_cast<std::size_t>(counts[source])});
    }
  }
  return split;
}

ReplicaTurns limited_turns(const ExpertTraffic& traffic,
                           const Domains& domains,
                           std::size_t expert,
                           std::span<const std::size_t> rank_of,
                           std::span<const std::int64_t> limits) {
  const auto steps = static_cast<std::size_t>(traffic.steps);
  const auto ranks = static_cast<std::size_t>(traffic.ranks);
  const std::vector<std::int32_t> places = turn_places(traffic, expert);
  ReplicaTurns turns;
  turns.replica.resize(static_cast<std::size_t>(places.back()));
  std::vector<std::vector<std::int64_t>> load(steps, std::vector<std::int64_t>(rank_of.size()));
  for (std::size_t source = 0; source < ranks; ++source) {
    turns.begin.push_back(places[source * steps]);
    const std::vector<std::size_t> order = wanted(domains, source, expert, rank_of);
    for (std::size_t step = 0; step < steps; ++step) {
      std::vector<std::int64_t>& taken = load[step];
      const auto end = static_cast<std::size_t>(places[source * steps + step + 1]);
      auto at = static_cast<std::size_t>(places[source * steps + step]);
      const auto give = [&](std::size_t replica) {
        turns.replica[at++] = static_cast<std::uint16_t>(replica);
        ++taken[replica];
      };
      for (const std::size_t replica : order) {
        while (at < end && taken[replica] < limits[step]) {
          give(replica);
        }
      }
      while (at < end) {
        give(
            static_cast<std::size_t>(std::min_element(taken.begin(), taken.end()) - taken.begin()));
      }
    }
  }
  turns.begin.push_back(places.back());
  return turns;
}

std::vector<ReplicaTurns> least_loaded_turns(const ExpertTraffic& traffic,
                                             std::span<const std::vector<std::size_t>> slots_of,
                                             std::size_t slots_per_rank) {
  const auto steps = static_cast<std::size_t>(traffic.steps);
  const auto ranks = static_cast<std::size_t>(traffic.ranks);
  std::vector<ReplicaTurns> turns(slots_of.size());
  std::vector<std::vector<std::int32_t>> places(slots_of.size());
  std::vector<std::vector<std::size_t>> ranks_of(slots_of.size());  // of experts with replicas
  for (std::size_t e = 0; e < slots_of.size(); ++e) {
    if (slots_of[e].size() < 2) {
      continue;
    }
    places[e] = turn_places(traffic, e);
    turns[e].replica.resize(static_cast<std::size_t>(places[e].back()));
    for (const std::size_t slot : slots_of[e]) {
      ranks_of[e].push_back(slot / slots_per_rank);
    }
    for (std::size_t source = 0; source <= ranks; ++source) {
      turns[e].begin.push_back(places[e][source * steps]);
    }
  }
  auto next = traffic.order.begin();
  std::vector<std::int64_t> load(ranks);
  for (std::size_t step = 0; step < steps; ++step) {
    std::fill(load.begin(), load.end(), 0);
    for (std::size_t e = 0; e < slots_of.size(); ++e) {
      if (ranks_of[e].empty()) {
        const auto counts = traffic.of(static_cast<int>(step), e);
        load[slots_of[e].front() / slots_per_rank] +=
            std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
      }
    }
    for (std::size_t source = 0; source < ranks; ++source) {
      const auto end = next + std::ptrdiff_t{traffic.tokens[step * ranks + source]} * traffic.top_k;
      for (; next != end; ++next) {
        const std::vector<std::size_t>& replicas = ranks_of[*next];
        if (replicas.empty()) {
          continue;
        }
        std::size_t least = 0;
        for (std::size_t i = 1; i < replicas.size(); ++i) {
          least = load[replicas[i]] < load[replicas[least]] ? i : least;
        }
        ++load[replicas[least]];
        std::int32_t& place = places[*next][source * steps + step];
        turns[*next].replica[static_cast<std::size_t>(place++)] = static_cast<std::uint16_t>(least);
      }
    }
  }
  return turns;
}

ReplicaSplit split_by_turns(const ExpertTraffic& traffic,
                            std::size_t expert,
                            const ReplicaTurns& turns,
                            std::size_t replicas) {
  ReplicaSplit split = empty_split(traffic, replicas);
  for (std::size_t source = 0; source < static_cast<std::size_t>(traffic.ranks); ++source) {
    auto at = static_cast<std::size_t>(turns.begin[source]);
    for (int step = 0; step < traffic.steps; ++step) {
      for (std::int32_t turn = 0; turn < traffic.of(step, expert)[source]; ++turn) {
        add(traffic,
            split,
            {.replica = turns.replica[at++],
             .step = static_cast<std::size_t>(step),
             .source = source,
             .assignments = 1});
      }
    }
  }
  return split;
}

}  // namespace moesim
