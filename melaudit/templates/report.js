// Comfort only: without this script the page says and shows the same.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const store = {
    // A page opened from a file may have no storage.
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* not kept */ } },
  };

  all("[data-js]").forEach((e) => { e.hidden = false; });

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

  // Print everything: what is folded away is opened, and folded again afterwards.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((d) => { d.open = false; }));
  one("#print").addEventListener("click", () => print());

  // How strongly the maps cover the photographs
  one("#strength")?.addEventListener("input", (event) => {
    root.style.setProperty("--strength", String(event.target.value / 100));
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

  // Findings by severity
  const buttons = all(".filter button");
  buttons.forEach((button) => button.addEventListener("click", () => {
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    const wanted = button.dataset.severity;
    all("[data-card]").forEach((card) => {
      card.hidden = wanted !== "" && card.dataset.card !== wanted;
    });
  }));
  // A link to what is hidden or folded away shows it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    const fold = target?.closest("details:not([open])");
    if (target?.hidden) buttons[0].click();
    else if (fold) fold.open = true;
    else return;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // A larger view of any picture
  const dialog = document.createElement("dialog");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  const enlarge = (source) => {
    const pictures = document.createElement("div");
    pictures.className = "pair";
    pictures.append(...all("svg.photo", source).map((svg) => {
      const copy = svg.cloneNode(true);
      ["tabindex", "class"].forEach((name) => copy.removeAttribute(name));
      copy.setAttribute("class", "photo");
      copy.setAttribute("role", "img");
      return copy;
    }));
    const words = document.createElement("p");
    const caption = source.querySelector("figcaption");
    words.textContent = (caption ? [...caption.children].map((c) => c.textContent).join(" \u00b7 ") || caption.textContent : "");
    dialog.replaceChildren(close, pictures, words);
    dialog.showModal();
  };
  all(".tile .pair, .mean, .maps figure, .versions").forEach((box) => {
    const source = box.closest("figure");
    box.classList.add("zoom");
    box.tabIndex = 0;
    box.setAttribute("role", "button");
    box.setAttribute("aria-label", "Enlarge: " + all("svg.photo", box).map((s) => s.getAttribute("aria-label")).join(". "));
    box.addEventListener("click", () => enlarge(source));
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); enlarge(source); }
    });
  });
})();
