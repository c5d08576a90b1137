// The page of a report. Text of a study reaches it as text only: textContent, and escaped where plotly reads markup.

const GHOSTS = 2000, LINES = 400; // dominated and other trials that a chart and the parallel axes draw
const SYMBOLS = { dominated: "circle", infeasible: "triangle-up", truncated: "square", failed: "x" }; // of ghosts
const SERIES = ["first", "second", "third", "mark", "fourth"]; // colours of objectives
const ROWS = 400; // rows of the table that are made at a time
const $ = id => document.getElementById(id);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const thinned = (rows, most) => rows.filter((_, at) => at % Math.ceil(rows.length / most) === 0);
const range = n => Array.from({ length: n }, (_, i) => i);

function make(kind, text = "", group = "") {
  const element = document.createElement(kind);
  element.textContent = text;
  if (group) element.className = group;
  return element;
}

async function unpacked(id) {
  const text = atob($(id).textContent), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at); // Uint8Array.from(text, ...) takes ten times as long
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  $(id).remove();
  return new Response(stream).text();
}

let D, T, count; // the data, its trials, and how many they are
let chosen = null, kept = null, sorted = [1, -1], shown = ROWS; // trial, rows that the parallel axes keep, order of the table
const ghosts = new Set(); // groups of trials off the front that are drawn
const waiting = []; // panels that have come into view
let drawing = false;
const drawers = new Map(), drawnPanels = new Set();

// ---- numbers -------------------------------------------------------------------------------------------------------
function si(value) {
  const size = Math.abs(value);
  if (size < 1000) return Number.isInteger(value) ? String(value) : value.toPrecision(3);
  const [power, prefix] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(pair => size >= pair[0]);
  return `${(value / power).toPrecision(4)} ${prefix}`;
}

function shownValue(j, i) {
  const value = T.values[j][i], error = T.errors[j][i], count = D.objectives[j].scale === "count";
  if (value === null) return "-";
  if (!error) return count ? si(value) : value.toFixed(4);
  const power = Math.floor(Math.log10(error)), places = Math.max(0, (error / 10 ** power < 1.95 ? 1 : 0) - power);
  return count ? `${si(value)} ± ${si(error)}` : `${value.toFixed(Math.min(places, 6))} ± ${error.toFixed(Math.min(places, 6))}`;
}

const cost = j => D.objectives[j].scale === "count";
const namedPlain = j => {
  const { name, unit, direction } = D.objectives[j];
  const told = unit && unit.toLowerCase() !== name.toLowerCase() ? ` [${unit}]` : "";
  return `${name}${told} ${direction === "maximize" ? "\u2191" : "\u2193"}`;
};
const named = j => plain(namedPlain(j));

// ---- charts --------------------------------------------------------------------------------------------------------
function layout(more = {}) {
  const line = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 12 },
    margin: { l: 56, r: 14, t: 10, b: 44 }, showlegend: false, hovermode: "closest",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger on a chart scrolls the page
    hoverlabel: { bgcolor: colour("box"), bordercolor: colour("line"), font: { color: colour("ink") }, align: "left" },
    ...more, xaxis: { ...line, ...(more.xaxis || {}) }, yaxis: { ...line, ...(more.yaxis || {}) },
  };
}

const settings = { responsive: true, displaylogo: false, displayModeBar: false, plotGlPixelRatio: devicePixelRatio }; // not 2 whatever the screen, four times the work

async function chart(id, traces, more) {
  await Plotly.react(id, traces, layout(more), settings);
}

const members = () => range(count).filter(i => T.state[i] === "front");
const passes = i => kept === null || kept.has(i);

const LEFT_OUT = ["duplicate", "cancelled"];
const group = i => T.state[i] === "front" ? "front" : T.state[i] === "complete" ? "dominated" : T.state[i] in SYMBOLS || LEFT_OUT.includes(T.state[i]) ? T.state[i] : "failed";

function others(name, ...axes) {
  const rows = range(count).filter(i => group(i) === name && axes.every(j => T.values[j][i] !== null));
  return thinned(rows, GHOSTS);
}

