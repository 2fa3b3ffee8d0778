# Version and commit for base/version.c, and where the presets are installed for config/.
set(DECO_COMMIT "no commit")
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=10 HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(DECO_COMMIT ${commit})
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD) # configured again when HEAD moves
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
  endif()
endif()
set_source_files_properties(${PROJECT_SOURCE_DIR}/core/base/version.c PROPERTIES
  COMPILE_DEFINITIONS "DECO_VERSION=\"${PROJECT_VERSION}\";DECO_COMMIT=\"${DECO_COMMIT}\"")
file(GLOB config_sources ${PROJECT_SOURCE_DIR}/core/config/*.c)
set_source_files_properties(${config_sources} PROPERTIES
  COMPILE_DEFINITIONS "DECO_SHARE_DIR=\"${CMAKE_INSTALL_FULL_DATADIR}/cryodeco\"")
