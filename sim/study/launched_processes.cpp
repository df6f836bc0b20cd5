// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "sim/study/mpi_world.hpp"

namespace moesim {

int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"}) {
    const char* text = std::getenv(name);
    int size = 0;
    if (text != nullptr &&
        std::from_chars(text, text + std::strlen(text), size).ec == std::errc() && size > 0) {
      return size;
    }
  }
  return 1;
}

}  // namespace moesim