const hover = rows => rows.map(i =>
  plain(`trial ${T.number[i]}, ${T.state[i].replace(/_/g, " ")}`) + D.objectives.map((o, j) => `<br>${plain(o.name)} ${plain(shownValue(j, i))}`).join("")
  + (T.chance && ["front", "dominated"].includes(group(i)) ? `<br>on the front with probability ${T.chance[i].toFixed(2)}` : ""));

// The fill says how likely a trial is on the front, where replicates tell.
const likely = i => colour("first") + Math.round(255 * (T.chance ? T.chance[i] : group(i) === "front")).toString(16).padStart(2, "0");

function points(rows, j, k, name) {
  const style = {
    front: { color: rows.map(likely), size: 9, line: { width: 1.5, color: colour("first") } },
    knee: { color: colour("mark"), size: 15, symbol: "star" },
  }[name] || { color: name === "dominated" ? rows.map(likely) : "rgba(0,0,0,0)", size: 7, symbol: SYMBOLS[name], line: { width: 1, color: colour("ghost") } };
  const bars = axis => name !== "front" || !T.errors[axis].some(Boolean) ? {} :
    { type: "data", array: rows.map(i => passes(i) && T.errors[axis][i] || 0), thickness: 1, width: 0, color: colour("first") };
  return {
    type: "scatter", mode: "markers", x: rows.map(i => T.values[j][i]), y: rows.map(i => T.values[k][i]),
    customdata: rows, text: hover(rows), hovertemplate: "%{text}<extra></extra>", error_x: bars(j), error_y: bars(k),
    marker: { ...style, opacity: rows.map(i => passes(i) ? 1 : 0.12) }, cliponaxis: false,
  };
}

function ghostly(name, j, k) { // what was never measured in k lies on the lower edge
  const known = others(name, j, k), lacking = others(name, j).filter(i => T.values[k][i] === null);
  return [points(known, j, k, name), { ...points(lacking, j, k, name), y: lacking.map(() => 0.02), yaxis: "y2" }].filter(trace => trace.x.length);
}

function span(rows, j) {
  const values = rows.map(i => T.values[j][i]).filter(v => v !== null);
  const scale = cost(j) ? Math.log10 : v => v;
  const low = scale(Math.min(...values)), high = scale(Math.max(...values)), room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

const axis = (j, rows) => ({
  title: { text: named(j) }, type: cost(j) ? "log" : "linear",
  ...(rows.length && !ghosts.size ? { range: span(rows, j) } : { autorange: true }),
  ...(cost(j) ? { exponentformat: "SI", dtick: "D2" } : {}),
});

function drawPair(id, j, k) {
  return () => {
    const front = members(), knee = front.filter(i => T.number[i] === D.knee);
    const traces = [...ghosts].flatMap(name => ghostly(name, j, k));
    traces.push(points(front, j, k, "front"), points(knee, j, k, "knee"));
    D.others.forEach((other, at) => traces.push({
      type: "scatter", mode: "markers", x: other.values[j], y: other.values[k], hovertemplate: "%{text}<extra></extra>",
      text: other.numbers.map(n => plain(`${other.name}, trial ${n}`)),
      marker: { symbol: ["square", "diamond", "cross", "x"][at % 4], size: 8, color: colour(at % 2 ? "second" : "third") },
    }));
    if (chosen !== null && T.values[j][chosen] !== null && T.values[k][chosen] !== null)
      traces.push({ type: "scatter", mode: "markers", x: [T.values[j][chosen]], y: [T.values[k][chosen]], hoverinfo: "skip",
        marker: { size: 20, color: "rgba(0,0,0,0)", line: { width: 3, color: colour("mark") } } });
    return chart(id, traces, { xaxis: axis(j, front), yaxis: axis(k, front),
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true } }).then(() => clickable(id));
  };
}

function clickable(id) {
  const place = $(id);
  if (place.dataset.clickable) return;
  place.dataset.clickable = "yes";
  place.on("plotly_click", event => {
    const at = event.points.map(p => p.customdata).find(i => Number.isInteger(i));
    if (at !== undefined) choose(at, true);
  });
}

