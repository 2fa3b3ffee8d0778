/* The commands and the exit codes, as the help, the manual page and the completion give them. */
#include "config/table.h"

#include <string.h>

const option_command command_table[] = {
    {"run", DECO_FOR_RUN, "--particles JOB --outdir DIR [options]", "train on a CryoSPARC job; then maps, clusters and subsets"},
    {"analyze", DECO_FOR_ANALYZE, "OUTDIR [options]", "analyse a finished run again, with other settings"},
    {"info", DECO_FOR_INFO, "JOB [options]", "say what an input holds and what can be run with it"},
    {"subset", DECO_FOR_SUBSET, "OUTDIR|--particles JOB --output PATH [options]", "some particles as files for CryoSPARC and RELION"},
    {"decode", DECO_FOR_DECODE, "OUTDIR --at 3,50|--z FILE --output DIR [options]", "maps at any latents of a run, or between them"},
    {"score", DECO_FOR_SCORE, "OUTDIR --truth DIR [options]", "hold a run against the truth, where that is known"},
    {"encode", DECO_FOR_ENCODE, "OUTDIR --particles JOB --output DIR [options]",
     "latents of other particles, from a finished run's encoder"},
    {"cache", DECO_FOR_CACHE, "build|info|verify|remove [JOB...] --cache_dir DIR [options]",
     "keep an input's prepared images on a local disk"},
    {"simulate", DECO_FOR_SIMULATE, "STRUCTURE... --outdir DIR [options]", "make a project with known truth from structures or maps"},
    {"bench", DECO_FOR_BENCH, "[options]", "measure this machine"},
    {"selftest", DECO_FOR_SELFTEST, "[--cache_dir SCRATCH] [options]",
     "is this installation sound: libraries, numbers, a small run, scratch, speed"},
    {"options", DECO_FOR_OPTIONS, "[--json True|--form man|bash]", "the table of all options; the manual page; completion for bash"},
    {"plugin", 0, "", "what a host program needs to know, in JSON"},
    {"cryosparc", 0, "run|publish|check --help", "train as an external job of CryoSPARC, and publish into it (needs Python)"},
};
const int command_count = sizeof command_table / sizeof *command_table;

const char command_exit_codes[] = "Exit codes: 0 done; 1 failed while running, what was whole stays whole; 2 bad input or usage,\n"
                                  "nothing written; 3 stopped from CryoSPARC; 4 the CryoSPARC job could not start; 75 stopped with\n"
                                  "a whole checkpoint (--resume auto goes on); 128 + n killed by signal n.\n";

void option_command_words(char *out, size_t size, int commands)
{
    size_t used = 0;

    *out = 0;
    for (int c = 0; c < command_count; c++)
        if (commands & command_table[c].bit && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", command_table[c].name);
}
