"""The connection to CryoSPARC: 5.x by its HTTP interface, 4.x by a thin adapter. Nothing else imports the client, and nothing it says is
printed before secrets are taken out of it: the client of 4.x puts password and licence into its exceptions."""
import hashlib
import os
import sys
import warnings
from typing import Any, Callable, Dict, List, Optional

EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, EXIT_NOT_STARTED = 0, 1, 3, 4  # as in cryodeco.h
REFUSED = (401, 403, 404)  # asking again brings no other answer; a broken upload may be answered by anything else
# What the driver asks of a 5.x server beyond what the client asks by itself; an operation that is missing shows only when it is called.
NEEDED = {"jobs": ["create", "find_one", "connect", "add_external_input", "add_external_output", "mark_running", "mark_completed", "mark_failed",
                   "get_status", "get_directory", "load_input", "load_output", "save_output", "get_output_fields", "add_event_log"],
          "projects": ["find_one", "get_directory", "ls"]}


class CannotStart(Exception):
    """Nothing was created; the words say what is missing."""


class SlotRefused(Exception):
    """The instance does not know a slot's dtype."""


class Secrets:
    """The credentials of this process, and texts without them."""

    def __init__(self) -> None:
        e = os.environ
        self.email, self.password = e.get("CRYOSPARC_EMAIL"), e.get("CRYOSPARC_PASSWORD")
        self.license = e.get("CRYOSPARC_LICENSE_ID")
        self.sha256 = hashlib.sha256(self.password.encode()).hexdigest() if self.password else None

    def clean(self, text: object, *more: Optional[str]) -> str:
        words = str(text)
        for secret in (self.password, self.sha256, self.license, *more):
            if secret:
                words = words.replace(secret, "***")
        return words


def _client() -> Any:
    try:
        import cryosparc
        import cryosparc.tools
    except ImportError:
        raise CannotStart("cryosparc-tools is not installed for this Python: pip install cryosparc-tools, in CryoSPARC's own major.minor version")
    return cryosparc


def child_environment() -> Dict[str, str]:
    """This process's environment without anything of CryoSPARC's."""
    return {k: v for k, v in os.environ.items() if not k.startswith("CRYOSPARC_")}


class Instance:
    """A CryoSPARC instance, logged in."""

    def __init__(self) -> None:
        client = _client()
        self.secrets = Secrets()
        self.version: str = client.__version__
        self.generation = int(self.version.split(".")[0])
        if self.generation not in (4, 5):
            raise CannotStart(f"cryosparc-tools is {self.version}; 4.7 and 5.x are known")
        warnings.showwarning = lambda message, *_, **__: print("warning:", self.clean(message).split("\n")[0], file=sys.stderr)  # type: ignore
        try:
            self.cs = self._connect(client)
        except CannotStart:
            raise
        except BaseException as error:  # the client's own words may hold password and licence
            if isinstance(error, KeyboardInterrupt):
                raise
            kind = type(error).__name__
            raise CannotStart(f"no connection to CryoSPARC ({kind}): check address, e-mail and password, and that cryosparc-tools {self.version} "
                              "fits the instance's version") from None
        if self.generation == 5:
            missing = [f"{space}.{name}" for space, names in NEEDED.items() for name in names
                       if not hasattr(getattr(self.cs.api, space, None), name)]
            if missing:
                raise CannotStart(f"this CryoSPARC lacks {', '.join(missing)}: it is of another version than cryosparc-tools {self.version}")

    def _connect(self, client: Any) -> Any:
        e, s = os.environ, self.secrets
        # Everything explicitly: the client took its defaults from the environment when it was imported.
        if self.generation == 5:
            url = e.get("CRYOSPARC_BASE_URL")
            if not url:
                raise CannotStart("CRYOSPARC_BASE_URL is not set; it is the address in the browser, as http://cryosparc.example.org:39000")
            if not s.password:
                self._warn_of_open_token()
            return client.tools.CryoSPARC(url, host=None, base_port=None, email=s.email, password=s.password, timeout=60)
        for name in ("LICENSE_ID", "EMAIL", "PASSWORD", "MASTER_HOSTNAME", "BASE_PORT"):
            if not e.get("CRYOSPARC_" + name):
                raise CannotStart(f"CRYOSPARC_{name} is not set")
        return client.tools.CryoSPARC(s.license, host=e["CRYOSPARC_MASTER_HOSTNAME"], base_port=int(e["CRYOSPARC_BASE_PORT"]), email=s.email,
                                      password=s.password, timeout=60)

    @staticmethod
    def _warn_of_open_token() -> None:
        from cryosparc.auth import get_default_auth_config_path

        path = str(get_default_auth_config_path())
        if os.path.exists(path) and os.stat(path).st_mode & 0o077:
            print(f"warning: {path} holds a login token and others can read it: chmod 600 {path}", file=sys.stderr)

    def clean(self, text: object) -> str:
        """A text without secrets, the token in use among them."""
        token = None
        if self.generation == 5 and hasattr(self, "cs"):
            token = str(self.cs.api._client.headers.get("Authorization", "")).partition(" ")[2] or None
        return self.secrets.clean(text, token)

    def ask(self, call: Callable[[], Any]) -> Any:
        """A call to the server; with a token that has ended it logs in again and asks once more."""
        try:
            return call()
        except Exception as error:
            s = self.secrets
            if self.generation != 5 or getattr(error, "code", None) != 401 or not (s.email and s.sha256):
                raise
            self.cs.api(auth=(s.email, s.sha256))
            return call()

    def server_version(self) -> str:
        return str(self.cs.api.config.get_version() if self.generation == 5 else self.cs.cli.get_running_version())

    def project_dir(self, project: str) -> str:
        found = self.ask(lambda: self.cs.find_project(project))
        return str(found.dir if self.generation == 5 else found.dir())

    def status(self, project: str, job: str) -> str:
        """The job's status; "deleted" when there is no such job any more."""
        try:
            if self.generation == 5:
                return str(self.ask(lambda: self.cs.api.jobs.get_status(project, job)))
            doc = self.cs.cli.get_job(project, job)
            return "deleted" if not doc or doc.get("deleted") else str(doc["status"])
        except Exception as error:
            if getattr(error, "code", None) == 404:
                return "deleted"
            raise


