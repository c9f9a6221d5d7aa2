// Comfort only: without this script the page has the same content.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector, from = document) => from.querySelector(selector);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const store = {
    // A page opened from a file may have no storage.
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* not kept */ } },
  };

  root.classList.add("js");
  all("[data-js]").forEach((e) => { e.hidden = false; });

  // Sections out of sight are laid out when the browser is idle.
  const later = window.requestIdleCallback || ((act) => setTimeout(act, 50));
  const pending = all(".section, .card");
  const lay = () => {
    pending.splice(0, 2).forEach((section) => section.classList.add("laid"));
    if (pending.length) later(lay);
  };
  addEventListener("load", () => later(lay));

  // Light and dark
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { one("#theme .theme-word").textContent = isDark() ? "Light" : "Dark"; };
  const kept = store.get("melaudit-theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  one("#theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store.set("melaudit-theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();

  // What is folded stays folded on paper; one button unfolds everything first.
  const unfold = one("#unfold");
  unfold.addEventListener("click", () => {
    const folds = all("details");
    const open = folds.some((d) => !d.open);
    folds.forEach((d) => { d.open = open; });
    unfold.textContent = open ? "Fold all" : "Unfold all";
  });
  // No finding is missing from a printed page: filtered ones are shown for it.
  let filtered = [];
  addEventListener("beforeprint", () => {
    filtered = all("[data-card][hidden]");
    filtered.forEach((card) => { card.hidden = false; });
  });
  addEventListener("afterprint", () => {
    filtered.forEach((card) => { card.hidden = true; });
  });
  one("#print").addEventListener("click", () => print());

  // A slider between image and map: the map is drawn from the slider to the right edge.
  const wipe = (pair, value) => {
    pair.style.setProperty("--wipe", `${value}%`);
    const input = one("input", pair);
    if (input) input.value = value;
  };
  const wiped = (pair) => parseFloat(pair.style.getPropertyValue("--wipe") || "50");
  const slider = (pair) => {
    const name = one(".photo", pair).getAttribute("aria-label").replace("Enlarge: ", "").split(",")[0];
    const input = make("input", { type: "range", min: 0, max: 100, value: wiped(pair), className: "wipe" });
    input.setAttribute("aria-label", `${name}: from image to map`);
    input.addEventListener("input", () => wipe(pair, input.value));
    one(".over", pair).after(input);
  };
  // Sliders are made when their pictures are about to be seen, to keep a long page light.
  const near = new IntersectionObserver((seen) => seen.filter((s) => s.isIntersecting).forEach((s) => {
    near.unobserve(s.target);
    // The observer may report a picture twice in one call.
    if (!one(".wipe", s.target)) slider(s.target);
  }), { rootMargin: "800px" });
  const compare = (pair) => {
    pair.classList.add("compare");
    // Dragging on the picture itself does the same; a click without a drag enlarges it.
    let start = null;
    pair.addEventListener("pointerdown", (event) => {
      if (event.target.closest("svg")) { start = event.clientX; pair.dragged = false; }
    });
    pair.addEventListener("pointermove", (event) => {
      if (start === null || !event.buttons || Math.abs(event.clientX - start) < 4) return;
      pair.dragged = true;
      const box = one(".photo", pair).getBoundingClientRect();
      wipe(pair, Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * 100));
    });
    return pair;
  };
  const pairs = all(".pair").filter((pair) => one(".over", pair)).map(compare);
  pairs.forEach((pair) => near.observe(pair));
  one("#wipes")?.addEventListener("input", (event) => {
    pairs.forEach((pair) => wipe(pair, event.target.value));
  });

  // Contents follow the scroll: the last section whose top has passed the upper third.
  const links = all(".side .contents a");
  const sections = links.map((a) => document.getElementById(a.hash.slice(1)));
  let waiting = false;
  const follow = () => {
    waiting = false;
    const atEnd = innerHeight + scrollY >= root.scrollHeight - 4;
    let current = 0;
    sections.forEach((s, k) => { if (s.getBoundingClientRect().top < innerHeight / 3) current = k; });
    if (atEnd) current = sections.length - 1;
    links.forEach((a, k) => {
      if (k === current) a.setAttribute("aria-current", "true");
      else a.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", () => {
    if (!waiting) { waiting = true; requestAnimationFrame(follow); }
  }, { passive: true });
  follow();

  // Findings by severity and by word
  const cards = all("[data-card]");
  const buttons = all(".filter button");
  const words = one("#find");
  const filter = () => {
    const wanted = buttons.find((b) => b.getAttribute("aria-pressed") === "true")?.dataset.severity || "";
    const text = (words?.value || "").trim().toLowerCase();
    let shown = 0;
    cards.forEach((card) => {
      const fits = (!wanted || card.dataset.card === wanted)
        && (!text || card.textContent.toLowerCase().includes(text));
      card.hidden = !fits;
      shown += fits;
    });
    const said = one("#found");
    if (said) said.textContent = wanted || text ? `${shown} of ${cards.length} shown` : "";
  };
  buttons.forEach((button) => button.addEventListener("click", () => {
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    filter();
  }));
  words?.addEventListener("input", filter);
  // A link to a hidden or folded part opens it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    const fold = target.closest("details:not([open])");
    if (target.hidden) {
      if (words) words.value = "";
      buttons[0]?.click();
      filter();
    } else if (fold) fold.open = true;
    else return;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Tables can be sorted by their column heads.
  const figure = (text) => {
    const plain = text.replace(/\u2212/g, "-").replace(/[,\s\u00a0]/g, "").replace(/\u221e/, "Infinity");
    const number = parseFloat(plain.replace(/^[<>]/, ""));
    return Number.isNaN(number) ? null : number;
  };
  const cell = (row, k) => row.cells[k].textContent.trim();
  const sort = (table, k, up) => {
    const rows = [...table.tBodies[0].rows];
    const key = rows.map((row) => figure(cell(row, k)));
    const numeric = key.filter((v) => v !== null).length * 2 > rows.length;
    const order = rows.map((row, i) => i).sort((a, b) => {
      // Rows without a figure come last in both directions.
      if (numeric && (key[a] === null || key[b] === null)) return (key[a] === null) - (key[b] === null) || a - b;
      const by = numeric ? key[a] - key[b] : cell(rows[a], k).localeCompare(cell(rows[b], k), "en", { numeric: true });
      return (up ? by : -by) || a - b;
    });
    table.tBodies[0].append(...order.map((i) => rows[i]));
  };
  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, k) => {
      const button = make("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        sort(table, k, up);
      });
    });
  };
  // The buttons are made when the pointer or the focus comes near, to keep a long page light.
  all(".scroll > table:not(.confusion)").filter((t) => t.tHead && t.tBodies[0]?.rows.length > 1).forEach((table) => {
    const once = () => {
      ["pointerenter", "focusin"].forEach((kind) => table.parentElement.removeEventListener(kind, once));
      sortable(table);
    };
    ["pointerenter", "focusin"].forEach((kind) => table.parentElement.addEventListener(kind, once));
  });

  // The affected images as a CSV file, with cells that no spreadsheet runs.
  const safe = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;
  all(".affected").forEach((box) => {
    const button = make("button", { type: "button", className: "save", textContent: "Save as CSV" });
    button.addEventListener("click", () => {
      const names = one(".names", box).textContent.trim().split("\n");
      const rows = ["finding,image", ...names.map((n) => `${safe(box.dataset.finding)},${safe(n)}`)];
      const url = URL.createObjectURL(new Blob([rows.join("\r\n") + "\r\n"], { type: "text/csv" }));
      make("a", { href: url, download: `${box.dataset.name}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    one("summary", box).after(button);
  });

  // A larger view of any picture; the arrow keys go on to the next.
  const dialog = (name, ...children) => {
    const box = make("dialog", { className: name }, ...children);
    box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
    document.body.append(box);
    return box;
  };
  const button = (text, act) => {
    const made = make("button", { type: "button", textContent: text });
    made.addEventListener("click", act);
    return made;
  };
  const boxes = all(".tile .pair, .mean, .maps figure, .versions");
  let current = 0;
  const view = make("div", { className: "view" });
  const caption = make("p");
  const bar = make("p", { className: "bar-of-buttons" },
    button("Previous", () => show(current - 1)), button("Next", () => show(current + 1)), button("Close", () => light.close()));
  const light = dialog("light", bar, view, caption);
  light.setAttribute("aria-label", "Larger view");
  const show = (k) => {
    current = (k + boxes.length) % boxes.length;
    const source = boxes[current];
    const pictures = make("div", { className: "pair" });
    pictures.append(...all("svg.photo, .legend", source).map((svg) => {
      const copy = svg.cloneNode(true);
      if (copy.hasAttribute("tabindex")) {
        copy.removeAttribute("tabindex");
        copy.setAttribute("role", "img");
        copy.setAttribute("aria-label", copy.getAttribute("aria-label").replace("Enlarge: ", ""));
      }
      return copy;
    }));
    view.replaceChildren(pictures);
    if (source.classList.contains("compare")) {
      compare(pictures);
      slider(pictures);
      wipe(pictures, wiped(source));
    }
    const said = one("figcaption", source.closest("figure"));
    caption.textContent = said ? [...said.childNodes].map((c) => c.textContent.trim()).filter(Boolean).join(" \u00b7 ") : "";
    if (!light.open) light.showModal();
  };
  light.addEventListener("keydown", (event) => {
    if (event.target.type === "range") return;
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
  boxes.forEach((box, k) => {
    const first = one(".photo", box);
    first.setAttribute("role", "button");
    first.setAttribute("tabindex", "0");
    first.setAttribute("aria-label", "Enlarge: " + first.getAttribute("aria-label"));
    box.classList.add("zoom");
    box.addEventListener("click", (event) => {
      if (event.target.closest("svg") && !box.dragged) show(k);
    });
    first.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(k); }
    });
  });

  // The map of strategies: which image is here, and one cluster alone.
  const plane = one(".plane svg");
  if (plane) {
    const clouds = all(".cloud", plane);
    const points = clouds.flatMap((cloud) => {
      const names = cloud.dataset.names.trim().split("\n");
      const at = all(".dots", cloud).flatMap((path) => path.getAttribute("d").slice(1).split("M")
        .map((d) => ({ x: parseFloat(d), y: parseFloat(d.split(" ")[1]), path, cloud })));
      return at.map((point, k) => ({ ...point, name: names[k] }));
    });
    const said = one(".plane-said");
    const mark = document.createElementNS(plane.namespaceURI, "circle");
    mark.setAttribute("class", "here");
    mark.setAttribute("r", "7");
    plane.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
      let best = null, least = 400;
      points.forEach((p) => {
        if (p.cloud.hasAttribute("hidden") || (p.path.hasAttribute("hidden"))) return;
        const far = (p.x - at.x) ** 2 + (p.y - at.y) ** 2;
        if (far < least) { least = far; best = p; }
      });
      if (!best) { mark.remove(); return; }
      mark.setAttribute("cx", best.x);
      mark.setAttribute("cy", best.y);
      plane.append(mark);
      said.textContent = best.name;
    });
    const hide = (element, is) => { if (element) element.toggleAttribute("hidden", is); };
    all("[data-toggle]").forEach((input) => input.addEventListener("change", () => {
      hide(one(`[data-cloud="${input.dataset.toggle}"]`, plane), !input.checked);
      hide(one(`[data-name="${input.dataset.toggle}"]`, plane), !input.checked);
    }));
    one("#only-wrong")?.addEventListener("change", (event) => {
      all(".dots:not(.is-wrong)", plane).forEach((path) => hide(path, event.target.checked));
    });
  }

  // Keyboard shortcuts, listed by "?"; they can be turned off.
  const keys = { on: store.get("melaudit-keys") !== "off" };
  const stops = all("main > section, main .card");
  const go = (step) => {
    const tops = stops.filter((s) => !s.hidden && s.getClientRects().length);
    const passed = tops.filter((s) => s.getBoundingClientRect().top < 100).length - 1;
    const next = tops[Math.min(tops.length - 1, Math.max(0, passed + step))];
    next.tabIndex = -1;
    next.scrollIntoView({ behavior: "instant" });
    next.focus({ preventScroll: true });
  };
  const act = {
    j: () => go(1), k: () => go(-1), t: () => one("#theme").click(),
    "/": () => words?.focus(), "?": () => help.showModal(),
  };
  const toggle = make("input", { type: "checkbox", checked: keys.on });
  toggle.addEventListener("change", () => {
    keys.on = toggle.checked;
    store.set("melaudit-keys", keys.on ? "on" : "off");
  });
  const list = make("dl", { className: "pairs" });
  [["j, k", "next and previous section or finding"], ["/", "find a word in the findings"], ["t", "light or dark"],
    ["\u2190 \u2192", "in the larger view: previous and next picture; on a slider: image or map"],
    ["Esc", "close"]].forEach(([key, what]) => list.append(make("div", {}, make("dt", { textContent: key }), make("dd", { textContent: what }))));
  const help = dialog("help-keys", make("p", { className: "bar-of-buttons" }, button("Close", () => help.close())),
    make("h2", { textContent: "Keys" }), list, make("label", {}, toggle, " Keys are on"));
  help.setAttribute("aria-label", "Keys");
  one("#keys").addEventListener("click", () => help.showModal());
  addEventListener("keydown", (event) => {
    if (!keys.on || event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || !Object.hasOwn(act, event.key)) return;
    event.preventDefault();
    act[event.key]();
  });
})();
