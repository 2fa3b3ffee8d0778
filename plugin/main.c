/* The `cryodeco` command: words in, a job run, an exit code out. Everything it knows stands behind cryodeco.h. */
#include "cryodeco.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static deco_monitor *running;
static bool terminal, progress_shown;

/* The first signal asks for a whole checkpoint and the end; a second one of the same kind ends the program as usual. */
static void on_stop(int number)
{
    deco_monitor_stop(running);
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

static int fail(int code)
{
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
    for (int i = 2; i < argc; i++)
        if (is_word(argv[i], "--help", "-h"))
            return print_help(command);

    if (deco_options_create(&options) || deco_options_parse(options, command, argc - 2, argv + 2) ||
        deco_monitor_create(&running, print_line, NULL)) {
        deco_options_free(options);
        return fail(DECO_EXIT_BAD_INPUT);
    }
    deco_monitor_set_terminal(running, terminal);
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART},
                     checkpoint = {.sa_handler = on_checkpoint, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGUSR1, &checkpoint, NULL);

    deco_command_run(command, options, running, &text, &code); /* a failure is logged through the monitor */
    if (print_out(text))
        code = DECO_EXIT_FAILED;
    deco_monitor_free(running);
    deco_options_free(options);
    return code;
}
