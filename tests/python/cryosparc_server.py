"""The contract server: as much of CryoSPARC 5's interface as the driver uses, over HTTP on 127.0.0.1, with a real project directory, and with the
refusals and faults of a real instance. It reads and writes datasets by code of its own. No instance was at hand to compare it with. That of 4.7 is
in cryosparc_server_4.py.

    python cryosparc_server.py STATE PROJECT_DIRECTORY

STATE is a folder: port (written when it listens), faults.json (read before each request: {"operation": {"status": 500, "times": 1, "delay": 0,
"cut": "before|during|after", "answer": what is answered instead, "lose": rows of an output that do not arrive}}), requests.jsonl (operation,
status; no bodies), state.json (jobs with their outputs and events), command (what a user does in the interface)."""
import hashlib
import json
import pathlib
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

NOW = "2026-01-01T00:00:00Z"
USER, PASSWORD = "user@example.org", "planted-password-7Qx"
DATASET, STREAM, JSON = "application/x-cryosparc-dataset", "application/octet-stream", "application/json"
ALIVE = ("running", "waiting")
BUILDING = ("building", *ALIVE)


class Refused(Exception):
    def __init__(self, status, words, *more):
        super().__init__(words, *more)
        self.status = status


# ---- datasets, read and written without the client ----


def dataset_to_bytes(rows):
    """A structured array as CSDAT, uncompressed."""
    names = rows.dtype.names
    heap, at, columns, dtype = b"\0", {b"": 0}, [], []  # the empty string comes first
    for name in names:
        column = rows[name]
        if column.dtype.kind == "S":
            for value in np.unique(column):
                if bytes(value) not in at:
                    at[bytes(value)] = len(heap)
                    heap += bytes(value) + b"\0"
            column = np.array([at[bytes(v)] for v in column], np.uint64)
            dtype.append([name, "|O"])
        else:
            dtype.append([name, column.dtype.str] + ([list(column.shape[1:])] if column.ndim > 1 else []))
        columns.append(np.ascontiguousarray(column).tobytes())
    header = json.dumps({"length": len(rows), "dtype": dtype, "compression": None, "compressed_fields": []}).encode()
    body = b"".join(struct.pack("<I", len(c)) + c for c in columns) if len(rows) else b""
    return b"\x95CSDAT" + struct.pack("<I", len(header)) + header + body + (heap if len(rows) else b"")


def lz4_block(data, size):
    """One raw LZ4 block."""
    out, i = bytearray(), 0
    while i < len(data):
        token, i = data[i], i + 1
        n = token >> 4
        while n >= 15 and data[i] == 255:
            n, i = n + 255, i + 1
        if token >> 4 == 15:
            n, i = n + data[i], i + 1
        out += data[i:i + n]
        i += n
        if i >= len(data):
            break
        offset, i = data[i] | data[i + 1] << 8, i + 2
        n = token & 15
        if n == 15:
            while data[i] == 255:
                n, i = n + 255, i + 1
            n, i = n + data[i], i + 1
        for _ in range(n + 4):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def dataset_from_bytes(data):
    """CSDAT as a dict of columns; strings as bytes."""
    if data[:6] != b"\x95CSDAT":
        raise Refused(422, "no dataset")
    n = struct.unpack_from("<I", data, 6)[0]
    header, at, columns = json.loads(data[10:10 + n]), 10 + n, {}
    rows = header["length"]
    for name, dtype, *shape in header["dtype"]:
        dt = np.dtype(("<u8" if dtype == "|O" else dtype, tuple(shape[0]) if shape else ()))
        if not rows:
            columns[name] = np.zeros(0, dt)
            continue
        if at + 4 > len(data):
            raise Refused(422, f"the dataset ends before {name}")
        size = struct.unpack_from("<I", data, at)[0]
        raw, at = data[at + 4:at + 4 + size], at + 4 + size
        if name in header["compressed_fields"]:
            raw = lz4_block(raw, rows * dt.itemsize)
        columns[name] = np.frombuffer(raw, dt.base).reshape((rows, *dt.shape))
        if dtype == "|O":
            columns[name] = columns[name], True
    heap = data[at:]
    for name, column in columns.items():
        if isinstance(column, tuple):
            columns[name] = np.array([heap[o:heap.index(b"\0", int(o))] for o in column[0].astype(int)])
    return columns


