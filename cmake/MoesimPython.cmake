# SPDX-License-Identifier: Apache-2.0
# Sets MOESIM_HAS_PYTHON, MOESIM_PYTHON (the interpreter; the system's before others in PATH) and
# MOESIM_PYTHON_DIR (where the module is installed, below the prefix). AUTO builds the module when
# Python's headers and pybind11 are found, ON fails loudly, OFF leaves it out.
set(MOESIM_HAS_PYTHON OFF)
if(MOESIM_WITH_PYTHON STREQUAL "OFF")
  return()
endif()

find_program(MOESIM_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(MOESIM_PYTHON NAMES python3)
if(MOESIM_PYTHON AND NOT Python_EXECUTABLE)
  set(Python_EXECUTABLE ${MOESIM_PYTHON})
endif()
find_package(Python 3.11 QUIET COMPONENTS Interpreter Development.Module)
if(Python_FOUND)
  find_package(pybind11 2.10 CONFIG QUIET)
endif()
if(NOT Python_FOUND OR NOT pybind11_FOUND)
  if(MOESIM_WITH_PYTHON STREQUAL "ON")
    message(FATAL_ERROR "MOESIM_WITH_PYTHON=ON needs the headers of Python 3.11 or later and pybind11 2.10 or later "
                        "(Python: ${MOESIM_PYTHON})")
  endif()
  message(STATUS "Python module: left out, no headers of Python or no pybind11")
  return()
endif()
set(MOESIM_HAS_PYTHON ON)

# Debian looks into other folders than Python's own choice.
if(NOT EXISTS /etc/debian_version)
  set(moesim_python_dir ${CMAKE_INSTALL_LIBDIR}/python${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}/site-packages)
elseif(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(moesim_python_dir lib/python3/dist-packages)
else()
  set(moesim_python_dir lib/python${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}/dist-packages)
endif()
set(MOESIM_PYTHON_DIR ${moesim_python_dir} CACHE STRING "Folder of Python packages, below the install prefix")
