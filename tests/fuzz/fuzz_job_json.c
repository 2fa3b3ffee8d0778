/* job.json of a job directory whose other files are not there. */
#include "input.h"
#include "particles/job_directory.h"

#include <string.h>

static char folder[64], job[80];

static void remove_folder(void)
{
    unlink(job);
    rmdir(folder);
}

/* A directory in which job.json is these bytes. */
static const char *directory_of(const uint8_t *bytes, size_t n)
{
    const char *file = fuzz_file(bytes, n);

    if (!*folder) {
        strcpy(folder, "/tmp/deco-fuzz-XXXXXX");
        if (!mkdtemp(folder))
            abort();
        snprintf(job, sizeof job, "%s/job.json", folder);
        if (symlink(file, job) || atexit(remove_folder))
            abort();
    }
    return folder;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *directory = directory_of(bytes, n);
    job_json j = {0};
    job_files files = {0};

    if (!job_json_read(&j, directory, "/tmp", NULL, NULL))
        for (int64_t i = 0; i < j.groups; i++)
            fuzz_touch(j.group[i].name, j.group[i].name ? strlen(j.group[i].name) : 0);
    job_json_free(&j);
    job_files_find(&files, directory, NULL);
    job_files_free(&files);
    return 0;
}
