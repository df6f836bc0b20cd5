// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/prefix_cache.hpp"

#include "sim/core/check.hpp"

namespace moesim {

std::int64_t PrefixCache::matched(Blocks blocks) const {
  std::int64_t count = 0;
  for (const std::int64_t name : blocks) {
    if (!blocks_.contains(name)) {
      break;
    }
    ++count;
  }
  return count;
}

std::int64_t PrefixCache::not_held(Blocks blocks) const {
  std::int64_t count = 0;
  for (const std::int64_t name : blocks) {
    count += blocks_.at(name).holders == 0 ? 1 : 0;
  }
  return count;
}

std::int64_t PrefixCache::hold(Blocks blocks) {
  std::int64_t unheld = 0;
  for (const std::int64_t name : blocks) {
    const auto [found, is_new] = blocks_.try_emplace(name);
    Block& block = found->second;
    if (block.holders == 0) {
      ++unheld;
      if (!is_new) {
        old_.erase(block.place);
      }
    }
    ++block.holders;
  }
  return unheld;
}

std::int64_t PrefixCache::give_back(Blocks blocks) {
  std::int64_t unheld = 0;
  for (std::size_t i = blocks.size(); i-- > 0;) {
    Block& block = blocks_.at(blocks[i]);
    MOESIM_CHECK(block.holders > 0, "a block is given back by a holder");
    if (--block.holders == 0) {
      block.place = old_.insert(old_.end(), blocks[i]);
      ++unheld;
    }
  }
  return unheld;
}

void PrefixCache::shrink(std::int64_t most) {
  while (unheld() > most) {
    blocks_.erase(old_.front());
    old_.pop_front();
    ++dropped_;
  }
}

}  // namespace moesim
