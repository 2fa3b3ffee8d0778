/* The first lines of every log: what ran, where, with what. */
#include "job/head.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The instruction sets that our kernels and oneDNN choose by. */
static const char *cpu_features(void)
{
#if defined(__x86_64__)
    static _Thread_local char text[96];
    snprintf(text, sizeof text, "%s%s%s%s%s", __builtin_cpu_supports("avx2") ? " avx2" : "", __builtin_cpu_supports("fma") ? " fma" : "",
             __builtin_cpu_supports("avx512f") ? " avx512f" : "", __builtin_cpu_supports("avx512bw") ? " avx512bw" : "",
             __builtin_cpu_supports("avx512vnni") ? " avx512vnni" : "");
    return text[0] ? text + 1 : "none of avx2, avx512";
#else
    return "not x86-64";
#endif
}

/* "AMD EPYC 9xx4", from /proc/cpuinfo; the machine's type where that is not to be had. */
static void cpu_model(char *out, size_t size, const char *machine)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");

    snprintf(out, size, "%s", machine);
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (value && !strncmp(line, "model name", 10)) {
            value[strcspn(value, "\n")] = 0;
            snprintf(out, size, "%s", value + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

void deco_log_head(deco_monitor *m, const deco_device *dev, int threads, uint64_t seed)
{
    struct utsname u;
    char cpu[256], seed_text[24];

    if (uname(&u))
        memset(&u, 0, sizeof u);
    cpu_model(cpu, sizeof cpu, u.machine);
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    deco_info(m, "cryodeco %s on %s (%s %s)", deco_version(), u.nodename, u.sysname, u.release);
    deco_info(m, "device %s, %d threads; %s: %s; %s%s", deco_device_name(dev), threads, cpu, cpu_features(), deco_device_libraries(dev),
              deco_device_bf16(dev) ? "; matrix products in bf16" : "");
    deco_info(m, "seed %s", seed_text);

    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "version", deco_version());
    cJSON_AddStringToObject(fields, "host", u.nodename);
    cJSON_AddStringToObject(fields, "device", deco_device_name(dev));
    cJSON_AddStringToObject(fields, "cpu", cpu);
    cJSON_AddStringToObject(fields, "libraries", deco_device_libraries(dev));
    cJSON_AddNumberToObject(fields, "threads", threads);
    cJSON_AddStringToObject(fields, "seed", seed_text); /* 64 bits do not fit a JSON number */
    deco_metric(m, "start", fields);
}
