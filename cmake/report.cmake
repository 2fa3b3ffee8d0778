# What the report carries: its own script and style, and three.js with the tables of its marching cubes, as Debian's libjs-three has them. Without that package the report has
# no pictures to turn, and says so.
set(report ${PROJECT_SOURCE_DIR}/core/job/report)
set(nothing ${PROJECT_BINARY_DIR}/nothing.js)
file(WRITE ${nothing} "")
find_file(CRYODECO_THREE three.min.js PATHS /usr/share/javascript/three /usr/share/javascript/three/build NO_DEFAULT_PATH)
find_file(CRYODECO_CUBES MarchingCubes.js PATHS /usr/share/javascript/three/examples/js/objects /usr/share/javascript/three/examples/js NO_DEFAULT_PATH)
if(CRYODECO_THREE AND CRYODECO_CUBES)
  set(three ${CRYODECO_THREE})
  set(cubes ${CRYODECO_CUBES})
else()
  set(three ${nothing})
  set(cubes ${nothing})
  message(STATUS "three.js (libjs-three) is not here: the report will have no scatter and no surfaces")
endif()
set_source_files_properties(${PROJECT_SOURCE_DIR}/core/job/report_assets.c PROPERTIES
  COMPILE_DEFINITIONS "REPORT_CSS=\"${report}/report.css\";REPORT_JS=\"${report}/report.js\";REPORT_THREE=\"${three}\";REPORT_CUBES=\"${cubes}\""
  OBJECT_DEPENDS "${report}/report.css;${report}/report.js;${three};${cubes}")
