# SPDX-License-Identifier: Apache-2.0
# Sets MOESIM_HAS_CUDA and the targets CUDA::*, NCCL::NCCL and moesim_cuda (what CUDA code is
# compiled with). AUTO uses CUDA when nvcc, cuBLAS and NCCL are found, ON fails loudly, OFF leaves
# it out. nvcc is looked for in PATH and in /usr/local/cuda.
set(MOESIM_HAS_CUDA OFF)
if(MOESIM_WITH_CUDA STREQUAL "OFF")
  return()
endif()

find_program(MOESIM_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(MOESIM_NVCC)
  get_filename_component(moesim_cuda_bin ${MOESIM_NVCC} REALPATH)
  get_filename_component(moesim_cuda_bin ${moesim_cuda_bin} DIRECTORY)
  get_filename_component(moesim_cuda_root ${moesim_cuda_bin} DIRECTORY)
  set(CUDAToolkit_ROOT ${moesim_cuda_root})
  find_package(CUDAToolkit 12.8 QUIET)
endif()
if(CUDAToolkit_FOUND)
  find_package(NCCL 2.18 QUIET)
endif()
if(NOT MOESIM_NVCC OR NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublasLt OR NOT NCCL_FOUND)
  if(MOESIM_WITH_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MOESIM_WITH_CUDA=ON needs nvcc and cuBLAS of CUDA 12.8 or later, and NCCL 2.18 or later "
                        "(nvcc: ${MOESIM_NVCC}, NCCL: ${NCCL_LIBRARY})")
  endif()
  return()
endif()

# Hopper machine code, and its PTX for later GPUs.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 90)
endif()
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${MOESIM_NVCC})
endif()
if(MOESIM_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${MOESIM_CCACHE})
endif()
enable_language(CUDA)
set(MOESIM_HAS_CUDA ON)

add_library(moesim_cuda INTERFACE)
target_compile_options(  # -std by hand: CMake 3.25 knows no standards of nvcc 13
  moesim_cuda
  INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>
            $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow>
            $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${MOESIM_WERROR}>>:-Werror=all-warnings>)
# cuBLAS is opened at run time (gpu_ref/device/lazy_blas.cpp): only its headers, which lie beside CUDA's.
target_link_libraries(moesim_cuda INTERFACE CUDA::cudart_static NCCL::NCCL)