function drawSpace() {
  const front = members(), [j, k, l] = D.objectives.length > 2 ? [D.objectives.findIndex((_, i) => cost(i)), 0, 1, 2] : [];
  const axes = [...new Set([Math.max(j, 0), k, l, 2])].slice(0, 3);
  const marks = (rows, marker) => ({
    type: "scatter3d", mode: "markers", x: rows.map(i => T.values[axes[0]][i]), y: rows.map(i => T.values[axes[1]][i]),
    z: rows.map(i => T.values[axes[2]][i]), customdata: rows, text: hover(rows), hovertemplate: "%{text}<extra></extra>", marker,
  });
  const traces = [marks(front.filter(passes), { size: 5, color: colour("first") })];
  for (const name of ghosts) traces.push(marks(others(name, ...axes).filter(passes), { size: 2, color: colour("ghost"), symbol: { failed: "x", truncated: "square" }[name] || "circle" }));
  if (chosen !== null && axes.every(a => T.values[a][chosen] !== null)) traces.push(marks([chosen], { size: 9, color: colour("mark"), symbol: "circle-open" }));
  const scene = at => ({ title: { text: named(axes[at]), font: { size: 11 } }, type: cost(axes[at]) ? "log" : "linear",
    color: colour("ink"), gridcolor: colour("line"), backgroundcolor: "rgba(0,0,0,0)", tickfont: { size: 10 }, nticks: 5 });
  return chart("space", traces, { margin: { l: 0, r: 0, t: 0, b: 0 },
    scene: { xaxis: scene(0), yaxis: scene(1), zaxis: scene(2), aspectmode: "cube", camera: { eye: { x: 1.6, y: 1.6, z: 0.85 }, center: { x: 0, y: 0, z: -0.12 } } } }).then(() => clickable("space"));
}

function drawCourse() {
  const against = $("against").value;
  return chart("course", [{ type: "scatter", mode: "lines", line: { shape: "hv", color: colour("first") },
    x: D.course[against], y: D.course.hypervolume, hovertemplate: `%{x} ${against}: %{y:.4f}<extra></extra>` }],
    { xaxis: { title: { text: against } }, yaxis: { title: { text: "hypervolume" } } });
}

const explainedObjectives = () => Object.entries(D.explained.objectives || {}).filter(([, one]) => one.shares);

function shares() {
  const known = explainedObjectives(), names = Object.keys(D.explained.choices || {});
  const most = name => Math.max(...known.map(([, one]) => one.shares[name]));
  return known.length ? [names.sort((a, b) => most(b) - most(a)), known] : [];
}

function drawShares() {
  const [names, known] = shares();
  if (!known) return;
  const top = names.slice(0, 12).reverse();
  const traces = known.map(([name, one], at) => ({ type: "bar", orientation: "h", name: plain(name), y: top.map(plain),
    x: top.map(choice => 100 * one.shares[choice]), marker: { color: colour(SERIES[at % SERIES.length]) }, textposition: "none",
    text: top.map(choice => `best quarter ${(100 * one.good[choice]).toFixed(1)} %, in use in ${(100 * D.explained.choices[choice]).toFixed(0)} %`),
    hovertemplate: "%{y}: %{x:.1f} %, %{text}<extra></extra>" }));
  return chart("shares", traces.reverse(), { barmode: "group",
    xaxis: { title: { text: "share of the variance, %" } }, margin: { l: 90, r: 10, t: 10, b: 44 } });
}

