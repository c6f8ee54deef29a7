"use strict";
/* Page behaviour: theme, copy buttons, clocks, plan search, live runs, charts. */

const root = document.documentElement;
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

/* The theme is a cookie, so that the server renders the chosen theme and no page flashes. */
const themeSwitch = document.querySelector("[data-theme-switch]");
if (themeSwitch) {
  themeSwitch.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const theme = isDark() ? "light" : "dark";
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `orchestrator_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    drawCharts();
    drawCost();
  });
}

/* Copy buttons are hidden where the browser offers no clipboard. */
function showCopyButtons() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

/* On a narrow screen the tabs scroll, and the current one may be outside of it. */
const currentTab = document.querySelector(".tabs [aria-current]");
if (currentTab) currentTab.parentElement.scrollLeft = currentTab.offsetLeft + currentTab.offsetWidth - currentTab.parentElement.offsetWidth;

/* Clocks that show how long a run or a resource has been in progress. */
function formatDuration(seconds) {
  const pad = (number) => String(Math.floor(number)).padStart(2, "0");
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${pad((whole % 3600) / 60)}m`;
}
function tick() {
  for (const clock of document.querySelectorAll("[data-since]")) {
    const seconds = (Date.now() - Date.parse(clock.dataset.since)) / 1000;
    if (seconds >= 0) clock.textContent = formatDuration(seconds);
  }
}
setInterval(tick, 1000);

/* Search and collapse in a plan. */
const find = document.querySelector("[data-find]");
if (find) {
  find.hidden = false;
  const components = [...document.querySelectorAll("details.component")];
  const search = find.querySelector("input");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const component of components) {
      const name = component.dataset.name.toLowerCase();
      let shown = false;
      for (const article of component.querySelectorAll("article")) {
        const text = `${name} ${article.textContent.toLowerCase()}`;
        article.hidden = !words.every((word) => text.includes(word));
        shown ||= !article.hidden;
      }
      component.hidden = !shown;
      if (words.length && shown) component.open = true;
    }
    document.querySelector(".nothing").hidden = !words.length || components.some((component) => !component.hidden);
  });
  for (const button of find.querySelectorAll("[data-fold]")) {
    button.addEventListener("click", () => { for (const component of components) component.open = Boolean(button.dataset.fold); });
  }
}

/* Live updates of a run. The server sends rendered HTML, escaped like the page itself. */
const live = document.querySelector("[data-live]");
if (live) follow(live, document.getElementById("log"), document.getElementById("wire"));

