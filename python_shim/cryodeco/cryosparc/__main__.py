"""`cryodeco cryosparc run | publish | check`: words in, an exit code out."""
import argparse
import sys
from typing import List

from .driver import Driver
from .instance import EXIT_NOT_STARTED, CannotStart, Secrets

HELP = """Credentials come from CRYOSPARC_BASE_URL, CRYOSPARC_EMAIL and CRYOSPARC_PASSWORD (4.x: also CRYOSPARC_LICENSE_ID,
CRYOSPARC_MASTER_HOSTNAME, CRYOSPARC_BASE_PORT in place of the first), never from options. `run` takes all options of `cryodeco run` besides.
Exit codes: 0 completed; 1 failed; 3 stopped from CryoSPARC; 4 could not start, nothing was created; 128 + n ended by signal n."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cryodeco cryosparc", epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("run", "train on a job's particles as an external job"), ("publish", "outputs of a finished run into a new job"),
                       ("check", "connection, version, login, project; creates nothing")):
        p = commands.add_parser(name, help=what, description=what, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
        p.add_argument("--project", required=name != "check", metavar="P3")
        p.add_argument("--map-path", action="append", metavar="SERVER=LOCAL", help="where a directory of the server's is on this machine")
        p.add_argument("--particles", metavar="J42.particles", help="job and output")
        p.set_defaults(particles_full=None, wait=False, resume=None)
        if name == "check":
            continue
        p.add_argument("--workspace", metavar="W1")
        p.add_argument("--particles-full", metavar="J17.particles", help="the set before downsampling; its subsets are published too")
        p.add_argument("--title", default="cryodeco")
        if name == "publish":
            p.add_argument("run_dir", metavar="RUN_DIR")
        else:
            p.add_argument("--wait", action="store_true", help="wait for the particles' job to complete")
            p.add_argument("--resume", metavar="J99", help="go on with a job of ours whose process died")
            p.add_argument("--dry-run", "--dry_run", action="store_true", help="check everything, say what would be created, create nothing")
    return parser


def main(words: List[str]) -> int:
    """Runs one command."""
    parser = _parser()
    a, rest = parser.parse_known_args(words)
    if a.command != "run" and rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if a.command == "run" and not (a.resume or (a.particles and a.workspace)):
        parser.error("run needs --workspace and --particles, or --resume")
    try:
        driver = Driver(a, rest)
        return {"run": driver.run, "publish": driver.publish_run, "check": driver.check}[a.command]()
    except (CannotStart, ValueError) as error:
        said = str(error)
    except Exception as error:  # before anything was created; the client's own words may hold password and licence
        said = f"CryoSPARC did not answer as expected ({type(error).__name__}); nothing was created"
    print(f"error: {Secrets().clean(said)}", file=sys.stderr)
    return EXIT_NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
