# SPDX-License-Identifier: Apache-2.0
# Every third-party package, by find_package, from the distribution.

find_package(fmt REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(ZLIB REQUIRED)
find_package(TBB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS graph)
find_package(Ceres 2.1 REQUIRED)
find_package(Random123 REQUIRED)
find_package(Eigen3 3.4 REQUIRED) # eigenvalues of the cut bound on placements
find_package(PkgConfig REQUIRED)
pkg_check_modules(CLP REQUIRED IMPORTED_TARGET clp) # linear programs of the bounds on placements
find_package(SQLiteCpp 3.2 REQUIRED) # result stores of sweeps
find_package(yaml-cpp 0.7 REQUIRED) # TensorRT-LLM keeps its expert maps in YAML

# Optional parts: AUTO uses them when found, ON fails loudly, OFF leaves them out.
if(MOESIM_WITH_SIMGRID STREQUAL "ON")
  find_package(SimGrid 3.32 REQUIRED)
elseif(NOT MOESIM_WITH_SIMGRID STREQUAL "OFF")
  find_package(SimGrid 3.32 QUIET)
endif()

set(MOESIM_HAS_MPI OFF)
if(NOT MOESIM_WITH_MPI STREQUAL "OFF")
  enable_language(C) # FindMPI looks for the C library with it
  find_package(MPI QUIET COMPONENTS C)
  if(MPI_C_FOUND)
    set(MOESIM_HAS_MPI ON)
  elseif(MOESIM_WITH_MPI STREQUAL "ON")
    message(FATAL_ERROR "MOESIM_WITH_MPI=ON, but no MPI library was found")
  endif()
endif()
