"""The contract server of CryoSPARC 4.7: JSON-RPC on base + 2 (core) and base + 3 (vis), datasets and pictures as plain requests of vis, and on
base + 5 (rtp) nothing but its list of procedures. Jobs, refusals and faults are those of cryosparc_server.py; a refused procedure is answered with 200 and
an error inside, as JSON-RPC has it. The names and arguments are those that the client of 4.7.1 sends.

    python cryosparc_server_4.py STATE PROJECT_DIRECTORY

STATE/port holds the base port."""
import json
import pathlib
import random
import re
import sys
import threading
import urllib.parse
from http.server import ThreadingHTTPServer

import cryosparc_server as five
from cryosparc_server import DATASET, JSON, PASSWORD, USER, Refused

LICENSE = "11111111-2222-3333-4444-555555555555"
SLOT_KEYS = {"prefix", "dtype", "required"}


class Instance(five.Instance):
    """Jobs as documents. Faults, and operations in the record, have the names of 5.x where there is such a one."""

    def __init__(self, state, project):
        super().__init__(state, project)
        self.version = "v4.7.1"

    def delete(self, uid):
        self.jobs[uid]["deleted"] = True

    def document(self, uid):
        job = self.job(uid)
        inputs = [dict(name=n, type="particle", title=n, description="", count_min=1, count_max=1, repeat_allowed=False,
                       slots=[dict(name=s["name"], type=f"particle.{s['dtype']}", optional=not s["required"]) for s in i["slots"]],
                       connections=[dict(job_uid=i["source"][0], group_name=i["source"][1], slots=[])] if i["source"] else [])
                  for n, i in job["inputs"].items()]
        results = []
        for name, out in job["outputs"].items():
            files = job.get("files", {}).get(name, [])
            for slot, dtype in out["slots"]:
                kind = five.FIELDS.get("volume_blob" if out["type"] == "volume" else dtype, [])
                fields = [[f, "O" if str(t).startswith("S") else "".join([*map(str, shape[0] if shape else ()), t.lstrip("<")])] for f, t, *shape in kind]
                results.append(dict(uid=f"{uid}-R{len(results)}", type=f"{out['type']}.{dtype}", name=slot, group_name=name, title=slot, description="",
                                    min_fields=fields, versions=[0] * bool(files), metafiles=files[:1], num_items=[out["num"]] * bool(files),
                                    passthrough=False))
            if len(files) > 1:
                results.append(dict(uid=f"{uid}-R{len(results)}", type="particle.blob", name="passthrough", group_name=name, title="", description="",
                                    min_fields=[], versions=[0], metafiles=files[1:], num_items=[out["num"]], passthrough=True))
        errors = {e["loc"][1]: ["missing"] for e in self.model(uid)["build_errors"]} if job["status"] == "building" else {}
        return dict(uid=uid, project_uid="P3", workspace_uids=["W1"], job_type=job["type"], status=job["status"], deleted=job.get("deleted", False),
                    input_slot_groups=inputs, output_result_groups=[dict(name=n, type=o["type"], title=n) for n, o in job["outputs"].items()],
                    output_results=results, errors_build_inputs=errors)

    # ---- core ----

    def get_id_by_email_password(self, email, password):
        if (email, password) != (USER, PASSWORD):
            raise Refused(401, f"wrong e-mail or password for {email}")
        return "0" * 24

    def get_running_version(self):
        return self.version

    def get_project(self, uid):
        self.check_project(uid)
        return dict(uid="P3", title="P")

    def get_project_dir_abs(self, uid):
        self.check_project(uid)
        return str(self.project)

    def get_job(self, project, uid):
        self.check_project(project)
        return self.document(uid)

    def get_job_dir_abs(self, project, uid):
        self.job(uid)
        return str(self.project / uid)

    def run_external_job(self, project, uid, status):
        self.mark_running((project, uid), {"status": status}, b"")

    def set_job_status(self, project, uid, status):
        {"completed": self.mark_completed, "failed": self.mark_failed}[status]((project, uid), {}, b"")

    def job_send_streamlog(self, project_uid, job_uid, message, error=False, flags=(), imgfiles=()):
        self.event((project_uid, job_uid), "image" if imgfiles else "error" if error else "text", message, imgfiles=list(imgfiles))

    def job_checkpoint_streamlog(self, project_uid, job_uid, meta):
        self.event((project_uid, job_uid), "checkpoint", "", meta=meta)

    # ---- vis ----

    def create_external_job(self, project_uid, workspace_uid, user, title=None, desc=None):
        if workspace_uid != "W1":
            raise Refused(404, "no such workspace")
        return self.create((project_uid, workspace_uid), {"type": "snowflake"}, b"")["uid"]

    def slots(self, given):
        for s in given:
            if set(s) != SLOT_KEYS:
                raise Refused(422, f"a slot has {sorted(s)} instead of {sorted(SLOT_KEYS)}")
        return [dict(name=s["prefix"], dtype=s["dtype"], required=s["required"]) for s in given]

    def add_external_job_input(self, project_uid, job_uid, type, name, min, max, slots, title):
        self.add_external_input((project_uid, job_uid, name), {}, json.dumps({"slots": self.slots(slots)}))

    def add_external_job_output(self, project_uid, job_uid, type, name, slots, passthrough, title):
        spec = dict(type=type, slots=self.slots(slots), passthrough=passthrough)
        if type == "volume" and any(s["name"] == "map" and s["dtype"] not in five.MAP_DTYPES for s in spec["slots"]):
            valid = [s for s in slots if s["dtype"] in five.MAP_DTYPES]
            raise Refused(422, "unknown dtype", {"slots": dict(type=type, valid=valid, invalid=[s for s in slots if s not in valid],
                                                              valid_dtypes=list(five.MAP_DTYPES))})
        self.add_external_output((project_uid, job_uid, name), {}, json.dumps(spec))

    def connect_external_job(self, project_uid, source_job_uid, source_output, target_job_uid, target_input, slots=(), title="", desc=""):
        self.connect((project_uid, target_job_uid, target_input), {"source_job_uid": source_job_uid, "source_output_name": source_output}, b"")

    def list_project_files(self, project_uid, prefix="", recursive=False):
        self.check_project(project_uid)
        return self.ls((project_uid,), {"path": prefix}, b"")


