// SPDX-License-Identifier: Apache-2.0
// Blocks of prompts whose keys and values an attention group keeps for other requests.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>

namespace moesim {

/// Blocks by name; a name stands for the block and all blocks before it. Requests hold blocks;
/// those that nobody holds stay, the least recently given back going first when room is needed.
/// Source: vLLM's automatic prefix caching, which also gives the blocks of a request back last one
/// first, so that of a chain the end goes before the beginning. Left out: blocks of outputs, whose
/// names no trace has. Checked by: prefix_cache_test.
class PrefixCache {
 public:
  using Blocks = std::span<const std::int64_t>;

  /// Leading blocks that are there.
  [[nodiscard]] std::int64_t matched(Blocks blocks) const;
  /// Of these, which are all there, those that nobody holds.
  [[nodiscard]] std::int64_t not_held(Blocks blocks) const;

  /// Takes hold of each; those that are not there come in. Returns how many nobody held before.
  std::int64_t hold(Blocks blocks);
  /// Gives each back, the last one first. Returns how many nobody holds now.
  std::int64_t give_back(Blocks blocks);
  /// Drops unheld blocks until at most `most` are left.
  void shrink(std::int64_t most);

  [[nodiscard]] std::int64_t unheld() const { return static_cast<std::int64_t>(old_.size()); }
  [[nodiscard]] std::int64_t dropped() const { return dropped_; }

 private:
  struct Block {
    std::int64_t holders = 0;
    std::list<std::int64_t>::iterator place;  ///< in old_, without holders
  };
  std::unordered_map<std::int64_t, Block> blocks_;
  std::list<std::int64_t> old_;  ///< unheld, the first to go first
  std::int64_t dropped_ = 0;
};

}  // namespace moesim
