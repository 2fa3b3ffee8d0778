/* Everything here but fault_watch runs in a signal handler: system calls alone. */
#include "fault.h"
#include "cryodeco.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 4608 };

static void say(const char *text, size_t n)
{
    while (n) {
        ssize_t k = write(STDERR_FILENO, text, n);
        if (k <= 0)
            return;
        text += k;
        n -= (size_t)k;
    }
}

static bool read_hex(uintptr_t *out, const char **at)
{
    const char *begin = *at;

    for (*out = 0;; ++*at) {
        char c = **at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return *at > begin;
        *out = *out << 4 | (uintptr_t)digit;
    }
}

/* Of a line "7f00-7f10 r--s 0000 08:01 42   /a/file": the file, where the address is inside. */
static const char *file_at(const char *line, uintptr_t address)
{
    uintptr_t first, end;

    if (!read_hex(&first, &line) || *line++ != '-' || !read_hex(&end, &line))
        return NULL;
    return address >= first && address < end ? strchr(line, '/') : NULL;
}

/* Says the name of the file that the address is mapped from. */
static bool say_file(uintptr_t address)
{
    static char line[LINE];
    char some[1024];
    size_t used = 0;
    ssize_t n;
    bool said = false;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && !said && (n = read(fd, some, sizeof some)) > 0)
        for (ssize_t i = 0; i < n && !said; i++) {
            if (some[i] != '\n') {
                line[used] = some[i];
                used += used + 1 < sizeof line;
                continue;
            }
            line[used] = 0;
            used = 0;
            const char *file = file_at(line, address);
            if (file)
                say(file, strlen(file));
            said = file != NULL;
        }
    if (fd >= 0)
        close(fd);
    return said;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    static const char head[] = "\nerror: ", unknown[] = "a file",
                      tail[] =
                          ": was cut short while it was read, or its disk fails; look after the disk. A cache (data.mdb) is made again "
                          "after cryodeco cache remove; a run that is started again goes on from its last checkpoint\n";

    static atomic_flag said = ATOMIC_FLAG_INIT;

    (void)context;
    if (info->si_code <= 0) { /* sent by somebody: as it always was */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    while (atomic_flag_test_and_set(&said)) /* threads read side by side, and so may fail: one of them speaks, and ends all */
        pause();
    say(head, sizeof head - 1);
    if (!say_file((uintptr_t)info->si_addr))
        say(unknown, sizeof unknown - 1);
    say(tail, sizeof tail - 1);
    _exit(DECO_EXIT_FAILED);
}

void fault_watch(void)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &fault, NULL);
}
