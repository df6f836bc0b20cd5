// SPDX-License-Identifier: Apache-2.0
// A build without MPI that is started as one of several processes.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "sim/core/diagnostics.hpp"
#include "sim/study/mpi_world.hpp"

namespace moesim {
namespace {

TEST(NoMpi, SaysThatItCannotBeOneOfSeveral) {
  EXPECT_FALSE(mpi_is_built());
  try {
    const MpiWorld world;
    FAIL() << "it cannot be";
  } catch (const EnvironmentError& error) {
    EXPECT_STREQ(error.what(),
                 "started as one of several processes, but this build has no MPI (it was not found "
                 "when it was configured)");
  }
}

TEST(NoMpi, KnowsFromTheLauncherHowManyThereAre) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"}) {
    unsetenv(name);
  }
  EXPECT_EQ(launched_processes(), 1);
  setenv("PMI_SIZE", "4", 1);
  EXPECT_EQ(launched_processes(), 4);
  for (const char* nonsense : {"", "0", "-3", "four"}) {
    setenv("PMI_SIZE", nonsense, 1);
    EXPECT_EQ(launched_processes(), 1) << nonsense;
  }
  unsetenv("PMI_SIZE");
}

}  // namespace
}  // namespace moesim
