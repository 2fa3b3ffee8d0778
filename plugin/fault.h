/* Files are read as memory; where one is cut short meanwhile, or its disk fails, the system sends SIGBUS. */
#ifndef DECO_PLUGIN_FAULT_H
#define DECO_PLUGIN_FAULT_H

/* From now on such a fault ends the program with a message that names the file, and the exit code of a failed run. */
void fault_watch(void);

#endif
