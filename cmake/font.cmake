# The figures' font, DejaVu Sans as Debian's fonts-dejavu-core has it. Without it they take what is installed where they are drawn.
set(places /usr/share/fonts/truetype/dejavu /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/dejavu)
find_file(CRYODECO_FONT DejaVuSans.ttf PATHS ${places} NO_DEFAULT_PATH)
find_file(CRYODECO_FONT_BOLD DejaVuSans-Bold.ttf PATHS ${places} NO_DEFAULT_PATH)
if(CRYODECO_FONT AND CRYODECO_FONT_BOLD)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/core/analysis/font.c PROPERTIES
    COMPILE_DEFINITIONS "FONT_REGULAR=\"${CRYODECO_FONT}\";FONT_BOLD=\"${CRYODECO_FONT_BOLD}\"" OBJECT_DEPENDS "${CRYODECO_FONT};${CRYODECO_FONT_BOLD}")
else()
  message(STATUS "DejaVu Sans (fonts-dejavu-core) is not here: figures will need an installed font")
endif()
