# SPDX-License-Identifier: Apache-2.0
# SimGrid in Debian ships no CMake package: SimGrid::SimGrid from its header and library.
find_path(SimGrid_INCLUDE_DIR simgrid/s4u.hpp)
find_library(SimGrid_LIBRARY simgrid)
if(SimGrid_INCLUDE_DIR AND EXISTS ${SimGrid_INCLUDE_DIR}/simgrid/version.h)
  file(STRINGS ${SimGrid_INCLUDE_DIR}/simgrid/version.h simgrid_version_lines
       REGEX "define SIMGRID_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" simgrid_version_numbers "${simgrid_version_lines}")
  string(REPLACE ";" "." SimGrid_VERSION "${simgrid_version_numbers}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  SimGrid
  REQUIRED_VARS SimGrid_LIBRARY SimGrid_INCLUDE_DIR
  VERSION_VAR SimGrid_VERSION)
if(SimGrid_FOUND AND NOT TARGET SimGrid::SimGrid)
  add_library(SimGrid::SimGrid UNKNOWN IMPORTED)
  set_target_properties(SimGrid::SimGrid PROPERTIES IMPORTED_LOCATION ${SimGrid_LIBRARY})
  target_include_directories(SimGrid::SimGrid SYSTEM INTERFACE ${SimGrid_INCLUDE_DIR})
endif()
