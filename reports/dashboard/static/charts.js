// Draws the charts of a page with Plotly, from what the server says is in them, and again when the server has more.

const WORDS = 12; // pixels, of what is written into a chart
const LETTER = 7.2; // pixels, of a bold one
const GAP = 14; // pixels around a curve's name
const LEFT = 64; // pixels, of the values beside an axis
const DOWN = 22; // pixels between two panels
const NARROW = 480; // a phone: only what matters has its name beside its curve

// The content policy lets no script write style attributes or style elements, which Plotly does: through the style object all
// may, and what it needs of the latter is in our own style sheet.
const { setAttribute } = Element.prototype;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};
const { createElement } = Document.prototype;
Document.prototype.createElement = function (name, ...more) {
  return createElement.call(this, name === "style" ? "template" : name, ...more);
};

let loading;
const plotly = () => (loading ??= new Promise((loaded, failed) => {
  const script = document.createElement("script");
  const again = () => failed((loading = undefined));
  Object.assign(script, { src: document.getElementById("plotly").href, onload: loaded, onerror: again });
  document.head.append(script);
}));

const style = getComputedStyle(document.documentElement);
const colour = (name) => (name?.startsWith("#") ? name : style.getPropertyValue(`--${name}`).trim());
const html = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\n/g, "<br>");
const logarithm = (axis, value) => (axis.log ? Math.log10(value) : value);
const where = (kind, letter, panel) => (kind === "part" ? `${letter}${panel || ""} domain` : `${letter}${panel || ""}`);

// Traces, layout: a chart in Plotly's terms.
function translate(chart, width) {
  const panels = chart.panels;
  const total = panels.reduce((sum, panel) => sum + panel.height, 0);
  const shown = panels.map((panel) => panel.words.filter((text) => written(text, panel, width)).map((text) => folded(text, width)));
  const layout = {
    width,
    height: total + 30,
    margin: { l: LEFT, r: Math.max(8, ...shown.flat().map((text) => beyond(text, width))), t: 8, b: 44 },
    showlegend: false,
    hovermode: "closest",
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 13 }, namelength: -1 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: style.getPropertyValue("--text"), size: WORDS, color: colour("soft") },
    dragmode: false,
    shapes: [],
    annotations: [],
  };
  const traces = [];
  let top = 1;
  panels.forEach((panel, i) => {
    const share = panel.height / total;
    const number = i ? i + 1 : "";
    const gap = i < panels.length - 1 ? DOWN / total : 0;
    const last = i === panels.length - 1;
    const numbers = { nticks: Math.max(4, Math.floor(width / 100)), tickangle: 0, ...(width > NARROW || panel.x.ticks || panel.x.shown[1] < 1000 ? {} : { tickformat: "~s" }) };
    const below = { anchor: `y${number}`, showgrid: false, showticklabels: last, ...numbers, ...(i ? { matches: "x" } : {}) };
    const beside = { anchor: `x${number}`, domain: [Math.max(0, top - share + gap), top], nticks: 6, gridcolor: colour("line") };
    layout[`xaxis${number}`] = axis(panel.x, below);
    layout[`yaxis${number}`] = axis(panel.y, beside);
    top -= share;
    for (const band of panel.bands) layout.shapes.push(shape(band, panel, number));
    for (const line of panel.lines) {
      if (line.in[0] === "part" || line.in[1] === "part") layout.shapes.push(rule(line, panel, number));
      else traces.push(trace(line, number));
    }
    for (const text of shown[i]) layout.annotations.push(annotation(text, panel, number));
  });
  return { traces, layout };
}

// Whether there is room for what is written: in each cell of a heat map, beside each curve.
function written(text, panel, width) {
  if (text.bold) return true;
  if (panel.x.ticks) return (0.8 * width) / panel.x.ticks.length > 7 * text.text.length;
  return width > NARROW || text.in[0] !== "part" || text.x <= 1;
}

// The name at a curve's end, on lines of at most four tenths of the width.
const atEnd = (text) => text.in[0] === "part" && text.anchor[0] === "left";
function folded(text, width) {
  const most = Math.floor((0.4 * width - GAP) / LETTER);
  const lines = new RegExp(`(.{1,${most}})(?: |$)`, "g");
  return atEnd(text) ? { ...text, text: text.text.replace(lines, "$1\n").trimEnd() } : text;
}

// How many pixels it needs right of the axes, which are what the margins leave of the width.
function beyond(text, width) {
  const length = GAP + LETTER * Math.max(...text.text.split("\n").map((line) => line.length));
  return atEnd(text) ? (length - (1 - text.x) * (width - LEFT)) / text.x : 0;
}

function axis({ name, log, shown, ticks }, more) {
  const from = (value) => (log ? Math.log10(value) : value);
  return {
    title: { text: html(name), standoff: 8 },
    type: log ? "log" : "linear",
    range: shown.map(from),
    fixedrange: true,
    zeroline: false,
    showline: false,
    separatethousands: true,
    automargin: true,
    ...(log ? decades(shown) : {}),
    exponentformat: log && (shown[0] < 1e-3 || shown[1] > 1e4) ? "power" : "none",
    ...(ticks ? { tickvals: ticks.map(([place]) => place), ticktext: ticks.map(([, text]) => html(text)), showgrid: false } : {}),
    ...more,
    ...(ticks ? { showgrid: false } : {}),
  };
}

