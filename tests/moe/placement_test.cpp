// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/placement.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/placement_file.hpp"

namespace moesim {
namespace {

/// The rank of an expert that has one slot.
RankId rank_of_expert(const Placement& p, int expert) {
  EXPECT_EQ(p.slots_of(ExpertId{expert}).size(), 1U);
  return p.rank_of(p.slots_of(ExpertId{expert}).front());
}

TEST(Placement, ContiguousPutsNeighboursTogether) {
  const Placement p = contiguous_placement(6, 3);
  EXPECT_EQ(rank_of_expert(p, 3), RankId{1});
  EXPECT_EQ(rank_of_expert(p, 5), RankId{2});
}

TEST(Placement, RoundRobinDealsExpertsInTurn) {
  const Placement p = round_robin_placement(6, 3);
  EXPECT_EQ(rank_of_expert(p, 3), RankId{0});
  EXPECT_EQ(rank_of_expert(p, 5), RankId{2});
  EXPECT_EQ(p.expert_of_slot[1], ExpertId{3});
}

TEST(Placement, RefusesRanksThatDoNotDivideTheExperts) {
  EXPECT_THROW(static_cast<void>(contiguous_placement(6, 4)), std::logic_error);
}

TEST(Placement, ListsTheSlotsOfAnExpertInOrder) {
  // rank 0: experts 1, 0; rank 1: experts 1, 2; rank 2: experts 0, 1
  const Placement p = placement_from_slots(
      {ExpertId{1}, ExpertId{0}, ExpertId{1}, ExpertId{2}, ExpertId{0}, ExpertId{1}}, 3);
  EXPECT_EQ(p.num_experts(), 3);
  EXPECT_EQ(p.slots_per_rank(), 2);
  EXPECT_TRUE(p.has_replicas());
  EXPECT_THAT(p.slots_of(ExpertId{0}), testing::ElementsAre(SlotId{1}, SlotId{4}));
  EXPECT_THAT(p.slots_of(ExpertId{1}), testing::ElementsAre(SlotId{0}, SlotId{2}, SlotId{5}));
  EXPECT_THAT(p.slots_of(ExpertId{2}), testing::ElementsAre(SlotId{3}));
  EXPECT_EQ(p.rank_of(SlotId{5}), RankId{2});
  EXPECT_FALSE(contiguous_placement(6, 3).has_replicas());
}

TEST(Placement, RefusesAnExpertWithoutASlotAndUnevenRanks) {
  EXPECT_THROW(static_cast<void>(placement_from_slots({ExpertId{0}, ExpertId{2}}, 2)),
               std::logic_error);
  EXPECT_THROW(static_cast<void>(placement_from_slots({ExpertId{0}, ExpertId{1}, ExpertId{2}}, 2)),
               std::logic_error);
}

constexpr PlacementSize kSize{.layers = 1, .experts = 4, .ranks = 2};

class PlacementFile : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<Placement> read(const std::string& text) {
    write_file_atomically(path_, text);
    return make_placements({.kind = PlacementKind::kFile, .file = path_.string()}, kSize);
  }
  /// The message without "FILE: error: ".
  std::string refusal(const std::string& text) {
    try {
      static_cast<void>(read(text));
    } catch (const UserError& error) {
      const std::string all = error.what();
      const std::string start = path_.string() + ": error: ";
      EXPECT_EQ(all.substr(0, start.size()), start);
      return all.substr(start.size());
    }
    return "accepted";
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      (std::string("moesim_placement_") +
       testing::UnitTest::GetInstance()->current_test_info()->name() + ".json");
};

TEST_F(PlacementFile, ReadsSlotsInRankOrder) {
  const std::vector<Placement> p = read(R"({"physical_to_logical_map": [[2, 0, 3, 1]]})");
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(rank_of_expert(p[0], 2), RankId{0});
  EXPECT_EQ(rank_of_expert(p[0], 1), RankId{1});
}

TEST_F(PlacementFile, RefusesWhatDoesNotFitWordForWord) {
  const std::string key = "physical_to_logical_map: ";
  EXPECT_EQ(refusal("{"), "not JSON; expected an object with \"physical_to_logical_map\"");
  EXPECT_EQ(refusal("[]"), key + "missing; expected [layers][slots] of expert ids");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": 3})"),
            key + "found number; expected [layers][slots] of expert ids");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": []})"),
            key + "0 layers; expected 1, the MoE layers of the model");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": ["x"]})"),
            key + "layer 0 is string; expected an array of expert ids");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": [[0, 1, 2]]})"),
            key + "3 slots in layer 0 do not divide into 2 ranks");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": [[0, 1, 2, 4]]})"),
            key + "slot 3 of layer 0 is 4; expected an expert id from 0 to 3");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": [[0, 1, -1, 3]]})"),
            key + "slot 2 of layer 0 is -1; expected an expert id from 0 to 3");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": [[0, 1, null, 3]]})"),
            key + "slot 2 of layer 0 is null; expected an expert id from 0 to 3");
  EXPECT_EQ(refusal(R"({"physical_to_logical_map": [[0, 1]]})"),
            key + "expert 2 has no slot in layer 0");
}

TEST_F(PlacementFile, NamesAFileThatIsNotThere) {
  const PlacementSpec spec{.kind = PlacementKind::kFile, .file = "/nowhere/placement.json"};
  try {
    static_cast<void>(make_placements(spec, kSize));
    FAIL();
  } catch (const EnvironmentError& error) {
    EXPECT_STREQ(error.what(), "cannot read /nowhere/placement.json: No such file or directory");
  }
}

}  // namespace
}  // namespace moesim