function drawEffects() {
  const one = (D.explained.objectives || {})[$("explained").value];
  if (!one || !one.shares) return;
  const effects = one.at_equal_cost || one.effects, objective = D.objectives.find(o => o.name === $("explained").value);
  const top = Object.keys(one.shares).filter(n => effects[n]).sort((a, b) => one.shares[b] - one.shares[a]).slice(0, 5);
  const rows = top.flatMap(name => Object.entries(effects[name]).sort((a, b) => b[1] - a[1]).slice(0, 8).map(([o, v]) => [`${name} ${o}`, v])).reverse();
  const values = rows.map(([, value]) => objective.scale === "count" ? 10 ** value : value);
  const told = one.at_equal_cost ? `at equal ${D.explained.cost}` : "over all";
  return chart("effects", [{ type: "scatter", mode: "markers", x: values, y: rows.map(([name]) => plain(name)), marker: { size: 8, color: colour("first") },
    hovertemplate: "%{y}: %{x:.4g}<extra></extra>" }], { margin: { l: 140, r: 10, t: 10, b: 44 }, yaxis: { tickfont: { size: 10 } },
    xaxis: { title: { text: plain(`${objective.scale === "count" ? "factor" : "difference"} ${told}`) }, ...(objective.scale === "count" ? { type: "log" } : {}) } });
}

function drawCurves() {
  const traces = Object.entries(D.members).filter(([, m]) => m.curve.epoch).map(([number, m]) => {
    const mine = chosen !== null && String(T.number[chosen]) === number;
    return { type: "scatter", mode: "lines", x: m.curve.epoch, y: m.curve.loss, name: `trial ${number}`, hovertemplate: `trial ${number}, epoch %{x}: loss %{y:.4f}<extra></extra>`,
      customdata: m.curve.epoch.map(() => T.number.indexOf(Number(number))), opacity: mine || chosen === null ? 1 : 0.35,
      line: { width: mine ? 3 : 1, color: colour(mine ? "mark" : "first") } };
  });
  return chart("curves", traces, { xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "training loss" } } }).then(() => clickable("curves"));
}

async function redraw(ids) {
  for (const id of ids) if (drawers.has(id)) await drawers.get(id)();
}

// ---- the table -----------------------------------------------------------------------------------------------------
const COMPARE = { "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b };

function wanted() {
  const tests = $("filter").value.trim().split(/\s+/).filter(Boolean).map(word => {
    const match = /^([\w.]+)(<=|>=|<|>|=)([-+.\deE]+)$/.exec(word), j = match ? D.objectives.findIndex(o => o.name === match[1]) : -1;
    if (j >= 0) return i => T.values[j][i] !== null && COMPARE[match[2]](T.values[j][i], Number(match[3]));
    const low = word.toLowerCase();
    return i => T.label[i].toLowerCase().includes(low) || T.state[i].includes(low) || T.reason[i].toLowerCase().includes(low);
  });
  const every = $("listed").checked;
  return range(count).filter(i => (every || T.state[i] === "front") && passes(i) && tests.every(test => test(i)));
}

function table() {
  const columns = ["trial", "state", ...D.objectives.map(o => o.name), ...(T.chance ? ["on front"] : []), "network"];
  const head = $("trials").tHead, body = $("trials").tBodies[0], rows = wanted();
  const value = (i, c) => c === 0 ? T.number[i] : c === 1 ? T.state[i] : c < 2 + D.objectives.length ? T.values[c - 2][i] : columns[c] === "on front" ? T.chance[i] : T.label[i];
  const [c, sign] = sorted;
  rows.sort((a, b) => { const x = value(a, c), y = value(b, c); return x === y ? a - b : x === null ? 1 : y === null ? -1 : x < y ? -sign : sign; });
  head.replaceChildren(make("tr"));
  columns.forEach((name, at) => {
    const cell = make("th", "", at > 1 && at < columns.length - 1 ? "number" : ""), button = make("button", name + (at === c ? (sign > 0 ? " \u2191" : " \u2193") : ""));
    button.tabIndex = 0;
    button.onclick = () => { sorted = [at, at === c ? -sign : at > 1 ? -1 : 1]; table(); };
    button.onkeydown = event => { if (event.key === "Enter") button.onclick(); };
    cell.append(button);
    head.rows[0].append(cell);
  });
  body.replaceChildren(...rows.slice(0, shown).map(i => {
    const row = make("tr", "", i === chosen ? "chosen" : "");
    row.tabIndex = 0;
    row.dataset.row = i;
    columns.forEach((name, at) => {
      const text = at === 0 ? `${T.number[i] === D.knee ? "\u2605 " : ""}${T.number[i]}` : at === 1 ? T.state[i].replace(/_/g, " ")
        : at < 2 + D.objectives.length ? shownValue(at - 2, i) : name === "on front" ? T.chance[i].toFixed(2) : T.reason[i] || T.label[i];
      const cell = make("td", text, at > 1 && at < columns.length - 1 ? "number" : "");
      cell.dataset.name = name;
      row.append(cell);
    });
    row.onclick = () => choose(i, false);
    row.onkeydown = event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(i, true); } };
    return row;
  }));
  $("count").textContent = `${rows.length} of ${count}` + (rows.length > shown ? `, the first ${shown} are listed` : "");
  $("more").hidden = rows.length <= shown;
}

