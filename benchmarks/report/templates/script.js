// The page works without this; with it tabs, filters, copying and the colour switch come alive.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Colours: the system's, or what the reader chose for this page.
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const wear = (name) => {
    if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
    button.textContent = `Colours: ${name}`;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  button.addEventListener("click", () => {
    wear(themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => wear(root.dataset.theme ?? "system"));

  // Tabs, as the ARIA practices describe them: arrows move, Home and End jump.
  for (const group of all("[data-tabs]")) {
    const tabs = all(":scope > [role=tablist] > [role=tab]", group);
    const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));
    const choose = (index, focus) => {
      tabs.forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === index));
        tab.tabIndex = i === index ? 0 : -1;
        panels[i].hidden = i !== index;
      });
      if (focus) tabs[index].focus();
    };
    tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => choose(index, false));
      tab.addEventListener("keydown", (event) => {
        const last = tabs.length - 1;
        const to = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index ? index - 1 : last, Home: 0, End: last }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        choose(to, true);
      });
    });
    group.dataset.ready = "";
    choose(0, false);
  }

  // Copying.
  for (const block of all("[data-copy]")) {
    const press = document.createElement("button");
    press.type = "button";
    press.className = "copy";
    press.textContent = "Copy";
    press.addEventListener("click", async () => {
      const text = block.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(block.querySelector("code"));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        document.execCommand("copy");
      }
      press.textContent = "Copied";
      setTimeout(() => { press.textContent = "Copy"; }, 1500);
    });
    block.append(press);
  }

  // Filters: a checked value shows the entries that carry it.
  for (const bar of all("[data-filter]")) {
    const entries = all(`#${bar.dataset.filter} > [data-tags]`);
    const empty = document.getElementById(`${bar.dataset.filter}-empty`);
    const apply = () => {
      const wanted = {};
      for (const box of all("input", bar)) {
        (wanted[box.name] ??= new Set());
        if (box.checked) wanted[box.name].add(box.value);
      }
      let shown = 0;
      for (const entry of entries) {
        const tags = entry.dataset.tags.split(" ");
        entry.hidden = !Object.values(wanted).every((set) => tags.some((tag) => set.has(tag)));
        shown += entry.hidden ? 0 : 1;
      }
      if (empty) empty.hidden = shown > 0;
    };
    bar.addEventListener("change", apply);
    apply();
  }

  // Where the reader is.
  const links = new Map(all(".contents a").map((a) => [a.getAttribute("href").slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -75% 0px" });
  links.forEach((_, id) => seen.observe(document.getElementById(id)));

  addEventListener("beforeprint", () => all("details").forEach((d) => { d.dataset.was = d.open; d.open = true; }));
  addEventListener("afterprint", () => all("details").forEach((d) => { d.open = d.dataset.was === "true"; }));
})();
