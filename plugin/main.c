/* The `cryodeco` command: words in, a job run, an exit code out. Everything it knows stands behind cryodeco.h. */
#include "cryodeco.h"
#include "fault.h"
#include "workers.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static deco_monitor *running;
static bool terminal, progress_shown, started; /* started: as a worker, by this program */

/* The first signal asks for a whole checkpoint and the end; a second one of the same kind ends the program as usual. */
static void on_stop(int number)
{
    deco_monitor_stop(running);
    if (!started) /* of workers the one that started them sees to that */
        signal(number, SIG_DFL);
}

static void on_checkpoint(int number)
{
    (void)number;
    deco_monitor_checkpoint(running);
}

static void print_line(void *user, deco_level level, const char *line)
{
    static const char *const label[] = {"debug: ", "", "warning: ", "error: ", ""};
    bool progress = level == DECO_LOG_PROGRESS;
    if (terminal && progress_shown)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s%s%s", label[level], line, terminal && progress ? "" : "\n");
    progress_shown = progress;
    fflush(stderr);
    (void)user;
}

/* Writes text to stdout; a closed pipe or full disk is a failure like any other. */
static int print_out(char *text)
{
    bool bad = text && (fputs(text, stdout) < 0 || fflush(stdout) != 0);
    deco_text_free(text);
    if (bad)
        fprintf(stderr, "error: stdout: cannot be written\n");
    return bad ? DECO_EXIT_FAILED : DECO_EXIT_DONE;
}

/* A launcher ends all when one fails: the first is given the time for its word. */
static void leave_the_word(void)
{
    enum { MOMENT_S = 1 };
    if (!deco_worker_speaks())
        sleep(MOMENT_S);
}

static int fail(int code)
{
    leave_the_word();
    if (deco_worker_speaks())
        fprintf(stderr, "%serror: %s\n", terminal && progress_shown ? "\n" : "", deco_error());
    return code;
}

static int print_help(const char *command)
{
    char *text = NULL;
    if (deco_options_help(&text, command, false))
        return fail(DECO_EXIT_BAD_INPUT);
    return print_out(text);
}

static bool is_word(const char *s, const char *a, const char *b) { return s && (!strcmp(s, a) || !strcmp(s, b)); }

/* Where the package for Python is, from the folder of this program: in a build, in a wheel, as installed. */
static const char *const packages[] = {"../python", "../..", DECO_PYTHON_FROM_BIN};

/* What that Python lacks is one line, not a traceback; cryosparc-tools is missed by the module itself. Exit code 4, DECO_EXIT_NOT_STARTED. */
static const char start_module[] =
    "import sys, importlib.util as u\n"
    "if sys.version_info < (3, 9) or not u.find_spec('numpy'):\n"
    "    print('error: %s: cryodeco cryosparc needs Python 3.9 with numpy and cryosparc-tools; CRYODECO_PYTHON names another Python' % "
    "sys.executable, file=sys.stderr)\n"
    "    sys.exit(4)\n"
    "import runpy\n"
    "runpy.run_module('cryodeco.cryosparc', run_name='__main__', alter_sys=True)\n";

/* `cryodeco cryosparc ...` is Python, over CryoSPARC's own client: a process of it takes this one's place. */
static int run_cryosparc(int argc, char **argv)
{
    char self[4096], folder[4096], path[8192], file[4096 + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *before = getenv("PYTHONPATH"), *python;
    char **words = calloc((size_t)argc + 3, sizeof *words);

    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (!slash || !words) {
        fprintf(stderr, "error: the program's own place is not known\n");
        free(words);
        return DECO_EXIT_NOT_STARTED;
    }
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
        snprintf(folder, sizeof folder, "%.*s/%s", (int)(slash - self), self, packages[i]);
        snprintf(file, sizeof file, "%s/cryodeco/cryosparc/__main__.py", folder);
        if (!access(file, R_OK))
            break;
    }
    snprintf(path, sizeof path, "%s%s%s", folder, before && *before ? ":" : "", before && *before ? before : "");
    setenv("PYTHONPATH", path, 1);
    setenv("CRYODECO_PROGRAM", self, 1);
    python = getenv("CRYODECO_PYTHON"); /* only now: setenv may move what getenv gave */
    words[0] = (char *)(python && *python ? python : "python3");
    words[1] = "-c";
    words[2] = (char *)start_module;
    for (int i = 2; i < argc; i++)
        words[i + 1] = argv[i];
    execvp(words[0], words);
    fprintf(stderr,
            "error: %s: cannot be run; cryodeco cryosparc needs Python 3.9 with numpy and cryosparc-tools, named by CRYODECO_PYTHON\n",
            words[0]);
    free(words);
    return DECO_EXIT_NOT_STARTED;
}

/* With --workers: true in each of them, false in the process that started them, which then only waits. */
static bool start_workers(int n, int *code)
{
    pid_t pid[WORKERS_MOST];
    int rank = n > 1 && !getenv("CRYODECO_WORKER") ? workers_start(pid, n) : 0;

    started = getenv("CRYODECO_WORKER") != NULL;
    if (rank >= 0)
        return true;
    if (rank == -2)
        fprintf(stderr, "error: %d workers cannot be started: %s\n", n, strerror(errno));
    *code = rank == -1 ? workers_wait(pid, n, DECO_EXIT_FAILED) : DECO_EXIT_FAILED;
    return false;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : NULL;
    deco_options *options = NULL;
    char *text = NULL;
    int code = DECO_EXIT_BAD_INPUT;

    terminal = isatty(STDERR_FILENO);
    if (!command || is_word(command, "--help", "-h") || is_word(command, "help", "help"))
        return print_help(command && argc > 2 ? argv[2] : NULL);
    if (is_word(command, "--version", "version")) {
        printf("cryodeco %s\n", deco_version());
        return DECO_EXIT_DONE;
    }
    if (is_word(command, "cryosparc", "cryosparc"))
        return run_cryosparc(argc, argv);
    for (int i = 2; i < argc; i++)
        if (is_word(argv[i], "--help", "-h"))
            return print_help(command);

    if (deco_options_create(&options) || deco_options_parse(options, command, argc - 2, argv + 2) ||
        deco_monitor_create(&running, print_line, NULL)) {
        deco_options_free(options);
        return fail(DECO_EXIT_BAD_INPUT);
    }
    if (!start_workers(deco_workers_wanted(command, options), &code)) {
        deco_monitor_free(running);
        deco_options_free(options);
        return code;
    }
    deco_monitor_set_terminal(running, terminal);
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART},
                     checkpoint = {.sa_handler = on_checkpoint, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGUSR1, &stop, NULL); /* what Slurm is asked to warn with */
    sigaction(SIGUSR2, &checkpoint, NULL);
    fault_watch();

    deco_command_run(command, options, running, &text, &code); /* a failure is logged through the monitor */
    if (code == DECO_EXIT_BAD_INPUT)
        leave_the_word();
    if (print_out(text))
        code = DECO_EXIT_FAILED;
    deco_monitor_free(running);
    deco_options_free(options);
    return code;
}
