"use strict";
// Parallel axes, drawn here: those of plotly.js make functions of text (regl), which the page's policy would have to allow to
// everything in it, and label a logarithmic axis by its logarithms. Lines are one canvas, axes and ranges SVG over it.

const SPACE = 70, TOP = 52, FOOT = 14, REACH = 18; // between axes, above and below them, and to grab them; pixels
const SVG = "http://www.w3.org/2000/svg";
let axes = []; // of objectives, then of choices: name, value of a trial, ends, ticks, range that is kept

function objectiveAxis(j, rows) {
  const scale = cost(j) ? Math.log10 : v => v, value = i => T.values[j][i] === null ? null : scale(T.values[j][i]);
  const [least, most] = ends(rows.map(value)), room = (most - least || Math.abs(most) || 1) * 0.03;
  const low = least - room, high = most + room;
  const marks = cost(j) ? decades(low, high) : steps(low, high, 6).map(v => [v, String(Number(v.toPrecision(3)))]);
  return { name: namedPlain(j), value, low, high, marks, step: (high - low) / 20, told: v => cost(j) ? si(10 ** v) : v.toPrecision(3) };
}

function choiceAxis(name) {
  const options = D.choices[name];
  return { name, value: i => T.picks[name][i] < 0 ? null : T.picks[name][i], low: -0.5, high: options.length - 0.5,
    marks: options.map((text, at) => [at, text]), step: 1, told: v => options[Math.round(v)] };
}