def to_records(columns):
    out = np.zeros(len(columns["uid"]), [(n, c.dtype, c.shape[1:]) for n, c in columns.items()])
    for n, c in columns.items():
        out[n] = c
    return out


def joined(a, b):
    """Columns of `b` beside those of `a`, on uid."""
    order = np.argsort(b["uid"])
    at = order[np.searchsorted(b["uid"][order], a["uid"])]
    if not np.array_equal(b["uid"][at], a["uid"]):
        raise Refused(422, "uids do not match")
    return to_records({**{n: a[n] for n in a.dtype.names}, **{n: b[n][at] for n in b.dtype.names if n not in a.dtype.names}})


# ---- the instance ----

FIELDS = {"blob": [("path", "S64"), ("idx", "<u4"), ("shape", "<u4", (2,)), ("psize_A", "<f4")], "components": [("component", "<u4"), ("value", "<f4")],
          "alignments3D": [("pose", "<f4", (3,)), ("shift", "<f4", (2,)), ("psize_A", "<f4")],
          "volume_blob": [("path", "S64"), ("shape", "<u4", (3,)), ("psize_A", "<f4")]}
VOLUME_SLOTS = {"map": "map", "map_sharp": "map", "map_half_A": "map", "map_half_B": "map", "mask_refine": "mask", "mask_fsc": "mask"}
MAP_DTYPES = ("map",)  # the word for a volume's map, which the client cannot know: "blob" is refused with 422