CORE = {"get_id_by_email_password": "login", "get_running_version": "config.get_version", "get_project": "projects.find_one",
        "get_project_dir_abs": "projects.get_directory", "get_job": "jobs.get_status", "get_job_dir_abs": "jobs.get_directory",
        "run_external_job": "jobs.mark_running", "set_job_status": None, "job_send_streamlog": "jobs.add_event_log",
        "job_checkpoint_streamlog": "jobs.add_checkpoint"}
VIS = {"create_external_job": "jobs.create", "add_external_job_input": "jobs.add_external_input", "add_external_job_output": "jobs.add_external_output",
       "connect_external_job": "jobs.connect", "list_project_files": "projects.ls"}
OUTPUT = r"/external/projects/([^/]+)/jobs/([^/]+)/outputs/([^/]+)/dataset"
FILES = r"/projects/([^/]+)/jobs/([^/]+)/files"


class Handler(five.Handler):
    procedures = {}

    def authorise(self, name):
        if self.headers.get("License-ID") != LICENSE:
            raise Refused(401, "wrong licence")

    def name_of(self):
        return "jobs.save_output" if re.fullmatch(OUTPUT, self.path) else "?"

    def find(self, body):
        i, url = self.instance, urllib.parse.urlsplit(self.path)
        self.id = None
        if url.path == "/api":
            asked = json.loads(body)
            self.id, method, given = asked["id"], asked["method"], asked["params"]
            if method == "system.describe":
                return method, lambda _: self.reply({"procs": [{"name": n} for n in self.procedures]}), JSON
            if method not in self.procedures:
                raise Refused(404, f"no procedure {method}")
            name = self.procedures[method] or {"completed": "jobs.mark_completed"}.get(given[-1], "jobs.mark_failed")
            call = getattr(i, method)
            return name, lambda _: self.reply(call(**given) if isinstance(given, dict) else call(*given)), JSON
        if self.procedures is VIS:
            if match := re.fullmatch(OUTPUT, url.path):
                words = [urllib.parse.unquote_plus(w) for w in match.groups()]
                return "jobs.save_output", lambda data: i.save_output(words, {}, data) and {}, JSON
            if match := re.fullmatch(FILES, url.path):
                query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
                return "assets.upload", lambda data: i.upload(match.groups(), query, data), JSON
            if url.path == "/load_job_input":
                asked = json.loads(body)
                return "jobs.load_input", lambda _: i.load_input((asked["project_uid"], asked["job_uid"], asked["input_name"]), {}, b""), DATASET
            if url.path == "/get_project_file":
                return "jobs.load_output", lambda _: (i.project / json.loads(body)["path"]).read_bytes(), "application/octet-stream"
        raise Refused(404, self.path)

    def reply(self, result):
        return {"jsonrpc": "2.0", "id": self.id, "result": result}

    def refuse(self, refused):
        data = refused.args[1] if len(refused.args) > 1 else None
        if self.id and not data and refused.status < 500:
            words = {"name": "ServerError", "code": refused.status, "message": f"ServerError: {refused.args[0]}", "data": None}
            return self.answer(200, {"jsonrpc": "2.0", "id": self.id, "error": words})
        self.answer(refused.status, data or {"detail": refused.args[0]})


def main(state, project):
    instance = Instance(state, project)
    handlers = {offset: type("Handler", (Handler,), {"instance": instance, "procedures": procedures}) for offset, procedures in ((2, CORE), (3, VIS), (5, {}))}
    while True:
        base, servers = random.randrange(20000, 60000), []
        try:
            for offset, handler in handlers.items():
                servers.append(ThreadingHTTPServer(("127.0.0.1", base + offset), handler))
            break
        except OSError:  # a port is somebody's
            for server in servers:
                server.server_close()
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    (pathlib.Path(state) / "port").write_text(str(base))
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
