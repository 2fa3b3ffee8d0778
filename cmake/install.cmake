# bin/cryodeco, libcryodeco.so, the header, pkg-config and CMake packages, presets and structures.
include(CMakePackageConfigHelpers)

if(SKBUILD) # a wheel holds no links, and nobody compiles against it
  set_target_properties(cryodeco PROPERTIES VERSION ${PROJECT_VERSION_MAJOR})
  install(TARGETS cryodeco LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
  install(TARGETS cryodeco_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY blueprints examples/structures DESTINATION ${CMAKE_INSTALL_DATADIR}/cryodeco)
  return()
endif()

install(TARGETS cryodeco EXPORT cryodecoTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS cryodeco_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES core/include/cryodeco.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY blueprints examples/structures DESTINATION ${CMAKE_INSTALL_DATADIR}/cryodeco)
install(FILES ${PROJECT_BINARY_DIR}/pages/cryodeco.man DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME cryodeco.1)
install(FILES ${PROJECT_BINARY_DIR}/pages/cryodeco.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME cryodeco)
file(RELATIVE_PATH DECO_MODULE_TO_PREFIX /p/${CMAKE_INSTALL_DATADIR}/modulefiles/cryodeco /p)
configure_file(cmake/modulefile.in ${PROJECT_BINARY_DIR}/pages/modulefile @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pages/modulefile DESTINATION ${CMAKE_INSTALL_DATADIR}/modulefiles/cryodeco RENAME ${PROJECT_VERSION})
install(FILES LICENSE README.md CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR})

file(RELATIVE_PATH DECO_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(cmake/cryodeco.pc.in ${PROJECT_BINARY_DIR}/cryodeco.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cryodeco.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(EXPORT cryodecoTargets NAMESPACE cryodeco:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cryodeco FILE cryodecoConfig.cmake)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cryodecoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cryodecoConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cryodeco)

# cpack -G DEB (below /usr), -G TGZ (a folder that can be moved): what is installed, as a package.
set(CPACK_PACKAGE_NAME cryodeco)
set(CPACK_PACKAGE_VENDOR cryodeco)
set(CPACK_PACKAGE_CONTACT "the authors of cryodeco, see CITATION.cff")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "structures, poses and states from single-particle cryo-EM images")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3 (>= 3.9), python3-numpy")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/prerm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
include(CPack)