class Instance:
    def __init__(self, state, project):
        self.state, self.project = pathlib.Path(state), pathlib.Path(project)
        self.lock = threading.RLock()
        self.tokens, self.jobs, self.fault_uses = set(), {}, {}
        self.version = "v5.0.3"
        for folder in self.project.glob("J*"):
            main = [f for f in folder.glob("*.cs") if "passthrough" not in f.name]
            if main:
                self.add_finished(folder.name, main[0], next(folder.glob("*passthrough*.cs"), None))
        self.save()

    def add_finished(self, uid, main, passthrough):
        rows = np.load(main)
        if passthrough:
            rows = joined(rows, np.load(passthrough))
        slots = sorted({n.split("/")[0] for n in rows.dtype.names if "/" in n})
        self.jobs[uid] = dict(uid=uid, type="restack_particles", status="completed", inputs={}, events=[], rows={"particles": rows}, tile=None,
                              files={"particles": [str(f.relative_to(self.project)) for f in (main, passthrough) if f]},
                              outputs={"particles": dict(type="particle", slots=[(s, s) for s in slots], passthrough=None, num=len(rows))})

    def fault_of(self, name):
        """The fault that is set for an operation; "*" is for all."""
        try:
            faults = json.loads((self.state / "faults.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        for key in (name, "*"):
            if key in faults and self.fault_uses.get(key, 0) < faults[key].get("times", 10 ** 9):
                return faults[key] | {"key": key}
        return None

    def obey(self):
        """What a user does in the interface meanwhile, and a token that comes to its end."""
        command = self.state / "command"
        if command.exists():
            what, uid = command.read_text().split()
            command.unlink()
            if what == "delete":
                self.delete(uid)
            else:
                self.jobs[uid]["status"] = {"kill": "killed", "clear": "building"}[what]
            self.save()
        if (self.state / "expire").exists():
            (self.state / "expire").unlink()
            self.tokens.clear()

    def delete(self, uid):
        del self.jobs[uid]

    def save(self):
        plain = {u: {k: v for k, v in j.items() if k != "rows"} for u, j in self.jobs.items()}
        (self.state / "state.new").write_text(json.dumps(plain))
        (self.state / "state.new").rename(self.state / "state.json")  # whole whenever a test looks

    def job(self, uid):
        if uid not in self.jobs:
            raise Refused(404, f"no job {uid}")
        return self.jobs[uid]

    def external(self, uid, *statuses):
        job = self.job(uid)
        if job["type"] != "snowflake":
            raise Refused(422, f"{uid} is not external")
        if job["status"] not in statuses:
            raise Refused(422, f"{uid} is {job['status']}")
        return job

    def model(self, uid):
        """A job as the client's model reads it."""
        j = self.job(uid)
        outputs = {n: dict(type=o["type"], title=n, slots=[{"name": s, "dtype": d} for s, d in o["slots"]], passthrough=o["passthrough"],
                           num_items=o["num"] or 0, results=[dict(name=s, dtype=d, versions=[0], metafiles=[""], num_items=[o["num"]]) for s, d in o["slots"]]
                           if o["num"] is not None else []) for n, o in j["outputs"].items()}
        inputs = {n: dict(type="particle", title=n, count_min=1, count_max=1, slots=i["slots"],
                          connections=[dict(job_uid=c[0], output=c[1])] if (c := i["source"]) else []) for n, i in j["inputs"].items()}
        errors = []
        for n, i in j["inputs"].items():
            have = {s for s, _ in self.jobs[i["source"][0]]["outputs"][i["source"][1]]["slots"]} if i["source"] else set()
            errors += [dict(type="missing", loc=["inputs", n, s["name"]], input=None, input_type="missing", msg="missing slot")
                       for s in i["slots"] if s["required"] and s["name"] not in have]
        spec = dict(type=j["type"], params={}, inputs=inputs, outputs=outputs, ui_tile_width=1, ui_tile_height=1, resource_spec={})
        return dict(_id="0" * 24, uid=uid, project_uid="P3", workspace_uids=["W1"], spec=spec, job_dir=uid, job_dir_size_last_updated=NOW,
                    uid_num=int(uid[1:]), project_uid_num=3, status_num=0, status=j["status"], build_errors=errors)

    # ---- operations: path words, query, body → answer ----

    def login(self, words, query, body):
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode()).items()}
        if form.get("username") != USER or form.get("password") != hashlib.sha256(PASSWORD.encode()).hexdigest():
            raise Refused(401, "wrong e-mail or password")
        token = hashlib.sha256(f"{time.time()}".encode()).hexdigest()
        self.tokens.add(token)
        (self.state / "token").write_text(token)
        return dict(access_token=token, token_type="bearer")

    def me(self, words, query, body):
        return dict(name="user", first_name="A", last_name="B")

    def job_register(self, words, query, body):
        volume = dict(type="volume", title="Refined volume", slots=[dict(name=n, dtype=d) for n, d in VOLUME_SLOTS.items()])
        return dict(_id="0" * 24, updated_at=NOW, created_at=NOW, categories={"refinement": "3D Refinement"}, specs=[
            dict(type="homo_refine_new", title="Homogeneous Refinement", shorttitle="Refine", description="", stability="stable",
                 category="refinement", inputs={}, outputs={"volume": volume}, params={})])

    def get_version(self, words, query, body):
        return self.version

    def project_one(self, words, query, body):
        self.check_project(words[0])
        return dict(_id="0" * 24, uid="P3", project_dir=str(self.project), owner_user_id="1", title="P", size_last_updated=NOW, uid_num=3)

    def check_project(self, uid):
        if uid != "P3":
            raise Refused(404, "no such project")

    def project_directory(self, words, query, body):
        self.check_project(words[0])
        return str(self.project)

    def ls(self, words, query, body):
        folder = self.project / query.get("path", "")
        return [str(f.relative_to(self.project)) for f in sorted(folder.iterdir())]

    def find_one(self, words, query, body):
        return self.model(words[1])

    def get_status(self, words, query, body):
        return self.job(words[1])["status"]

    def get_directory(self, words, query, body):
        self.job(words[1])
        return str(self.project / words[1])

    def create(self, words, query, body):
        if query["type"] != "snowflake":
            raise Refused(422, "only external jobs here")
        uid = f"J{1 + max(98, *(int(u[1:]) for u in self.jobs))}"
        self.jobs[uid] = dict(uid=uid, type="snowflake", status="building", inputs={}, outputs={}, events=[], rows={}, files={}, tile=None)
        (self.project / uid).mkdir()
        return self.model(uid)

    def add_external_input(self, words, query, body):
        job, spec = self.external(words[1], *BUILDING), json.loads(body)
        job["inputs"][words[2]] = dict(slots=[dict(name=s["name"], dtype=s["dtype"], required=s.get("required", True)) for s in spec["slots"]], source=None)
        return self.model(words[1])

    def connect(self, words, query, body):
        job, source = self.external(words[1], "building"), self.job(query["source_job_uid"])
        if query["source_output_name"] not in source["outputs"]:
            raise Refused(422, "no such output")
        job["inputs"][words[2]]["source"] = (query["source_job_uid"], query["source_output_name"])
        return self.model(words[1])

    def add_external_output(self, words, query, body):
        job, spec = self.external(words[1], *BUILDING), json.loads(body)
        if not re.fullmatch(r"[A-Za-z]\w*", words[2]) or not spec["slots"]:
            raise Refused(422, "bad output")
        if spec.get("passthrough") and spec["passthrough"] not in job["inputs"]:
            raise Refused(422, "no such input to pass through")
        if spec["type"] == "volume" and any(s["dtype"] != VOLUME_SLOTS.get(s["name"]) for s in spec["slots"]):
            raise Refused(422, "unknown dtype")
        job["outputs"][words[2]] = dict(type=spec["type"], slots=[(s["name"], s["dtype"]) for s in spec["slots"]], passthrough=spec.get("passthrough"), num=None)
        return self.model(words[1])

    def get_output_fields(self, words, query, body):
        out = self.job(words[1])["outputs"][words[2]]
        fields = [["uid", "<u8"]]
        for name, dtype in out["slots"]:
            kind = "volume_blob" if out["type"] == "volume" else dtype
            fields += [[f"{name}/{f}", "O" if str(t).startswith("S") else t, *shape] for f, t, *shape in FIELDS[kind]]
        return fields

    def mark_running(self, words, query, body):
        job = self.external(words[1], "building", *ALIVE, "failed", "killed")
        if self.model(words[1])["build_errors"]:
            raise Refused(422, "inputs are missing")
        job["status"] = query.get("status", "running")
        return self.model(words[1])

    def mark_completed(self, words, query, body):
        self.external(words[1], *ALIVE, "failed", "killed")["status"] = "completed"  # a real instance completes a killed one too
        return self.model(words[1])

    def mark_failed(self, words, query, body):
        if len(query.get("error", "")) > 2000:
            raise Refused(414, "address too long")
        self.external(words[1], *ALIVE, "building")["status"] = "failed"
        return self.model(words[1])

    def input_rows(self, job, name):
        source, output = job["inputs"][name]["source"]
        return self.jobs[source]["rows"][output]

    def load_input(self, words, query, body):
        return dataset_to_bytes(self.input_rows(self.job(words[1]), words[2]))

    def load_output(self, words, query, body):
        job = self.job(words[1])
        if words[2] not in job["rows"]:
            raise Refused(404, "no such output")
        return dataset_to_bytes(job["rows"][words[2]])

    def save_output(self, words, query, body):
        job, name = self.external(words[1], *ALIVE), words[2]
        if name not in job["outputs"]:
            raise Refused(422, "not declared")
        out, rows = job["outputs"][name], to_records(dataset_from_bytes(body))
        lose = (self.fault_of("jobs.save_output") or {}).get("lose", 0)
        rows = rows[:len(rows) - lose]
        have, due = {n.split("/")[0] for n in rows.dtype.names if "/" in n}, {s for s, _ in out["slots"]}
        if have != due:
            raise Refused(422, f"slots {sorted(have)} instead of {sorted(due)}")
        if len(np.unique(rows["uid"])) != len(rows):
            raise Refused(422, "uids repeat")
        stem = f"{words[1]}_{name}"
        whole = rows
        job["files"][name] = [f"{words[1]}/{stem}.cs"]
        if out["passthrough"]:
            given = self.input_rows(job, out["passthrough"])
            if not np.isin(rows["uid"], given["uid"]).all():
                raise Refused(422, "uids that the input does not have")
            whole = joined(rows, given)
            job["files"][name].append(f"{words[1]}/{words[1]}_passthrough_{name}.cs")
            np.save(open(self.project / job["files"][name][1], "wb"),
                    whole[["uid"] + [n for n in whole.dtype.names if n not in rows.dtype.names]])
        np.save(open(self.project / words[1] / f"{stem}.cs", "wb"), rows)
        out["num"], job["rows"][name] = len(rows), whole
        return self.model(words[1])

    def event(self, words, kind, text, **more):
        job = self.job(words[1])
        event = dict(_id=f"{len(job['events']):024d}", project_uid="P3", job_uid=words[1], type=kind, text=text, **more)
        job["events"].append(event)
        return event

    def add_event_log(self, words, query, body):
        return self.event(words, query.get("type", "text"), json.loads(body))

    def update_event_log(self, words, query, body):
        event = self.job(words[1])["events"][int(words[2])]
        event["text"] = json.loads(body)
        return event

    def add_checkpoint(self, words, query, body):
        return self.event(words, "checkpoint", "", meta=json.loads(body))

    def upload(self, words, query, body):
        if body[:8] != b"\x89PNG\r\n\x1a\n":
            raise Refused(422, "no picture")
        return dict(fileid="1" * 24, filename=query.get("filename", "x.png"), filetype="image/png")

    def add_image_log(self, words, query, body):
        return self.event(words, "image", query["text"], imgfiles=json.loads(body))

    def set_output_image(self, words, query, body):
        self.external(words[1], *ALIVE)["outputs"][words[2]]["image"] = json.loads(body)["fileid"]
        return self.model(words[1])

    def set_tile_image(self, words, query, body):
        self.external(words[1], *ALIVE)["tile"] = json.loads(body)["fileid"]
        return self.model(words[1])