// ---- one member ----------------------------------------------------------------------------------------------------
function choose(i, focus) {
  chosen = i;
  const place = $("details"), number = T.number[i], member = D.members[number];
  $("member").hidden = false;
  place.replaceChildren(make("h2", `trial ${number}, ${T.state[i] === "front" ? "on the front" : T.state[i].replace(/_/g, " ")}${number === D.knee ? ", the knee" : ""}`));
  if (T.reason[i]) place.append(make("p", T.reason[i]));
  const values = make("table");
  D.objectives.forEach((o, j) => row(values, o.name, shownValue(j, i)));
  if (T.chance) row(values, "probability of being on the front", T.chance[i].toFixed(2));
  if (member) for (const [name, text] of [["epochs", member.epochs], ["seconds", member.seconds && member.seconds.toFixed(1)], ["seed", member.seed], ["key", member.key], ...Object.entries(member.facts)])
    if (text !== null && text !== undefined) row(values, name, text);
  place.append(values);
  for (const flag of T.flags[i]) place.append(make("p", `! may not mean what it says: ${flag}`));
  if (member) {
    for (const note of member.notes) place.append(make("p", note, "soft"));
    place.append(make("h3", "Its neighbours on the front"));
    for (const other of member.neighbours) {
      const at = T.number.indexOf(other.trial), link = make("button", `trial ${other.trial}`);
      link.onclick = () => choose(at, true);
      const told = D.objectives.map((o, j) => {
        const change = T.values[j][at] - T.values[j][i];
        return `${o.name} ${change < 0 ? "-" : "+"}${cost(j) ? si(Math.abs(change)) : Math.abs(change).toFixed(4)}`;
      }).join(", ");
      const line = make("p", `better ${other.objective}: `), changes = other.changes.map(text => text.replace(/ -> /g, " \u2192\u00a0"));
      line.append(link, `: ${told}; ${changes.join("; ") || "the same choices"}`);
      place.append(line);
    }
    place.append(make("h3", "Network"));
    if (member.svg) place.append(document.importNode(new DOMParser().parseFromString(member.svg, "image/svg+xml").documentElement, true));
    else place.append(make("p", `Not drawn: ${member.undrawn}.`, "soft"));
  } else place.append(make("p", T.label[i], "soft"));
  place.append(make("h3", "Take it further"));
  const quoted = /^[\w./-]+$/.test(D.directory) ? D.directory : `'${D.directory.replace(/'/g, "'\\''")}'`;
  const data = /^[\w./:=,-]+$/.test(D.data) ? D.data : `'${D.data.replace(/'/g, "'\\''")}'`;
  for (const command of [`nas show ${quoted} ${number}`, `nas export ${quoted} --pick trial:${number} -o trial-${number}`,
    `nas confirm ${quoted} --pick trial:${number}`, `nas train ${quoted.replace(/'?$/, end => `#${number}${end}`)} --data ${data} -o trained-${number}`])
    place.append(make("code", command, "command"));
  if (member) {
    const more = make("details");
    more.append(make("summary", "how its values were measured"), make("pre", JSON.stringify(member.settings, null, 1)));
    place.append(more);
  }
  if (focus) $("member").focus({ preventScroll: true });
  $("member").scrollTop = 0;
  for (const element of document.querySelectorAll("#trials tbody tr")) element.classList.toggle("chosen", Number(element.dataset.row) === i);
  redraw([...drawnPanels].filter(id => id.startsWith("pair-") || ["space", "parallel", "curves"].includes(id)));
}

function row(into, ...cells) {
  const line = into.insertRow();
  cells.forEach((text, at) => line.append(make("td", text, at ? "number" : "")));
  return line;
}

// ---- the rest ------------------------------------------------------------------------------------------------------
function still() {
  $("name").textContent = D.name;
  const states = {};
  T.state.forEach(s => states[s] = (states[s] || 0) + 1);
  const told = Object.entries(states).map(([s, n]) => s === "front" ? `${n} on the front` : s === "complete" ? `${n} dominated` : `${n} ${s.replace(/_/g, " ")}`).join(", ");
  const volume = D.hypervolume.toFixed(4) + (D.interval ? ` (90% interval ${D.interval.map(x => x.toFixed(4)).join(" to ")})` : "");
  $("summary").textContent = `${count} trials on ${D.data}, seed ${D.seed}${told ? `: ${told}` : ""}; hypervolume ${volume}`;
  for (const [group, name] of [["front", T.chance ? "front, the fainter the less likely" : "front"], ["knee", "knee"]]) $("legend").append(make("span", "", `dot ${group}`), make("span", name));
  for (const [name, mark] of [["dominated", "\u25cb"], ["infeasible", "\u25b3"], ["truncated", "\u25a1"], ["failed", "\u2715"]]) if (range(count).some(i => group(i) === name)) ghostSwitch(name, mark);
  for (const note of D.notes) $("notes").append(make("li", note));
  for (const [name, text] of D.facts) {
    const more = make("details");
    more.append(make("summary", name), make("pre", text));
    $("facts").append(more);
  }
  const spent = D.ledger.reduce((sum, one) => sum + one.seconds, 0);
  const head = $("ledger").createTHead().insertRow();
  ["", "trials", "epochs", "seconds", "share"].forEach((name, at) => head.append(make("th", name, at ? "number" : "")));
  for (const one of D.ledger)
    row($("ledger"), one.what.replace(/_/g, " "), one.trials, `${one.at_most && one.epochs ? "\u2264 " : ""}${one.epochs}`, one.seconds.toFixed(1), spent ? `${(100 * one.seconds / spent).toFixed(1)} %` : "-");
  const quality = Object.entries(D.explained.objectives || {}).map(([name, one]) => one.source === "priced" ? `${name}: exact, from ${D.explained.assignments} priced networks`
    : one.refused ? `${name}: ${one.trials} trials are too little, it takes ${one.refused}` : `${name}: a forest predicts ${(100 * one.quality).toFixed(0)} % of the variance of trials that it has not seen`);
  $("quality").textContent = quality.join("; ") || D.explained.refused || "";
  explainedObjectives().forEach(([name], at) => {
    $("explained").append(make("option", name));
    $("explained-legend").append(make("span", "", `dot ${SERIES[at % SERIES.length]}`), make("span", name));
  });
  if (D.others.length) {
    $("compared").hidden = false;
    const names = $("studies").createTHead().insertRow();
    ["study", "complete", "on the front", "hypervolume"].forEach((name, at) => names.append(make("th", name, at ? "number" : "")));
    const interval = one => one.hypervolume.toFixed(4) + (one.interval ? ` (${one.interval.map(x => x.toFixed(4)).join(" to ")})` : "");
    row($("studies"), `${D.name} (circles)`, T.state.filter(s => s === "front" || s === "complete").length, members().length, interval(D));
    D.others.forEach((one, at) => row($("studies"), `${one.name}, ${one.directory} (${["squares", "diamonds", "crosses", "x"][at % 4]})`, one.complete, one.numbers.length, interval(one)));
    const keys = $("differs").createTHead().insertRow();
    ["", D.name, ...D.others.map(one => one.name)].forEach(name => keys.append(make("th", name)));
    for (const cells of D.differs) cells.reduce((line, text) => { line.append(make("td", text)); return line; }, $("differs").insertRow());
  }
}

function ghostSwitch(name, mark) {
  const label = make("label"), box = make("input");
  box.type = "checkbox";
  box.id = `ghost-${name}`;
  if (!members().length) ghosts.add(name);
  box.checked = ghosts.has(name);
  box.onchange = () => { box.checked ? ghosts.add(name) : ghosts.delete(name); redraw([...drawnPanels].filter(id => id.startsWith("pair-") || id === "space")); };
  label.append(box, ` ${mark} ${name}`);
  $("ghosts").append(label);
}

// ---- what a reload keeps -------------------------------------------------------------------------------------------
const shelf = () => `nas report ${D.directory}`;

function remember() {
  const kept = { trial: $("member").hidden || chosen === null ? null : T.number[chosen], ghosts: [...ghosts], listed: $("listed").checked, filter: $("filter").value, scroll: scrollY };
  try { sessionStorage.setItem(shelf(), JSON.stringify(kept)); } catch { /* a frame of its own has no storage */ }
}

function remembered() {
  try { return JSON.parse(sessionStorage.getItem(shelf())); } catch { return null; }
}

function panels() {
  const m = D.objectives.length, first = range(m).filter(cost), ordered = [...first, ...range(m).filter(j => !cost(j))];
  const pairs = m > 1 ? range(m).flatMap(a => range(m).slice(a + 1).map(b => [ordered[a], ordered[b]])) : [[0, 0]];
  for (const [j, k] of pairs) {
    const place = make("div");
    place.id = `pair-${j}-${k}`;
    $("pairs").append(place);
    drawers.set(place.id, drawPair(place.id, j, k));
  }
  if (m > 2) drawers.set("space", drawSpace);
  else $("space-panel").remove();
  for (const [id, draw] of [["course", drawCourse], ["parallel", drawParallel], ["shares", drawShares], ["effects", drawEffects], ["curves", drawCurves]]) drawers.set(id, draw);
  const watcher = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries)
      if (isIntersecting && !drawnPanels.has(target.id)) {
        drawnPanels.add(target.id);
        watcher.unobserve(target);
        waiting.push(target);
      }
    drawWaiting();
  }, { rootMargin: "60px" });
  for (const id of drawers.keys()) watcher.observe($(id));
}

