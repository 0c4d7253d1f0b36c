/* Draws temperatures by uPlot into the frame that the page has, with labels, legend and sentence around it. */
(() => {
const root = document.documentElement;
const drawn = new Map();

const colour = (frame, number) => getComputedStyle(frame.closest(".card").querySelector(`.legend.c${number}`)).getPropertyValue("--c");
const token = name => getComputedStyle(root).getPropertyValue(name);
// uPlot knows no light-dark(): what a colour is now, the browser says of an element that has it.
const resolved = (frame, value) => {
  const probe = frame.appendChild(document.createElement("i"));
  probe.style.color = value;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

// While somebody points at the drawing, the legend has what was then.
function tell(plot, { zone, moments, lines }) {
  const legends = [...plot.closest(".card").querySelectorAll(".legend[data-now], [data-then]")];
  const usual = legends.map(legend => legend.textContent);
  const clock = new Intl.DateTimeFormat(root.lang, { weekday: "short", hour: "2-digit", minute: "2-digit", hour12: false, timeZone: zone });
  return chart => {
    const pointed = chart.cursor.left >= 0;
    const at = pointed && chart.posToVal(chart.cursor.left, "x");
    const place = moments.findLastIndex(moment => moment <= at);
    const words = [...lines.map(line => `${line.word} ${line.actual[place] == null ? "–" : `${Math.round(line.actual[place])}\u00a0°C`}`), clock.format(at * 1e3)];
    legends.forEach((legend, n) => { legend.textContent = pointed ? words[n] : usual[n]; });
  };
}

function draw(plot) {
  const drawing = JSON.parse(plot.dataset.drawing);
  const { from, to, top, moments, lines } = drawing;
  const stroke = number => resolved(plot, colour(plot, number));
  const stepped = uPlot.paths.stepped({ align: 1 });
  const series = lines.flatMap((line, n) => [
    { label: line.word, stroke: stroke(n + 1), width: 2, paths: stepped, points: { show: false } },
    { label: `${line.word}, target`, stroke: stroke(n + 1), width: 1, dash: [4, 4], paths: stepped, points: { show: false } },
  ]);
  plot.replaceChildren();
  const chart = new uPlot({
    width: plot.clientWidth, height: plot.clientHeight, padding: [0, 0, 0, 0], legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } }, hooks: { setCursor: [tell(plot, drawing)] },
    scales: { x: { range: () => [from, to] }, y: { range: () => [0, top] } },
    axes: [{ show: false }, { size: 0, gap: 0, ticks: { show: false }, values: (_, all) => all.map(() => ""),
      splits: () => [0, 1, 2, 3, 4].map(part => top * part / 4), grid: { stroke: resolved(plot, token("--line")), width: 1 } }],
    series: [{}, ...series],
  }, [moments, ...lines.flatMap(line => [line.actual, line.target])], plot);
  drawn.set(plot, chart);
}

const plots = () => [...document.querySelectorAll(".plot[data-drawing]")];
const size = new ResizeObserver(changes => changes.forEach(({ target }) => {
  const chart = drawn.get(target);
  if (chart && target.clientWidth !== chart.width) chart.setSize({ width: target.clientWidth, height: target.clientHeight });
}));
function forget(plot) {
  drawn.get(plot)?.destroy();
  drawn.delete(plot);
  size.unobserve(plot);
}
function show() {
  for (const plot of drawn.keys()) if (!plot.isConnected) forget(plot);
  for (const plot of plots()) if (!drawn.has(plot)) { draw(plot); size.observe(plot); }
}
function anew() {
  [...drawn.keys()].forEach(forget);
  show();
}

show();
// Another range, or the next minute; and another theme, for a drawing has its colours in it.
document.addEventListener("htmx:load", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
new MutationObserver(anew).observe(root, { attributeFilter: ["data-theme"] });
})();
