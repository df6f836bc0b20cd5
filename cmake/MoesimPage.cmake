# SPDX-License-Identifier: Apache-2.0
# The chart libraries of the report page (sim/report/page/package-lock.json), fetched by npm when
# CMake is configured. Sets MOESIM_HAS_PAGE and MOESIM_PAGE_MODULES. AUTO leaves the page out when
# npm is missing or fails, ON fails loudly.
set(MOESIM_HAS_PAGE OFF)
if(MOESIM_WITH_PAGE STREQUAL "OFF")
  return()
endif()

set(moesim_page_source ${PROJECT_SOURCE_DIR}/sim/report/page)
set(moesim_page_folder ${PROJECT_BINARY_DIR}/report_page)
set(MOESIM_PAGE_MODULES ${moesim_page_folder}/node_modules)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${moesim_page_source}/package.json ${moesim_page_source}/package-lock.json)
file(SHA256 ${moesim_page_source}/package-lock.json moesim_page_lock)
set(moesim_page_stamp ${moesim_page_folder}/${moesim_page_lock})

if(NOT EXISTS ${moesim_page_stamp})
  find_program(MOESIM_NPM npm)
  set(moesim_page_result "npm is not installed")
  if(MOESIM_NPM)
    file(REMOVE_RECURSE ${moesim_page_folder})
    file(COPY ${moesim_page_source}/package.json ${moesim_page_source}/package-lock.json DESTINATION ${moesim_page_folder})
    message(STATUS "report page: npm ci")
    execute_process(
      COMMAND ${MOESIM_NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
      WORKING_DIRECTORY ${moesim_page_folder}
      RESULT_VARIABLE moesim_page_result
      OUTPUT_QUIET ERROR_QUIET TIMEOUT 300)
    if(moesim_page_result EQUAL 0)
      file(TOUCH ${moesim_page_stamp})
    else()
      set(moesim_page_result "npm ci failed in ${moesim_page_folder} (${moesim_page_result})")
    endif()
  endif()
endif()

if(EXISTS ${moesim_page_stamp})
  set(MOESIM_HAS_PAGE ON)
elseif(MOESIM_WITH_PAGE STREQUAL "ON")
  message(FATAL_ERROR "MOESIM_WITH_PAGE=ON: ${moesim_page_result}")
else()
  message(STATUS "report page: left out, ${moesim_page_result}")
endif()