// Where an axis is marked: at 1, 2 and 5 of each power of ten where few of them are to be seen, else at the powers.
function decades([low, high]) {
  const steps = high / low > 300 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: 80 }, (_, i) => 10 ** (i - 40));
  return steps.length === 1 ? { dtick: 1 } : { tickvals: powers.flatMap((power) => steps.map((step) => step * power)).filter((at) => at >= low && at <= high) };
}

function trace(line, number) {
  const marker = { s: "square", x: "x-thin-open", o: "circle" }[line.marker];
  return {
    type: "scatter",
    x: line.x,
    y: line.y,
    xaxis: `x${number}`,
    yaxis: `y${number}`,
    mode: marker ? "markers" : "lines",
    line: { color: colour(line.colour), width: line.width, dash: line.dashed ? "6px,3px" : "solid", shape: line.stepped ? "hv" : "linear" },
    marker: { symbol: marker, color: colour(line.colour), size: line.size, line: { width: Math.max(1.5, line.rim), color: colour(line.edge) } },
    opacity: line.opacity,
    cliponaxis: !marker,
    hoverinfo: line.label ? "all" : "skip",
    hovertemplate: line.label ? hover(line) : undefined,
    meta: line.trial,
  };
}

function hover(line) {
  const whose = line.trial === null ? "" : `, trial ${line.trial}`;
  const values = line.marker && line.label.includes(": ") ? "" : "<br>%{y:.4~g} at %{x:,}";
  return `<b>${html(line.label)}</b>${whose}${values}<extra></extra>`;
}

// A vertical or horizontal line right across.
function rule(line, panel, number) {
  const [x0, x1] = line.in[0] === "part" ? [0, 1] : line.x;
  const [y0, y1] = line.in[1] === "part" ? [0, 1] : line.y;
  const [xref, yref] = [where(line.in[0], "x", number), where(line.in[1], "y", number)];
  const look = { color: colour(line.colour), width: line.width, dash: line.dashed ? "6px,3px" : "solid" };
  return { type: "line", x0, x1, y0, y1, xref, yref, line: look };
}

function shape(band, panel, number) {
  const [xref, yref] = [where(band.in[0], "x", number), where(band.in[1], "y", number)];
  const look = { fillcolor: band.fill ? colour(band.fill) : "rgba(0,0,0,0)", opacity: band.opacity };
  const edge = { width: band.width, color: colour(band.edge ?? "line") };
  return { type: "rect", x0: band.x[0], x1: band.x[1], y0: band.y[0], y1: band.y[1], xref, yref, ...look, line: edge, layer: band.edge ? "above" : "below" };
}

// Of annotations, other than of shapes, Plotly wants the logarithm where an axis has one.
function annotation(text, panel, number) {
  return {
    x: text.in[0] === "part" ? text.x : logarithm(panel.x, text.x),
    y: text.in[1] === "part" ? text.y : logarithm(panel.y, text.y),
    xref: where(text.in[0], "x", number),
    yref: where(text.in[1], "y", number),
    xshift: text.shift[0],
    yshift: text.shift[1],
    text: text.bold ? `<b>${html(text.text)}</b>` : html(text.text),
    font: { color: colour(text.colour), size: WORDS },
    bgcolor: text.ground ? colour("panel") : undefined,
    xanchor: text.anchor[0],
    yanchor: text.anchor[1],
    align: text.anchor[0],
    showarrow: false,
  };
}

const known = new Map(); // address -> { version, charts }, as the server said it last

async function read(address, version) {
  const last = known.get(address);
  if (last && last.wanted === version) return last.charts;
  const charts = fetch(address).then((answer) => answer.json()).then((body) => body.charts ?? []);
  known.set(address, { wanted: version, charts });
  charts.catch(() => known.delete(address));
  return charts;
}

// Every chart of the page that is not as the server has it; what fails is tried again the next time.
export async function draw(anew = false) {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const { charts: address, chart: name, version } = place.dataset;
    const wanted = `${version} ${place.clientWidth}`;
    if (!anew && place.drawn === wanted) continue;
    place.drawn = wanted;
    try {
      const [charts] = await Promise.all([read(address, version), plotly()]);
      const chart = charts.find((one) => one.name === name);
      if (chart && place.isConnected) await show(place, chart);
    } catch {
      place.drawn = null;
    }
  }
}

async function show(place, chart) {
  const { traces, layout } = translate(chart, place.clientWidth);
  await Plotly.react(place, traces, layout, { displayModeBar: false });
  place.ariaBusy = null;
  if (place.listens) return;
  place.listens = true;
  place.on("plotly_click", ({ points }) => open(place, points[0].data.meta));
  sized.observe(place);
}

function open(place, trial) {
  if (trial !== null && trial !== undefined && place.dataset.trials) location.href = place.dataset.trials + trial;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
let later;
const sized = new ResizeObserver(() => {
  clearTimeout(later);
  later = setTimeout(draw, 100);
});
