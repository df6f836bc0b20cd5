# SPDX-License-Identifier: Apache-2.0
# moesim_module(name HEADERS h... SOURCES s... LINKS public... PRIVATE_LINKS private... HEADER_ONLY_LINKS private...)
#
# One static library moesim::<name> from the files named (never a glob), installed and exported with its headers.
# Include paths start at the repository root. Users of the installed library must have its LINKS and PRIVATE_LINKS
# (moesim-config.cmake.in finds them), not its HEADER_ONLY_LINKS. Warnings come from moesim_warnings, which is private
# and never exported.

option(MOESIM_WERROR "Warnings are errors" OFF)
# For clang only: to gcc they are as slow as the text. OFF by default, so that a file that lacks an include is found.
option(MOESIM_PCH "Precompile the headers that most files include" OFF)
find_program(MOESIM_CCACHE ccache)
if(MOESIM_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MOESIM_CCACHE})
endif()

add_library(moesim_warnings INTERFACE)
target_compile_features(moesim_warnings INTERFACE cxx_std_20)
target_compile_options(
  moesim_warnings
  INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wsign-conversion;-Wnon-virtual-dtor;-Wold-style-cast;-Wcast-qual;-Wunused;-Woverloaded-virtual;-ffp-contract=off>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${MOESIM_WERROR}>>:-Werror>)
if(CMAKE_UNITY_BUILD) # to gcc a class of a file that another includes is a header's
  target_compile_options(moesim_warnings INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endif()

# moesim_precompiled_headers(target HEADER...) compiles the headers once with the options of this target;
# moesim_use_precompiled_headers(target donor) has another target with the same options read them.
function(moesim_precompiled_headers target)
  moesim_set_precompiled_headers(${target} PRIVATE ${ARGN})
endfunction()

function(moesim_use_precompiled_headers target donor)
  moesim_set_precompiled_headers(${target} REUSE_FROM ${donor})
endfunction()

function(moesim_set_precompiled_headers target)
  if(MOESIM_PCH)
    target_precompile_headers(${target} ${ARGN})
    # What lets ccache see that they are in use, and that they are the same.
    target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>"
                                             "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
  endif()
endfunction()

function(moesim_module name)
  cmake_parse_arguments(ARG "" "" "HEADERS;SOURCES;LINKS;PRIVATE_LINKS;HEADER_ONLY_LINKS" ${ARGN})
  set(target moesim_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(moesim::${name} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  foreach(link IN LISTS ARG_HEADER_ONLY_LINKS ITEMS moesim_warnings)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${link}>)
  endforeach()
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON
                                             VERIFY_INTERFACE_HEADER_SETS ON EXPORT_NAME ${name})
  if(NOT name STREQUAL "core")
    moesim_use_precompiled_headers(${target} moesim_core)
  endif()
  install(TARGETS ${target} EXPORT moesim ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/moesim
          FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/moesim)
endfunction()