// One panel after the other, so that the first can be seen before the next is begun; what needs WebGL, which takes seconds, last.
async function drawWaiting() {
  if (drawing) return;
  drawing = true;
  while (waiting.length) {
    waiting.sort((a, b) => (a.id === "space") - (b.id === "space"));
    const place = waiting.shift();
    await drawers.get(place.id)();
    place.dataset.drawn = "yes";
    await new Promise(resolve => setTimeout(resolve));
  }
  drawing = false;
}

async function start() {
  D = JSON.parse(await unpacked("packed-data"));
  T = D.trials;
  count = T.number.length;
  $("member").hidden = true;
  const before = remembered();
  (before ? before.ghosts : []).forEach(name => ghosts.add(name));
  still();
  sorted = [2, D.objectives[0].direction === "maximize" ? -1 : 1];
  if (!members().length) $("listed").checked = true;
  if (before) [$("listed").checked, $("filter").value] = [before.listed, before.filter];
  table();
  const script = document.createElement("script");
  script.textContent = await unpacked("packed-plotly");
  document.head.append(script);
  panels();
  $("listed").onchange = $("filter").oninput = () => { shown = ROWS; table(); };
  $("more").onclick = () => { shown += ROWS; table(); };
  $("against").onchange = drawCourse;
  $("explained").onchange = drawEffects;
  $("clear").onclick = () => { for (const axis of axes) axis.kept = null; keepRanges(); };
  $("close").onclick = () => { $("member").hidden = true; };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw([...drawnPanels]));
  const first = before ? T.number.indexOf(before.trial) : D.knee !== null && matchMedia("(min-width: 1001px)").matches ? T.number.indexOf(D.knee) : -1;
  if (first >= 0) choose(first, false);
  if (before) scrollTo(0, before.scroll);
  addEventListener("pagehide", remember);
  document.body.dataset.ready = "yes";
}

start();
