/* What the leak checker cannot see: fontconfig, under Cairo, keeps its patterns until the process ends and links them by offsets instead
 * of pointers. Read by the address sanitizer, of no effect without it. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }
