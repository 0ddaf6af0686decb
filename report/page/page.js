"use strict";
// Tables that sort and filter, and the runs behind every number. The page is whole without it, but for these.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const names = JSON.parse(document.getElementById("names").textContent);
  const runs = data.rows.map((row) => Object.fromEntries(data.columns.map((name, place) => [name, row[place]])));
  const NONE = "–";

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ---- what a cell stands for -------------------------------------------------------------------------------------
  const named = (part) => JSON.parse((part && part.dataset.runs) || "{}");

  function keysOf(cell) {
    const table = cell.closest("table");
    const column = table.querySelectorAll("col")[cell.cellIndex];
    const near = { ...named(cell.parentElement), ...named(column), ...named(cell) };
    return Object.keys(near).length ? { ...named(table), ...near } : null;
  }

  function behind(keys) {
    // A table that names no window and no mask ratio is about the study's own.
    const swept = "window" in keys || "mask_ratio" in keys;
    return runs.filter((run) => (swept || run.main) && Object.entries(keys).every(([key, value]) => run[key] === value));
  }

  const described = (keys) =>
    Object.entries(keys)
      .filter(([key, value]) => value !== null && !(key === "variant" && value === "default"))
      .map(([key, value]) => (key in { scene: 0, method: 0 } ? names[value] || value : `${key.replace("_", " ")} ${value}`))
      .join(", ");

  // ---- tables of runs ---------------------------------------------------------------------------------------------
  const number = (digits) => (run, key) => (run[key] === null ? NONE : run[key].toFixed(digits));
  const plain = (run, key) => (run[key] === null || run[key] === "" ? NONE : String(run[key]));
  const title = (run, key) => names[run[key]] || run[key];

  function links(run) {
    const record = element("a", { href: encodeURI(run.path) }, "record");
    if (run.status !== "ok") return [record, element("span", { class: "failed" }, ` failed: ${run.reason}`)];
    return [record, " ", element("a", { href: encodeURI(run.path.replace(/json$/, "npz")) }, "predictions")];
  }

  const COLUMNS = [
    ["scene", "scene", title], ["protocol", "protocol", plain], ["method", "method", title], ["variant", "variant", plain],
    ["shots", "shots", plain], ["window", "window", plain], ["mask_ratio", "mask ratio", plain], ["seed", "seed", plain],
    ["path", "files", null], ["oa", "OA", number(2)], ["aa", "AA", number(2)], ["kappa", "κ × 100", number(2)], ["seconds", "seconds", number(1)],
    ["device_name", "device", plain], ["commit", "commit", plain],
  ];
  const TEXTS = ["scene", "protocol", "method", "variant", "path", "device_name", "commit"];

  function aligned(cell, key) {
    if (TEXTS.includes(key)) cell.style.textAlign = "left";
    return cell;
  }

  function runsTable(columns) {
    const head = element("tr", {}, ...columns.map(([key, label]) => aligned(element("th", { scope: "col" }, label), key)));
    return element("table", {}, element("thead", {}, head), element("tbody"));
  }

  function fill(body, shown, columns) {
    body.replaceChildren(...shown.map((run) => {
      const cells = columns.map(([key, , write], place) => {
        const shown = key === "path" ? links(run) : [write(run, key)];
        return aligned(element(place ? "td" : "th", place ? {} : { scope: "row" }, ...shown), key);
      });
      return element("tr", {}, ...cells);
    }));
  }

  // ---- sorting ----------------------------------------------------------------------------------------------------
  const collator = new Intl.Collator("en", { numeric: true });

  function compare(left, right) {
    if (left === right) return 0;
    if (left === null || left === undefined || left === "") return 1;
    if (right === null || right === undefined || right === "") return -1;
    return typeof left === "number" && typeof right === "number" ? left - right : collator.compare(left, right);
  }

  // Missing values stay last in both directions.
  function ordered(items, value, direction) {
    const empty = (item) => [null, undefined, ""].includes(value(item));
    return [...items].sort((one, other) =>
      empty(one) || empty(other) ? compare(value(one), value(other)) : direction * compare(value(one), value(other)));
  }

  function sortable(head, sort) {
    for (const [place, header] of head.entries()) {
      const button = element("button", { type: "button" }, ...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        // Numbers are first shown from the highest down.
        const first = header.dataset.numeric === undefined ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        const next = header.getAttribute("aria-sort") === first ? other : first;
        for (const each of head) each.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", next);
        sort(place, next === "ascending" ? 1 : -1);
      });
    }
  }

  // The headers of single columns, from left to right, whichever heading row holds them.
  function columnHeaders(table) {
    const rows = [...table.tHead.rows];
    const tall = [...rows[0].cells].filter((cell) => cell.rowSpan === rows.length);
    return rows.length === 1 ? tall : [...tall, ...rows.at(-1).cells];
  }

  function sortableTable(table) {
    const headers = columnHeaders(table);
    const value = (row, place) => {
      const cell = row.cells[place];
      if (!cell) return null;
      if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
      const text = cell.textContent.trim();
      return text.startsWith(NONE) ? null : text;
    };
    for (const [place, header] of headers.entries())
      if ([...table.tBodies].some((body) => [...body.rows].some((row) => typeof value(row, place) === "number")))
        header.dataset.numeric = "";
    sortable(headers, (place, direction) => {
      for (const body of table.tBodies)
        body.append(...ordered([...body.rows], (row) => value(row, place), direction));
    });
  }

  // ---- filtering --------------------------------------------------------------------------------------------------
  const matches = (text, wanted) => wanted.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));

  function filterable(table, region) {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    if (rows.length < 6) return;
    const input = element("input", { type: "search", placeholder: "e.g. svm" });
    const said = element("span", { role: "status" });
    region.before(element("div", { class: "filter" }, element("label", {}, "Filter rows ", input), said));
    input.addEventListener("input", () => {
      for (const row of rows) row.hidden = !matches([...row.querySelectorAll("th")].map((cell) => cell.textContent).join(" "), input.value);
      const left = rows.filter((row) => !row.hidden).length;
      said.textContent = input.value ? `${left} of ${rows.length} rows` : "";
    });
  }

  // ---- the panel behind a number ----------------------------------------------------------------------------------
  const panel = document.getElementById("panel");
  const REDUNDANT = new Set(["scene", "protocol", "method", "variant", "shots", "commit"]);

  function open(cell) {
    const keys = keysOf(cell);
    const found = behind(keys);
    document.getElementById("panel-title").textContent = described(keys);
    const good = found.filter((run) => run.status === "ok").length;
    document.getElementById("panel-said").textContent = found.length
      ? `${good} of ${found.length} recorded runs went well. ${[cell.innerText.trim() || NONE, cell.dataset.hint].filter(Boolean).join("; ")}`
      : "No run has been recorded for this cell.";
    const columns = COLUMNS.filter(([key]) =>
      !(REDUNDANT.has(key) && key in keys) && key !== "commit" && !(key === "mask_ratio" || key === "window" ? found.every((run) => run[key] === null) : false));
    columns.sort(([key]) => (key === "seed" ? -1 : 0));
    const table = runsTable(columns);
    fill(table.tBodies[0], found, columns);
    document.getElementById("panel-runs").replaceChildren(...(found.length ? [table] : []));
    panel.showModal();
  }

  panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

  // One cell of a table is in the tab order; arrows lead to the others.
  function explorable(table) {
    const cells = () => [...table.querySelectorAll("tbody tr:not([hidden]) td[tabindex]")];
    let first = true;
    for (const cell of table.querySelectorAll("tbody td")) {
      if (!keysOf(cell)) continue;
      cell.tabIndex = first ? 0 : -1;
      cell.setAttribute("aria-haspopup", "dialog");
      cell.dataset.hint = cell.title;
      cell.title = [cell.title, "Show the runs behind this number"].filter(Boolean).join("\n");
      first = false;
    }
    if (first) return;
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td[tabindex]");
      if (cell) { move(cell); open(cell); }
    });
    table.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td[tabindex]");
      if (!cell) return;
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(cell); return; }
      const rows = [...table.querySelectorAll("tbody tr:not([hidden])")];
      const row = rows.indexOf(cell.parentElement);
      const next = {
        ArrowLeft: () => cell.previousElementSibling, ArrowRight: () => cell.nextElementSibling,
        ArrowUp: () => rows[row - 1]?.cells[cell.cellIndex], ArrowDown: () => rows[row + 1]?.cells[cell.cellIndex],
      }[event.key]?.();
      if (next && next.matches("td[tabindex]")) { event.preventDefault(); move(next); next.focus(); }
    });
    function move(cell) {
      for (const each of cells()) each.tabIndex = -1;
      cell.tabIndex = 0;
    }
  }

  for (const table of document.querySelectorAll("article.table table")) {
    sortableTable(table);
    filterable(table, table.closest(".scroll"));
    explorable(table);
  }

  // ---- all runs ---------------------------------------------------------------------------------------------------
  const AT_ONCE = 50;
  const place = document.getElementById("all-runs");
  const unused = (key) => ["window", "mask_ratio"].includes(key) && runs.every((run) => run[key] === null);
  const shownColumns = COLUMNS.filter(([key]) => !unused(key));
  const table = runsTable(shownColumns);
  const said = element("span", { role: "status" });
  const more = element("button", { type: "button", class: "more" }, "Show more");
  const chosen = {};
  const filters = element("div", { class: "filter" });
  let sorted = runs;
  let limit = AT_ONCE;

  function draw() {
    const found = sorted.filter((run) => Object.entries(chosen).every(([key, value]) => value === "" || String(run[key]) === value));
    fill(table.tBodies[0], found.slice(0, limit), shownColumns);
    said.textContent = `${found.length.toLocaleString("en")} runs, ${Math.min(limit, found.length).toLocaleString("en")} shown`;
    more.hidden = found.length <= limit;
  }

  for (const [key, label] of [["scene", "Scene"], ["protocol", "Protocol"], ["method", "Method"], ["variant", "Variant"],
    ["shots", "Shots"], ["status", "Status"]]) {
    const values = [...new Set(runs.map((run) => run[key]))].sort(compare);
    if (values.length < 2) continue;
    const options = [element("option", { value: "" }, "all"),
      ...values.map((value) => element("option", { value }, (key in { scene: 0, method: 0 } && names[value]) || String(value)))];
    const select = element("select", {}, ...options);
    select.addEventListener("change", () => { chosen[key] = select.value; limit = AT_ONCE; draw(); });
    filters.append(element("label", {}, `${label} `, select));
  }
  filters.append(said);
  const headers = [...table.tHead.rows[0].cells];
  for (const [at, [key]] of shownColumns.entries()) if (!TEXTS.includes(key)) headers[at].dataset.numeric = "";
  sortable(headers, (at, direction) => {
    sorted = ordered(runs, (run) => run[shownColumns[at][0]], direction);
    draw();
  });
  more.addEventListener("click", () => { limit += 4 * AT_ONCE; draw(); });
  place.append(filters, element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "All runs" }, table), more);
  draw();

  // ---- contents ---------------------------------------------------------------------------------------------------
  const contents = document.getElementById("contents");
  const narrow = window.matchMedia("(max-width: 69.99rem)");
  if (narrow.matches) contents.open = false;
  contents.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) contents.open = false; });
})();
