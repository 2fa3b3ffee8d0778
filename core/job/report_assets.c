/* Files taken into the library by the assembler: REPORT_* name them (CMakeLists.txt). */
#include "job/report_assets.h"

#define TAKE_IN(name, path) \
    __asm__(".section .rodata\n.global " #name "\n.hidden " #name "\n.global " #name "_end\n.hidden " #name "_end\n" #name \
            ":\n.incbin \"" path "\"\n" #name "_end:\n.byte 0\n.text\n")

TAKE_IN(report_css, REPORT_CSS);
TAKE_IN(report_js, REPORT_JS);
TAKE_IN(report_three, REPORT_THREE);
TAKE_IN(report_cubes, REPORT_CUBES);
