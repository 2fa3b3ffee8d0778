/* The report's pictures: a scatter of the particles and the maps as surfaces. Everything is in this file; nothing is fetched. Drawing is three.js'. */
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const meta = JSON.parse($("meta").textContent);
  const palette = meta.palette.map(c => c.map(v => v / 255));
  const say = text => { $("said").textContent = text; };

  /* Numbers travel as deflated, base64-coded arrays. */
  async function unpack(id) {
    const text = $(id).textContent, packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  /* ---- the scatter ---------------------------------------------------------------------------------------------- */
  const columns = [];
  let x = 0, y = 1, colour = 0, chosen = null, polygon = [], view = { cx: 0, cy: 0, w: 2, h: 2 }, scene, camera, renderer, geometry, points;
  const stage = $("scatter"), n = meta.points;
  const value = (c, i) => columns[c].low + columns[c].data[i] * (columns[c].high - columns[c].low) / 65535;

  function place() {
    const p = geometry.attributes.position.array;
    for (let i = 0; i < n; i++) { p[3 * i] = columns[x].data[i] / 32767.5 - 1; p[3 * i + 1] = columns[y].data[i] / 32767.5 - 1; }
    geometry.attributes.position.needsUpdate = true;
  }

  function paint() {
    const out = geometry.attributes.color.array, c = columns[colour];
    for (let i = 0; i < n; i++) {
      let k;
      if (chosen && !chosen[i]) k = [0.85, 0.85, 0.85];
      else if (c.classes) k = palette[Math.round(value(colour, i)) % palette.length];
      else k = meta.amounts[Math.min(255, c.data[i] >> 8)].map(v => v / 255);
      out[3 * i] = k[0]; out[3 * i + 1] = k[1]; out[3 * i + 2] = k[2];
    }
    geometry.attributes.color.needsUpdate = true;
  }

  function draw() {
    const wide = stage.clientWidth, high = stage.clientHeight;
    renderer.setSize(wide, high, false);
    camera.left = view.cx - view.w / 2; camera.right = view.cx + view.w / 2;
    camera.top = view.cy + view.h / 2; camera.bottom = view.cy - view.h / 2;
    camera.updateProjectionMatrix();
    renderer.render(scene, camera);
    outline();
    document.body.dataset.drawn = "1";
  }
  function outline() { $("outline").setAttribute("points", polygon.map(q => toPixel(q).join(",")).join(" ")); }
  const toPixel = q => [(q[0] - view.cx + view.w / 2) / view.w * stage.clientWidth, (view.cy + view.h / 2 - q[1]) / view.h * stage.clientHeight];
  const toPlace = e => {
    const r = stage.getBoundingClientRect();
    return [view.cx + ((e.clientX - r.left) / r.width - 0.5) * view.w, view.cy + (0.5 - (e.clientY - r.top) / r.height) * view.h];
  };

  /* A lasso with the keyboard: a pen that arrows move. */
  let pen = null;
  function penStep(e) {
    const step = view.w / (e.shiftKey ? 200 : 25), move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[e.key];
    if (move) pen.at = [pen.at[0] + move[0], pen.at[1] + move[1]];
    else if (e.key === "Enter" || e.key === " ") pen.corners.push(pen.at);
    else if (e.key === "c") {
      const corners = pen.corners;
      if (corners.length < 3) { say("a lasso needs three corners"); return true; }
      pen = null;
      chooseInside(corners);
      say("the lasso is closed");
      return true;
    } else if (e.key === "Escape") { pen = null; polygon = []; outline(); say("the lasso is gone"); return true; }
    else return false;
    const s = view.w / 150, [px, py] = pen.at; /* the pen is a small diamond */
    polygon = [...pen.corners, pen.at, [px - s, py], [px, py + s], [px + s, py], [px, py - s], [px - s, py], pen.at];
    outline();
    const real = (c, v) => +(columns[c].low + (v + 1) / 2 * (columns[c].high - columns[c].low)).toPrecision(4);
    say(`pen at ${columns[x].name} ${real(x, px)}, ${columns[y].name} ${real(y, py)}; corners: ${pen.corners.length}`);
    return true;
  }

  function showCount() {
    const count = chosen ? chosen.reduce((a, b) => a + b, 0) : 0;
    $("count").textContent = chosen ? `${count.toLocaleString("en")} of ${n.toLocaleString("en")} drawn particles are selected` : "nothing is selected";
    $("save").disabled = !count;
  }

  function choose(marks, corners) {
    chosen = marks; polygon = corners || [];
    showCount(); paint(); draw();
  }

  function inside(px, py, q) {
    let odd = false;
    for (let i = 0, j = q.length - 1; i < q.length; j = i++)
      if ((q[i][1] > py) !== (q[j][1] > py) && px < (q[j][0] - q[i][0]) * (py - q[i][1]) / (q[j][1] - q[i][1]) + q[i][0]) odd = !odd;
    return odd;
  }

  function chooseInside(corners) {
    const p = geometry.attributes.position.array, marks = new Uint8Array(n);
    for (let i = 0; i < n; i++) marks[i] = inside(p[3 * i], p[3 * i + 1], corners) ? 1 : 0;
    choose(marks, corners);
  }

  /* By keyboard: clusters that are ticked, and a range of a column. */
  function chooseByForm() {
    const clusters = [...document.querySelectorAll("#clusters input:checked")].map(e => +e.value), c = +$("range").value;
    const from = $("from").value === "" ? -Infinity : +$("from").value, to = $("to").value === "" ? Infinity : +$("to").value;
    const cluster = columns.findIndex(q => q.classes), marks = new Uint8Array(n);
    for (let i = 0; i < n; i++)
      marks[i] = (!clusters.length || clusters.includes(Math.round(value(cluster, i)))) && value(c, i) >= from && value(c, i) <= to ? 1 : 0;
    choose(marks);
  }

  /* FORMATS.md section 9. A polygon over axes that have an array of their own is applied to all rows; other selections are the rows drawn. */
  function selection() {
    const out = { version: 1, run: meta.run, analysis: meta.analysis, n: meta.n };
    if (polygon.length && columns[x].axis && columns[y].axis) {
      out.axes = [columns[x].axis, columns[y].axis];
      const real = (c, v) => columns[c].low + (v + 1) / 2 * (columns[c].high - columns[c].low);
      out.polygon = polygon.map(q => [real(x, q[0]), real(y, q[1])]);
      return out;
    }
    out.rows = [];
    for (let i = 0; i < n; i++) {
      if (!chosen[i]) continue;
      const row = Math.floor(i * meta.n / n), last = out.rows[out.rows.length - 1];
      if (last && last[0] + last[1] === row) last[1]++; else out.rows.push([row, 1]);
    }
    return out;
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(selection())], { type: "application/json" }));
    link.download = "selection.json";
    link.click();
    say("selection.json was handed to the browser; cryodeco subset --selection takes it");
  }

  function zoom(factor, at) {
    view.cx = at[0] + (view.cx - at[0]) * factor; view.cy = at[1] + (view.cy - at[1]) * factor;
    view.w *= factor; view.h *= factor; draw();
  }

  function hover(e) {
    const [px, py] = toPlace(e), p = geometry.attributes.position.array, near = view.w / 80;
    let best = -1, least = near * near;
    for (let i = 0; i < n; i++) {
      const d = (p[3 * i] - px) ** 2 + (p[3 * i + 1] - py) ** 2;
      if (d < least) { least = d; best = i; }
    }
    const tip = $("tip"), r = stage.getBoundingClientRect();
    tip.hidden = best < 0;
    if (best < 0) return;
    tip.textContent = `row ${Math.floor(best * meta.n / n)}\n` + columns.map((c, k) => `${c.name}: ${+value(k, best).toPrecision(4)}`).join("\n");
    tip.style.left = Math.min(e.clientX - r.left + 14, r.width - 220) + "px"; tip.style.top = (e.clientY - r.top + 14) + "px";
  }

  function listen() {
    const canvas = renderer.domElement;
    let from = null, lasso = null;
    canvas.addEventListener("pointerdown", e => {
      canvas.setPointerCapture(e.pointerId);
      if ($("lasso").checked || e.shiftKey) { lasso = [toPlace(e)]; } else from = toPlace(e);
    });
    canvas.addEventListener("pointermove", e => {
      if (lasso) { lasso.push(toPlace(e)); polygon = lasso; outline(); } /* a million points are not drawn again for it */
      else if (from) { const at = toPlace(e); view.cx -= at[0] - from[0]; view.cy -= at[1] - from[1]; draw(); }
      else if (n <= 200000) hover(e);
    });
    canvas.addEventListener("pointerup", () => { if (lasso && lasso.length > 2) chooseInside(lasso); lasso = from = null; });
    canvas.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(e.deltaY > 0 ? 1.15 : 1 / 1.15, toPlace(e)); }, { passive: false });
    canvas.addEventListener("keydown", e => {
      if (e.key === "l" && !pen) { pen = { at: [view.cx, view.cy], corners: [] }; penStep({ key: "ArrowUp" }); e.preventDefault(); return; }
      if (pen && penStep(e)) { e.preventDefault(); return; }
      const step = view.w / 10, move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[e.key];
      if (move) { view.cx += move[0]; view.cy += move[1]; draw(); }
      else if (e.key === "+" || e.key === "=") zoom(1 / 1.25, [view.cx, view.cy]);
      else if (e.key === "-") zoom(1.25, [view.cx, view.cy]);
      else if (e.key === "0") { view = { cx: 0, cy: 0, w: 2.1, h: 2.1 }; draw(); }
      else return;
      e.preventDefault();
    });
    $("x").addEventListener("change", e => { x = +e.target.value; choose(chosen); place(); draw(); });
    $("y").addEventListener("change", e => { y = +e.target.value; choose(chosen); place(); draw(); });
    $("colour").addEventListener("change", e => { colour = +e.target.value; paint(); draw(); });
    $("choose").addEventListener("click", chooseByForm);
    $("clear").addEventListener("click", () => choose(null));
    $("save").addEventListener("click", save);
    window.addEventListener("resize", draw);
  }

  function makeRenderer(label) {
    const r = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    r.setClearColor(0xffffff);
    r.domElement.tabIndex = 0;
    r.domElement.setAttribute("role", "img");
    r.domElement.setAttribute("aria-label", label);
    return r;
  }

  function fill(select, names) {
    names.forEach((name, i) => { const o = document.createElement("option"); o.value = i; o.textContent = name; select.append(o); });
  }

  async function startScatter() {
    for (const c of meta.columns) columns.push({ ...c, data: new Uint16Array(await unpack(c.id)) });
    const names = columns.map(c => c.name);
    for (const id of ["x", "y", "colour", "range"]) fill($(id), names);
    x = Math.max(0, names.indexOf("UMAP 1")); y = names.includes("UMAP 2") ? names.indexOf("UMAP 2") : Math.min(1, names.length - 1);
    colour = Math.max(0, columns.findIndex(c => c.classes));
    $("x").value = x; $("y").value = y; $("colour").value = colour;
    renderer = makeRenderer("Scatter of the particles. Arrow keys move, plus and minus zoom, 0 shows all; l begins a lasso: arrows move its pen, Enter sets a corner, c closes, Escape leaves; selections can be made in the form below, too");
    stage.prepend(renderer.domElement);
    scene = new THREE.Scene(); camera = new THREE.OrthographicCamera(-1, 1, 1, -1, -1, 1);
    geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(3 * n), 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(3 * n), 3));
    points = new THREE.Points(geometry, new THREE.PointsMaterial({ size: n > 100000 ? 1.5 : 3, sizeAttenuation: false, vertexColors: THREE.VertexColors }));
    points.frustumCulled = false;
    scene.add(points);
    view = { cx: 0, cy: 0, w: 2.1, h: 2.1 };
    place(); paint(); showCount(); listen(); draw();
  }

  /* ---- the maps --------------------------------------------------------------------------------------------------- */
  let maps = [], meshes = [], world, eye, painter, playing = 0, angle = [0, 0], count3d = 0;

  /* Marching cubes with three.js' tables: a surface at `level` (0 … 255) of side³ bytes, x fastest. */
  function surface(data, side, level) {
    const out = [], step = [1, side, side * side], p = new Float32Array(36);
    const cut = (k, q, axis, cx, cy, cz) => {
      const a = data[q], t = (level - a) / (data[q + step[axis]] - a);
      p[3 * k] = cx + (axis === 0 ? t : 0); p[3 * k + 1] = cy + (axis === 1 ? t : 0); p[3 * k + 2] = cz + (axis === 2 ? t : 0);
    };
    for (let cz = 0; cz < side - 1; cz++) for (let cy = 0; cy < side - 1; cy++) for (let cx = 0; cx < side - 1; cx++) {
      const q = (cz * side + cy) * side + cx, y1 = side, z1 = side * side;
      const index = (data[q] < level) | (data[q + 1] < level) << 1 | (data[q + y1] < level) << 3 | (data[q + 1 + y1] < level) << 2 |
        (data[q + z1] < level) << 4 | (data[q + 1 + z1] < level) << 5 | (data[q + y1 + z1] < level) << 7 | (data[q + 1 + y1 + z1] < level) << 6;
      const bits = THREE.edgeTable[index];
      if (!bits) continue;
      if (bits & 1) cut(0, q, 0, cx, cy, cz);
      if (bits & 2) cut(1, q + 1, 1, cx + 1, cy, cz);
      if (bits & 4) cut(2, q + y1, 0, cx, cy + 1, cz);
      if (bits & 8) cut(3, q, 1, cx, cy, cz);
      if (bits & 16) cut(4, q + z1, 0, cx, cy, cz + 1);
      if (bits & 32) cut(5, q + 1 + z1, 1, cx + 1, cy, cz + 1);
      if (bits & 64) cut(6, q + y1 + z1, 0, cx, cy + 1, cz + 1);
      if (bits & 128) cut(7, q + z1, 1, cx, cy, cz + 1);
      if (bits & 256) cut(8, q, 2, cx, cy, cz);
      if (bits & 512) cut(9, q + 1, 2, cx + 1, cy, cz);
      if (bits & 1024) cut(10, q + 1 + y1, 2, cx + 1, cy + 1, cz);
      if (bits & 2048) cut(11, q + y1, 2, cx, cy + 1, cz);
      for (let i = 16 * index; THREE.triTable[i] >= 0; i++) { const k = 3 * THREE.triTable[i]; out.push(p[k], p[k + 1], p[k + 2]); }
    }
    const g = new THREE.BufferGeometry();
    g.setAttribute("position", new THREE.BufferAttribute(new Float32Array(out), 3));
    g.setAttribute("normal", new THREE.BufferAttribute(slopes(data, side, out), 3));
    return g;
  }

  /* Where the density falls fastest at each corner: a smooth surface from few triangles. A corner lies on an edge between two voxels. */
  function slopes(data, side, corners) {
    const out = new Float32Array(corners.length), last = data.length - 1, step = [1, side, side * side];
    for (let i = 0; i < corners.length; i += 3) {
      const x = Math.floor(corners[i]), y = Math.floor(corners[i + 1]), z = Math.floor(corners[i + 2]), q = (z * side + y) * side + x;
      const fx = corners[i] - x, fy = corners[i + 1] - y, fz = corners[i + 2] - z, t = Math.max(fx, fy, fz), p = q + (fx ? 1 : fy ? side : fz ? side * side : 0);
      let length = 0;
      for (let k = 0; k < 3; k++) {
        const s = step[k], here = data[Math.max(0, q - s)] - data[Math.min(last, q + s)], there = data[Math.max(0, p - s)] - data[Math.min(last, p + s)];
        out[i + k] = here + t * (there - here);
        length += out[i + k] * out[i + k];
      }
      length = Math.sqrt(length) || 1;
      out[i] /= length; out[i + 1] /= length; out[i + 2] /= length;
    }
    return out;
  }

  function show() {
    const beside = $("beside").checked, first = +$("map").value, share = +$("level").value / 100;
    const shown = beside ? maps.map((m, i) => i).filter(i => maps[i].group === maps[first].group) : [first];
    const across = Math.ceil(Math.sqrt(2 * shown.length)), down = Math.ceil(shown.length / across), widest = Math.max(...shown.map(i => maps[i].side));
    meshes.forEach(m => { world.remove(m.parent); m.geometry.dispose(); m.material.dispose(); });
    meshes = shown.map((i, k) => {
      const m = maps[i], c = palette[(maps[i].group === "clusters" ? maps[i].number : 0) % palette.length];
      const mesh = new THREE.Mesh(surface(m.data, m.side, Math.max(1, 255 * share)),
        new THREE.MeshPhongMaterial({ color: new THREE.Color(c[0], c[1], c[2]), side: THREE.DoubleSide, shininess: 20 }));
      const s = 1 / widest, middle = -0.5 * m.side / widest; /* all in one scale: each is cut to its own density */
      mesh.scale.set(s, s, s);
      mesh.position.set(middle, middle, middle);
      const pivot = new THREE.Group(); /* each turns about its own middle */
      pivot.add(mesh);
      pivot.position.set((k % across - (Math.min(across, shown.length) - 1) / 2) * 1.05, ((down - 1) / 2 - Math.floor(k / across)) * 1.05, 0);
      world.add(pivot);
      return mesh;
    });
    if (shown.length !== count3d) { /* another number of maps: all of them in sight */
      const box = $("surface"), high = Math.max(down, Math.min(across, shown.length) * box.clientHeight / box.clientWidth);
      eye.position.z = 1.05 * high / (2 * Math.tan(Math.PI / 9)) + 0.3;
      count3d = shown.length;
    }
    turn(0, 0);
    $("levelText").textContent = `${Math.round(100 * share)} % of the highest density`;
    $("shown").textContent = shown.map(i => maps[i].name).join("; ");
  }

  function render3d() {
    const box = $("surface");
    painter.setSize(box.clientWidth, box.clientHeight, false);
    eye.aspect = box.clientWidth / box.clientHeight;
    eye.updateProjectionMatrix();
    painter.render(world, eye);
  }

  function turn(dx, dy) {
    angle = [angle[0] + dx, angle[1] + dy];
    meshes.forEach(m => { m.parent.rotation.set(angle[1], angle[0], 0); });
    render3d();
  }

  function listen3d() {
    const canvas = painter.domElement;
    let last = null;
    canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); last = [e.clientX, e.clientY]; });
    canvas.addEventListener("pointermove", e => { if (last) { turn((e.clientX - last[0]) / 120, (e.clientY - last[1]) / 120); last = [e.clientX, e.clientY]; } });
    canvas.addEventListener("pointerup", () => { last = null; });
    canvas.addEventListener("wheel", e => { e.preventDefault(); eye.position.z *= e.deltaY > 0 ? 1.1 : 1 / 1.1; render3d(); }, { passive: false });
    canvas.addEventListener("keydown", e => {
      const d = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[e.key];
      if (d) turn(d[0], d[1]);
      else if (e.key === "+" || e.key === "=") { eye.position.z /= 1.1; render3d(); }
      else if (e.key === "-") { eye.position.z *= 1.1; render3d(); }
      else return;
      e.preventDefault();
    });
    for (const id of ["map", "level", "beside"]) $(id).addEventListener("input", show);
    $("play").addEventListener("click", () => {
      clearInterval(playing);
      playing = $("play").getAttribute("aria-pressed") === "true" ? 0 : setInterval(() => {
        const same = maps.map((m, i) => i).filter(i => maps[i].group === maps[+$("map").value].group), at = same.indexOf(+$("map").value);
        $("map").value = same[(at + 1) % same.length]; show();
      }, 400);
      $("play").setAttribute("aria-pressed", playing ? "true" : "false");
    });
  }

  async function startMaps() {
    for (const m of meta.maps) maps.push({ ...m, data: new Uint8Array(await unpack(m.id)) });
    if (!maps.length) { $("mapsSection").hidden = true; return; }
    fill($("map"), maps.map(m => m.name));
    eye = new THREE.PerspectiveCamera(40, 1, 0.1, 50);
    eye.position.set(0, 0, 2.2);
    const lamp = new THREE.DirectionalLight(0xffffff, 0.8);
    lamp.position.set(1, 1, 2);
    eye.add(lamp);
    const all = new THREE.Scene();
    world = new THREE.Group(); all.add(world, eye, new THREE.AmbientLight(0xffffff, 0.45));
    painter = makeRenderer("Surfaces of the maps. Arrow keys turn, plus and minus zoom");
    const paintScene = painter.render.bind(painter);
    painter.render = (_, c) => paintScene(all, c);
    $("surface").prepend(painter.domElement);
    listen3d(); show();
    document.body.dataset.surface = "1";
  }

  async function start() {
    if (!window.THREE) { say("This build has no three.js: the report comes without its scatter and surfaces; all plots and numbers are below"); return; }
    try { await startScatter(); await startMaps(); } catch (e) { say("The pictures cannot be drawn here: " + e.message); throw e; }
  }
  start();
})();
