/* Files taken into the library by the assembler: REPORT_* name them (CMakeLists.txt). */
#include "job/report_assets.h"
#include "base/take_in.h"

TAKE_IN(report_css, REPORT_CSS);
TAKE_IN(report_js, REPORT_JS);
TAKE_IN(report_three, REPORT_THREE);
TAKE_IN(report_cubes, REPORT_CUBES);
