# SPDX-License-Identifier: Apache-2.0
# What cmake --install lays down beside the program and the libraries: presets, guides, licence, manual pages, shell
# completions and the CMake package; and the Debian package that cpack makes of it all.
include(CMakePackageConfigHelpers)

install(DIRECTORY scenarios/ DESTINATION ${CMAKE_INSTALL_DATADIR}/moesim/scenarios USE_SOURCE_PERMISSIONS)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE cmake/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Made from the program's own options, so made by the program.
set(manual_folder ${PROJECT_BINARY_DIR}/manual)
find_program(MOESIM_GZIP gzip REQUIRED)
add_custom_command(
  OUTPUT ${manual_folder}/made
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${manual_folder}
  COMMAND ${CMAKE_COMMAND} -E env --unset=MOESIM_DATA $<TARGET_FILE:moesim_cli> man --out ${manual_folder}/man1
  COMMAND sh -c "${MOESIM_GZIP} -9n ${manual_folder}/man1/*.1"
  COMMAND sh -c "for shell in bash zsh fish; do env -u MOESIM_DATA $<TARGET_FILE:moesim_cli> completion $shell >${manual_folder}/$shell; done"
  COMMAND sh -c "${MOESIM_GZIP} -9nc ${PROJECT_SOURCE_DIR}/cmake/debian/changelog >${manual_folder}/changelog.gz"
  COMMAND ${CMAKE_COMMAND} -E touch ${manual_folder}/made
  DEPENDS moesim_cli cmake/debian/changelog
  COMMENT "Manual pages and shell completions"
  VERBATIM)
add_custom_target(moesim_manual ALL DEPENDS ${manual_folder}/made)
install(FILES ${manual_folder}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${manual_folder}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${manual_folder}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME moesim)
install(FILES ${manual_folder}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _moesim)
install(FILES ${manual_folder}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME moesim.fish)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/moesim)
configure_package_config_file(cmake/moesim-config.cmake.in ${PROJECT_BINARY_DIR}/moesim-config.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/moesim-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/moesim-config.cmake ${PROJECT_BINARY_DIR}/moesim-config-version.cmake
              cmake/FindSimGrid.cmake cmake/FindNCCL.cmake
        DESTINATION ${package_folder})
install(EXPORT moesim FILE moesim-targets.cmake NAMESPACE moesim:: DESTINATION ${package_folder})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME moesim)
set(CPACK_PACKAGE_VENDOR moesim)
set(CPACK_PACKAGE_CONTACT "moesim developers <moesim@localhost>") # the project has no address yet
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/package)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Replays routing traces of Mixture-of-Experts language models on a simulated
GPU cluster, token by token and flow by flow: phase times, hot experts, hot
links, dropped tokens, placements, capacity factors, sweeps and plans.
.
The package holds the program, its presets and guides, and the C++ libraries
for find_package(moesim).")
# What users of the C++ libraries need besides.
set(moesim_packages coinor-libclp-dev libboost-graph-dev libceres-dev libfmt-dev libopenmpi-dev libsimgrid-dev
                    libsqlitecpp-dev libssl-dev libtbb-dev libtomlplusplus-dev libyaml-cpp-dev nlohmann-json3-dev pkg-config
                    zlib1g-dev)
list(JOIN moesim_packages ", " CPACK_DEBIAN_PACKAGE_SUGGESTS)
# Sweeps over many hosts, and the Python module.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "openmpi-bin, python3 (>= 3.11), python3-numpy, python3-pandas")
include(CPack)