function follow(board, log, wire) {
  let after = Number(board.dataset.after);
  let pause = 1000;
  const showStatus = (state, text) => { wire.hidden = false; wire.dataset.state = state; if (wire.textContent !== text) wire.textContent = text; };
  function open() {
    const source = new EventSource(`${board.dataset.live}?after=${after}`);
    source.addEventListener("open", () => { pause = 1000; showStatus("live", "live"); });
    source.addEventListener("board", (event) => { board.innerHTML = event.data; showCopyButtons(); tick(); });
    source.addEventListener("plan", (event) => { document.getElementById("run-plan").innerHTML = event.data; });
    source.addEventListener("line", (event) => {
      const number = Number(event.lastEventId);
      if (number <= after) return;
      after = number;
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
      log.insertAdjacentHTML("beforeend", event.data);
      while (log.children.length > 1000) log.firstElementChild.remove();
      document.querySelector("[data-no-lines]")?.remove();
      if (atEnd) log.scrollTop = log.scrollHeight;
    });
    source.addEventListener("over", (event) => { source.close(); showStatus("over", "ended"); });
    source.addEventListener("error", () => {
      showStatus("away", "connection lost; reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(open, pause);
      pause = Math.min(pause * 2, 15000);
    });
  }
  log.scrollTop = log.scrollHeight;
  open();
}

/* Charts of the delivery metrics, drawn from the table on the page. */
let plots = [];
function drawCharts() {
  const place = document.getElementById("charts");
  const table = place && document.getElementById(place.dataset.table);
  for (const plot of plots) plot.destroy();
  plots = [];
  if (!table || typeof uPlot === "undefined" || table.tBodies[0].rows.length < 2) return;
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(name).trim();
  const rows = [...table.tBodies[0].rows];
  const weeks = rows.map((row) => Date.parse(row.cells[0].textContent) / 1000);
  place.hidden = false;
  place.replaceChildren();
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const figures = heads.map(() => place.appendChild(document.createElement("figure")));
  heads.forEach((head, index) => {
    const figure = figures[index];
    const caption = figure.appendChild(document.createElement("figcaption"));
    const unit = head.dataset.unit;
    caption.textContent = head.textContent + (unit === "h" ? " (hours)" : unit === "%" ? " (%)" : " per week");
    const values = rows.map((row) => { const value = row.cells[index + 1].dataset.value; return value === "" ? null : Number(value); });
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const bars = index === 0 ? { paths: uPlot.paths.bars({ size: [0.6, 28] }), fill: colour("--accent"), width: 0 } : { width: 2, fill: colour("--accent-soft"), spanGaps: true };
    plots.push(new uPlot({
      width: figure.clientWidth - 30, height: 170, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true, range: (_, low, high) => [low - 302400, high + 302400] }, y: { range: (_, low, high) => [0, (high || 1) * 1.15] } },
      axes: [{ ...axis, grid: { show: false }, values: formatDates }, { ...axis, size: 42 }],
      series: [{}, { stroke: colour("--accent"), points: { show: index > 0, size: 5 }, ...bars }],
    }, [weeks, values], figure));
  });
}
/* The cost over time: one area a component, deploys as ticks, the budget as a line; drawn from the table on the page. */
let costPlot;
function drawCost() {
  const place = document.getElementById("cost-chart");
  if (costPlot) costPlot.destroy();
  costPlot = undefined;
  if (!place || typeof uPlot === "undefined") return;
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(name).trim();
  const table = document.getElementById(place.dataset.table);
  const rows = [...table.tBodies[0].rows];
  const times = rows.map((row) => Date.parse(row.cells[0].dataset.at) / 1000);
  const count = rows[0].cells.length - 2;
  const sums = [];
  for (let index = 0; index < count; index += 1) {
    sums.push(rows.map((row, number) => Number(row.cells[index + 1].dataset.value) + (index ? sums[index - 1][number] : 0)));
  }
  const limit = place.dataset.limit ? Number(place.dataset.limit) : null;
  place.hidden = false;
  place.replaceChildren();
  const figure = place.appendChild(document.createElement("figure"));
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const paths = uPlot.paths.stepped({ align: 1 });
  const areas = sums.map((_, index) => ({ stroke: colour(`--series-${index}`), fill: colour(`--series-${index}`), width: 1, paths, points: { show: false } }));
  const budget = { stroke: colour("--warn"), width: 2, dash: [6, 4], points: { show: false } };
  const mark = (plot) => {
    const marked = rows.flatMap((row, number) => ("mark" in row.dataset ? [plot.valToPos(times[number], "x", true)] : []));
    plot.ctx.save();
    plot.ctx.fillStyle = colour("--fore");
    for (const left of marked) plot.ctx.fillRect(Math.round(left), plot.bbox.top + plot.bbox.height - 8 * devicePixelRatio, Math.max(1, devicePixelRatio), 8 * devicePixelRatio);
    plot.ctx.restore();
  };
  const top = Math.max(...sums[count - 1], limit || 0) || 1;
  costPlot = new uPlot({
    width: figure.clientWidth - 30, height: 240, legend: { show: false }, cursor: { show: false },
    scales: { x: { time: true }, y: { range: () => [0, top * 1.1] } },
    axes: [{ ...axis, grid: { show: false }, values: formatDates }, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => `$${tick}`) }],
    series: [{}, ...areas.reverse(), ...(limit ? [budget] : [])], hooks: { draw: [mark] },
  }, [times, ...sums.reverse(), ...(limit ? [times.map(() => limit)] : [])], figure);
}
/* Labels of a time axis: month and day, with the year below the first label and below the first of each year. */
function formatDates(_, ticks) {
  const dates = ticks.map((tick) => new Date(tick * 1000));
  return dates.map((date, index) => {
    const day = [date.getMonth() + 1, date.getDate()].map((number) => String(number).padStart(2, "0")).join("-");
    return index && dates[index - 1].getFullYear() === date.getFullYear() ? day : `${day}\n${date.getFullYear()}`;
  });
}
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => { drawCharts(); drawCost(); }, 200); });
addEventListener("load", () => { drawCharts(); drawCost(); });
document.addEventListener("htmx:afterSettle", () => { showCopyButtons(); tick(); if (document.querySelector("#charts[hidden]")) drawCharts(); });
showCopyButtons();
tick();

/* Do not poll while the page is hidden. */
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.requestConfig.triggeringEvent === undefined) event.preventDefault();
});
