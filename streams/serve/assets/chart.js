// A line over time, as SVG.
const WIDTH = 960;
const HEIGHT = 300;
const LEFT = 90;
const BOTTOM = 24;
const TOP = 20;

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

// Runs of points without gaps: [[[x, y], ...], ...].
function runs(points, x, y) {
  const found = [[]];
  for (const [at, value] of points) {
    if (value === null) found.push([]);
    else found[found.length - 1].push([x(at), y(value)]);
  }
  return found.filter((run) => run.length);
}

/** A chart of `points`, [[epoch ms, number or null], ...]; `since` is marked if it is in range. */
export function drawChart(points, since, format, name) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img" });
  const values = points.map(([, value]) => value).filter((value) => value !== null);
  if (!values.length) {
    picture.append(svg("text", { x: LEFT, y: HEIGHT / 2 }, "no numbers in this range"));
    return picture;
  }
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const range = high - low || 1;
  const x = (at) => LEFT + ((at - first) / Math.max(1, last - first)) * (WIDTH - LEFT - 10);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / range) * (HEIGHT - BOTTOM - TOP);
  for (const part of [0, 0.5, 1]) {
    const value = low + part * range;
    const at = first + part * (last - first);
    picture.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 10, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format.number(name, value)));
    const anchor = { 0: "start", 0.5: "middle", 1: "end" }[part];
    picture.append(svg("text", { x: x(at), y: HEIGHT - 6, "text-anchor": anchor }, format.hour(at)));
  }
  for (const run of runs(points, x, y)) {
    if (run.length === 1) picture.append(svg("circle", { class: "point", cx: run[0][0], cy: run[0][1], r: 2 }));
    else picture.append(svg("polyline", { class: "line", points: run.map((one) => one.join(",")).join(" ") }));
  }
  if (since !== null && since >= first && since <= last) {
    const anchor = x(since) > WIDTH / 2 ? { x: x(since) - 6, "text-anchor": "end" } : { x: x(since) + 6 };
    picture.append(svg("line", { class: "since", x1: x(since), x2: x(since), y1: TOP - 6, y2: HEIGHT - BOTTOM }));
    picture.append(svg("text", { class: "since-name", y: TOP - 6, ...anchor }, `began ${format.hour(since)}`));
  }
  return picture;
}
