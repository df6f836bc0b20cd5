# SPDX-License-Identifier: Apache-2.0
# cmake -DSOURCE=... -DMODULES=... -DOUTPUT=... -P make_page.cmake
# Puts style, chart libraries and program into page.html and writes what stands before and after the
# place of the document as C++ string literals.
include(${SOURCE}/parts.cmake)
file(READ ${SOURCE}/page.html page)
file(READ ${SOURCE}/page.css style)

set(libraries "")
foreach(library IN LISTS page_libraries)
  file(READ ${MODULES}/${library}/build/${library}.min.js text)
  string(REGEX REPLACE "\n//# sourceMappingURL=[^\n]*" "" text "${text}")
  string(APPEND libraries "${text}\n")
endforeach()

set(program "")
foreach(part IN LISTS page_program)
  file(READ ${SOURCE}/program/${part}.js text)
  string(APPEND program "${text}")
endforeach()

foreach(what IN ITEMS libraries program)
  string(FIND "${${what}}" "</script" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "the ${what} of the report page hold \"</script\", which would end them")
  endif()
endforeach()

string(FIND "${page}" "@DOCUMENT@" place)
string(SUBSTRING "${page}" 0 ${place} head)
math(EXPR place "${place} + 10")
string(SUBSTRING "${page}" ${place} -1 tail)
string(REPLACE "@STYLE@" "${style}" head "${head}")
string(REPLACE "@PROGRAM@" "${program}" tail "${tail}")
string(REPLACE "@LIBRARIES@" "${libraries}" tail "${tail}")

set(delimiter "moesim_page")
file(WRITE ${OUTPUT} "// SPDX-License-Identifier: Apache-2.0\n// Made by make_page.cmake.\n#include \"sim/report/page_parts.hpp\"\n\nnamespace moesim {\n\nPageParts page_parts() {\n  return {\n      R\"${delimiter}(")
file(APPEND ${OUTPUT} "${head}" ")${delimiter}\",\n      R\"${delimiter}(" "${tail}" ")${delimiter}\"};\n}\n\n}  // namespace moesim\n")
