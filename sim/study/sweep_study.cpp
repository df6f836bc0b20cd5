// SPDX-License-Identifier: Apache-2.0
#include "sim/study/sweep_study.hpp"

#include <algorithm>

namespace moesim {
namespace {

/// `choice` on top of `settings`: its keys replace theirs.
void put_all(SweepChoice& settings, const SweepChoice& choice) {
  for (const SweepSetting& setting : choice) {
    const auto same = std::find_if(settings.begin(), settings.end(), [&](const SweepSetting& s) {
      return s.key == setting.key;
    });
    if (same == settings.end()) {
      settings.push_back(setting);
    } else {
      *same = setting;
    }
  }
}

/// The choices of all axes, the last axis fastest.
std::vector<SweepChoice> grid_of(const SweepStudy& study) {
  std::vector<SweepChoice> grid(1, study.base);
  for (const SweepAxis& axis : study.axes) {
    std::vector<SweepChoice> finer;
    finer.reserve(grid.size() * axis.choices.size());
    for (const SweepChoice& point : grid) {
      for (const SweepChoice& choice : axis.choices) {
        finer.push_back(point);
        put_all(finer.back(), choice);
      }
    }
    grid = std::move(finer);
  }
  return grid;
}

}  // namespace

std::int64_t num_points(const SweepStudy& study) {
  const bool only_points = study.axes.empty() && !study.points.empty();
  std::int64_t points = only_points ? 0 : 1;
  for (const SweepAxis& axis : study.axes) {
    points = std::min(points * static_cast<std::int64_t>(axis.choices.size()), kMostPoints + 1);
  }
  points += static_cast<std::int64_t>(study.points.size());
  const auto seeds = static_cast<std::int64_t>(std::max<std::size_t>(study.seeds.size(), 1));
  return std::min(points * seeds, kMostPoints + 1);
}

std::vector<SweepChoice> expand(const SweepStudy& study) {
  std::vector<SweepChoice> points;
  if (!study.axes.empty() || study.points.empty()) {
    points = grid_of(study);
  }
  for (const SweepChoice& point : study.points) {
    points.push_back(study.base);
    put_all(points.back(), point);
  }
  if (study.seeds.empty()) {
    return points;
  }
  std::vector<SweepChoice> seeded;
  seeded.reserve(points.size() * study.seeds.size());
  for (const SweepChoice& point : points) {
    for (const SweepSetting& seed : study.seeds) {
      seeded.push_back(point);
      put_all(seeded.back(), {seed});
    }
  }
  return seeded;
}

std::vector<std::string> swept_keys(const SweepStudy& study) {
  std::vector<std::string> keys;
  const auto add = [&](const SweepChoice& choice) {
    for (const SweepSetting& setting : choice) {
      if (std::find(keys.begin(), keys.end(), setting.key) == keys.end()) {
        keys.push_back(setting.key);
      }
    }
  };
  for (const SweepAxis& axis : study.axes) {
    add(axis.choices.front());
  }
  for (const SweepChoice& point : study.points) {
    add(point);
  }
  add(study.seeds);
  return keys;
}

}  // namespace moesim