P, J = "/projects/{project_uid}", "/projects/{project_uid}/jobs/{job_uid}"
# (name, function, method, path, query, (body's type, title), answer): what openapi.json is made of, and how requests are found.
OPERATIONS = [
    ("login", "login", "post", "/login", [], ("application/x-www-form-urlencoded", "Body"), "Token"),
    ("users.me", "me", "get", "/users/me", [], None, "User"),
    ("config.get_version", "get_version", "get", "/config/version", [], None, str),
    ("job_register", "job_register", "get", "/job_register", [], None, "JobRegister"),
    ("projects.find_one", "project_one", "get", P, [], None, "Project"),
    ("projects.get_directory", "project_directory", "get", P + "/directory", [], None, str),
    ("projects.ls", "ls", "get", P + "/ls", ["path", "recursive"], None, list),
    ("jobs.create", "create", "post", "/projects/{project_uid}/workspaces/{workspace_uid}/jobs",
     ["type", "title", "description", "created_by_job_uid", "enable_bench"], (JSON, "Params"), "Job"),
    ("jobs.find_one", "find_one", "get", J, [], None, "Job"),
    ("jobs.get_status", "get_status", "get", J + "/status", [], None, str),
    ("jobs.get_directory", "get_directory", "get", J + "/directory", [], None, str),
    ("jobs.add_external_input", "add_external_input", "put", J + "/inputs/{input_name}", [], (JSON, "Body"), "Job"),
    ("jobs.connect", "connect", "post", J + "/inputs/{input_name}/connections", ["source_output_name", "source_job_uid"], None, "Job"),
    ("jobs.add_external_output", "add_external_output", "put", J + "/outputs/{output_name}", [], (JSON, "Body"), "Job"),
    ("jobs.get_output_fields", "get_output_fields", "post", J + "/outputs/{output_name}/fields", [], (JSON, "Dtype Params"), list),
    ("jobs.load_input", "load_input", "get", J + "/inputs/{input_name}/dataset", ["slots", "force_join"], None, bytes),
    ("jobs.load_output", "load_output", "get", J + "/outputs/{output_name}/dataset", ["slots", "version"], None, bytes),
    ("jobs.save_output", "save_output", "post", J + "/outputs/{output_name}/dataset", ["filename", "version"], (DATASET, "Dataset"), "Job"),
    ("jobs.set_output_image", "set_output_image", "put", J + "/outputs/{output_name}/image", [], (JSON, "Body"), "Job"),
    ("jobs.set_tile_image", "set_tile_image", "put", J + "/tile", [], (JSON, "Body"), "Job"),
    ("jobs.mark_running", "mark_running", "post", J + "/running", ["status"], None, "Job"),
    ("jobs.mark_completed", "mark_completed", "post", J + "/completed", [], None, "Job"),
    ("jobs.mark_failed", "mark_failed", "post", J + "/failed", ["error"], None, "Job"),
    ("jobs.add_event_log", "add_event_log", "post", J + "/events", ["type"], (JSON, "Text"), "TextEvent"),
    ("jobs.update_event_log", "update_event_log", "put", J + "/events/{event_id}", ["type"], (JSON, "Text"), "TextEvent"),
    ("jobs.add_checkpoint", "add_checkpoint", "post", J + "/checkpoints", [], (JSON, "Meta"), "CheckpointEvent"),
    ("jobs.add_image_log", "add_image_log", "post", J + "/images", ["text", "flags"], (JSON, "Images"), "ImageEvent"),
    ("assets.upload", "upload", "post", J + "/assets", ["filename", "format"], (STREAM, "Stream"), "GridFSAsset"),
]