class Job:
    """An external job. Slots are (name, dtype, required)."""

    def __init__(self, instance: Instance, job: Any) -> None:
        self.instance, self.job = instance, job
        self.project, self.uid = str(job.project_uid), str(job.uid)
        self.dir = str(instance.ask(lambda: job.dir if instance.generation == 5 else job.dir()))  # once: each look is a request in 5.x

    def status(self) -> str:
        return self.instance.status(self.project, self.uid)

    def _slots(self, slots: List[Any]) -> List[Dict[str, Any]]:
        key = "name" if self.instance.generation == 5 else "prefix"
        return [{key: name, "dtype": dtype, "required": required} for name, dtype, required in slots]

    def add_particle_input(self, name: str, slots: List[Any], source: str, output: str) -> None:
        self.instance.ask(lambda: self.job.add_input("particle", name, min=1, max=1, slots=self._slots(slots), title=name.replace("_", " ")))
        self.instance.ask(lambda: self.job.connect(name, source, output))

    def build_errors(self) -> List[str]:
        if self.instance.generation == 5:
            self.instance.ask(self.job.refresh)
            return [str(getattr(e, "message", e)) for e in self.job.model.build_errors or []]
        return [str(e) for e in self.instance.cs.cli.get_job(self.project, self.uid).get("errors_build_inputs") or []]

    def add_output(self, type_: str, name: str, slots: List[Any], title: str, passthrough: Optional[str] = None) -> None:
        try:
            self.instance.ask(lambda: self.job.add_output(type_, name, slots=self._slots(slots), title=title, passthrough=passthrough))
        except Exception as error:
            # 4.x tells by an exception of its own, 5.x by the answer's code
            if type(error).__name__ == "InvalidSlotsError" or getattr(error, "code", None) in (400, 422):
                raise SlotRefused(f"{name}: CryoSPARC refuses its slots ({type(error).__name__})") from None
            raise

    def start(self) -> None:
        self.instance.ask(lambda: self.job.start("running"))

    def complete(self) -> None:
        self.instance.ask(self.job.stop)

    def fail(self, words: str) -> None:
        """The text goes to the log whole; what ends the job travels in an address, and a long one is refused."""
        words = self.instance.clean(words)
        self.instance.ask(lambda: self.job.log(words, level="error"))
        self.instance.ask(lambda: self.job.stop(words[:500] if self.instance.generation == 5 else True))

    def log(self, text: str, level: str = "text", name: Optional[str] = None) -> None:
        named = {"name": name} if name and self.instance.generation == 5 else {}
        self.instance.ask(lambda: self.job.log(self.instance.clean(text), level=level, **named))

    def checkpoint(self, meta: Dict[str, Any]) -> None:
        self.instance.ask(lambda: self.job.log_checkpoint(meta))

    def plot(self, path: str, text: str) -> None:
        self.instance.ask(lambda: self.job.log_plot(path, text))

    def save(self, name: str, dataset: Any, image: Optional[str] = None) -> None:
        """Saves an output and sees that all of it has arrived: the clients repeat a broken upload with what is left of its stream, and an
        answer may be lost on its way. What has not arrived whole is sent again."""
        more = {"image": image} if image and self.instance.generation == 5 else {}
        saved: List[int] = []
        for last in (False, False, True):
            try:
                self.instance.ask(lambda: self.job.save_output(name, dataset, **more))
            except Exception as error:
                if last or getattr(error, "code", None) in REFUSED:
                    raise
            saved = self._rows_saved(name)
            if saved and all(n == len(dataset) for n in saved):
                return
        raise RuntimeError(f"{name}: {len(dataset)} rows were sent, and {saved} arrived; publish the run again")

    def _rows_saved(self, name: str) -> List[int]:
        """Rows of each of an output's own slots, as the server counts them."""
        self.instance.ask(self.job.refresh)
        if self.instance.generation == 5:
            return [int(r.num_items[-1]) for r in self.job.model.spec.outputs.root[name].results if not r.passthrough and r.num_items]
        found = [r.get("num_items") for r in self.job.doc["output_results"] if r["group_name"] == name and not r["passthrough"]]
        return [int(n[-1] if isinstance(n, list) else n) for n in found if n not in (None, [])]

    def tile(self, path: str) -> None:
        if self.instance.generation == 5:
            self.instance.ask(lambda: self.job.set_tile_image(path))