function ends(values) { // not by Math.min(...values), which takes some 100,000 arguments at most
  return values.reduce(([low, high], v) => v === null ? [low, high] : [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

function decades(low, high) {
  const marks = range(3 * (Math.ceil(high) - Math.floor(low) + 1)).map(t => Math.floor(low) + Math.floor(t / 3) + [0, Math.log10(2), Math.log10(5)][t % 3]);
  const inside = marks.filter(v => v >= low && v <= high), whole = inside.filter(v => Math.abs(v - Math.round(v)) < 1e-9);
  return (inside.length > 9 && whole.length > 1 ? whole : inside).map(v => [v, si(Number((10 ** v).toPrecision(1))).replace(/\.0+ /, " ")]);
}

function steps(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(f => f * power >= rough) * power;
  return range(most + 2).map(at => (Math.ceil(low / step) + at) * step).filter(v => v <= high);
}

function drawParallel() {
  const place = $("parallel"), rows = range(count).filter(i => D.objectives.every((_, j) => T.values[j][i] !== null) && T.state[i] !== "infeasible");
  if (!rows.length) { place.replaceChildren(make("p", "No trial has a value of every objective.", "soft")); return; }
  const first = shares()[0] || [], order = [...first, ...Object.keys(D.choices).filter(name => !first.includes(name))];
  const before = new Map(axes.map(axis => [axis.name, axis.kept]));
  axes = [...D.objectives.map((_, j) => objectiveAxis(j, rows)), ...order.slice(0, 9).map(choiceAxis)];
  for (const axis of axes) axis.kept = before.get(axis.name) || null;
  const width = Math.max(place.parentNode.clientWidth, axes.length * SPACE), height = place.parentNode.clientHeight - 8;
  const gap = (width - 40) / axes.length, at = (axis, v) => height - FOOT - (v - axis.low) / (axis.high - axis.low) * (height - TOP - FOOT);
  axes.forEach((axis, k) => { axis.x = 20 + k * gap; axis.y = v => at(axis, v); });
  place.style.width = `${width}px`;
  const canvas = make("canvas"), picture = document.createElementNS(SVG, "svg"), ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  for (const element of [canvas, picture]) { element.style.width = `${width}px`; element.style.height = `${height}px`; }
  const focused = [...place.querySelectorAll(".axis")].indexOf(document.activeElement);
  place.replaceChildren(canvas, picture);
  canvas.getContext("2d").scale(ratio, ratio);
  drawLines(canvas.getContext("2d"), rows, width, height);
  axes.forEach((axis, k) => picture.append(drawnAxis(axis, k, gap, height)));
  if (focused >= 0) picture.children[focused].focus({ preventScroll: true });
}

function drawLines(pen, rows, width, height) {
  const front = rows.filter(i => T.state[i] === "front"), rest = rows.filter(i => T.state[i] !== "front");
  const line = i => {
    pen.beginPath();
    let drawing = false; // a choice without a value, which a study may have had no more, is a gap
    for (const axis of axes) {
      const v = axis.value(i);
      if (v !== null) pen[drawing ? "lineTo" : "moveTo"](axis.x, axis.y(v));
      drawing = v !== null;
    }
    pen.stroke();
  };
  pen.clearRect(0, 0, width, height);
  const groups = [...[i => !passes(i), passes].map(these => [thinned(rest.filter(these), LINES), "ghost", 0.45, 1]), [front, "first", 0.9, 1.4], [rows.filter(i => i === chosen), "mark", 1, 3]];
  for (const [group, name, strength, thick] of groups) {
    [pen.strokeStyle, pen.lineWidth] = [colour(name), thick];
    for (const i of group) { pen.globalAlpha = passes(i) ? strength : 0.05; line(i); }
  }
}

function svgPart(kind, attributes, text) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function drawnAxis(axis, k, gap, height) {
  const group = svgPart("g", { class: "axis", tabindex: 0, role: "group", "aria-label": `${axis.name}: ${axis.kept ? axis.kept.map(axis.told).join(" to ") : "all"}` });
  group.append(svgPart("line", { x1: axis.x, x2: axis.x, y1: TOP, y2: height - FOOT }));
  const cut = (text, room) => text.length > room ? `${text.slice(0, room - 1)}\u2026` : text;
  const head = svgPart("text", { x: axis.x - 14, y: k % 2 ? 34 : 16, class: "head" }, cut(axis.name, Math.floor(gap / 3.6))); // in two rows
  head.append(svgPart("title", {}, axis.name));
  group.append(head);
  const apart = Math.ceil(axis.marks.length / ((height - TOP - FOOT) / 15));
  for (const [v, text] of axis.marks.filter((_, at) => at % apart === 0))
    group.append(svgPart("text", { x: axis.x + 5, y: axis.y(v) + 4 }, cut(text, Math.floor((gap - 8) / 6))));
  const kept = svgPart("rect", { class: "kept", x: axis.x - 7, width: 14, y: 0, height: 0 });
  const show = () => {
    kept.setAttribute("y", axis.kept ? axis.y(axis.kept[1]) : 0);
    kept.setAttribute("height", axis.kept ? Math.max(2, axis.y(axis.kept[0]) - axis.y(axis.kept[1])) : 0);
  };
  show();
  group.append(kept, grip(axis, height, show));
  group.addEventListener("keydown", event => moved(axis, event));
  return group;
}

function grip(axis, height, show) { // a drag keeps a range, a click clears it
  const strip = svgPart("rect", { class: "grip", x: axis.x - REACH, width: 2 * REACH, y: TOP - 8, height: height - TOP - FOOT + 16 });
  const value = event => {
    const y = event.clientY - strip.ownerSVGElement.getBoundingClientRect().top;
    return Math.min(axis.high, Math.max(axis.low, axis.low + (height - FOOT - y) / (height - TOP - FOOT) * (axis.high - axis.low)));
  };
  let from = null;
  strip.addEventListener("pointerdown", event => { from = [value(event), event.clientY]; strip.setPointerCapture(event.pointerId); });
  strip.addEventListener("pointermove", event => {
    if (from === null) return;
    axis.kept = Math.abs(event.clientY - from[1]) < 4 ? null : [Math.min(from[0], value(event)), Math.max(from[0], value(event))];
    show();
  });
  const end = event => {
    if (from === null) return;
    if (Math.abs(event.clientY - from[1]) < 4) axis.kept = null;
    from = null;
    keepRanges();
  };
  strip.addEventListener("pointerup", end);
  strip.addEventListener("pointercancel", end);
  return strip;
}

function moved(axis, event) { // arrows move the lower end of the range, with Shift the upper one; Escape clears it
  const change = { ArrowUp: axis.step, ArrowDown: -axis.step }[event.key];
  if (event.key === "Escape") axis.kept = null;
  else if (change === undefined) return;
  else {
    const [low, high] = axis.kept || [axis.low, axis.high];
    axis.kept = event.shiftKey ? [low, Math.max(low, Math.min(axis.high, high + change))] : [Math.min(high, Math.max(axis.low, low + change)), high];
  }
  event.preventDefault();
  keepRanges();
}

function keepRanges() {
  const limited = axes.filter(axis => axis.kept);
  kept = !limited.length ? null : new Set(range(count).filter(i => limited.every(axis => {
    const v = axis.value(i);
    return v !== null && v >= axis.kept[0] && v <= axis.kept[1];
  })));
  redraw(["parallel", ...[...drawnPanels].filter(id => id.startsWith("pair-") || id === "space")]);
  table();
}