def openapi():
    paths = {}
    for name, _, method, path, query, body, answer in OPERATIONS:
        kind = {str: {"type": "string"}, list: {"type": "array", "items": {}}}.get(answer, {"$ref": f"#/components/schemas/{answer}"})
        content = {DATASET: {"schema": {"title": "Dataset", "type": "string", "format": "binary"}}} if answer is bytes else {JSON: {"schema": kind}}
        schema = {"summary": name, "responses": {"200": {"description": "", "content": content}},
                  "parameters": [{"name": p, "in": "path", "required": True} for p in re.findall(r"{(\w+)}", path)]
                  + [{"name": q, "in": "query", "required": False} for q in query]}
        if body:
            schema["requestBody"] = {"required": False, "content": {body[0]: {"schema": {"title": body[1]}}}}
        paths.setdefault(path, {})[method] = schema
    return {"openapi": "3.1.0", "info": {}, "paths": paths, "components": {"schemas": {}}}


class Handler(BaseHTTPRequestHandler):
    """Faults, tokens and the record of requests. `find` says which operation a request is: its name, a call that answers, the answer's type."""

    protocol_version = "HTTP/1.1"
    instance = None

    def log_message(self, *_):
        pass

    def body(self, at_most=None):
        """The request's body; with `at_most` only its beginning."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            n = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(n if at_most is None else min(n, at_most))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
            if at_most is not None and len(data) >= at_most:
                return data
        self.rfile.readline()
        return data

    def answer(self, status, content, kind=JSON):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def find(self, body):
        url = urllib.parse.urlsplit(self.path)
        path = url.path.removeprefix("/api/cmd")
        for name, function, method, pattern, _, _, answer in OPERATIONS:
            match = re.fullmatch(re.sub(r"{\w+}", r"([^/]+)", pattern), path)
            if match and method == self.command.lower():
                words = [urllib.parse.unquote(w).strip('"') for w in match.groups()]
                query = {k: v[0].strip('"') for k, v in urllib.parse.parse_qs(url.query).items()}
                return name, lambda data: getattr(self.instance, function)(words, query, data), DATASET if answer is bytes else JSON
        raise Refused(404, path)

    def name_of(self):
        """The operation's name before its body is read; of one that is named by its body "?"."""
        try:
            return self.find(b"")[0]
        except Refused:
            return "?"

    def authorise(self, name):
        token = (self.headers.get("Authorization") or "").partition(" ")[2]
        if name != "login" and token not in self.instance.tokens:
            raise Refused(401, "not logged in")

    def refuse(self, refused):
        self.answer(refused.status, {"detail": str(refused.args[0])})

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def serve(self):
        i, status, name = self.instance, 200, "?"
        if self.path.endswith("/openapi.json"):
            self.body()
            return self.answer(200, openapi())
        try:
            during = i.fault_of(self.name_of()) or {}
            if during.get("cut") == "during":
                name, status = self.name_of(), 0
                i.fault_uses[during["key"]] = i.fault_uses.get(during["key"], 0) + 1
                self.body(1000)
                return self.cut()
            body = self.body()
            name, call, kind = self.find(body)
            fault = i.fault_of(name)
            if fault:
                time.sleep(fault.get("delay", 0))
                i.fault_uses[fault["key"]] = i.fault_uses.get(fault["key"], 0) + ("lose" not in fault)
                if fault.get("cut") == "before":
                    status = 0
                    return self.cut()
                if "status" in fault:
                    raise Refused(fault["status"], "a fault that was asked for")
            with i.lock:
                i.obey()
                self.authorise(name)
                result = call(body)
                i.save()
            if fault and fault.get("cut") == "after":
                status = 0
                return self.cut()
            self.answer(200, fault["answer"] if fault and "answer" in fault else result, kind)
        except Refused as r:
            status = r.status
            self.refuse(r)
        finally:
            with i.lock, open(i.state / "requests.jsonl", "a") as f:
                f.write(json.dumps({"operation": name, "status": status}) + "\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve


def main(state, project):
    Handler.instance = Instance(state, project)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (pathlib.Path(state) / "port").write_text(str(server.server_address[1]))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
