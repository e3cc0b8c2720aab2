// What the theme's own scripts would do, without their Bootstrap: colours, search field, side bars, menus, contents.
{
  const root = document.documentElement;
  const one = (selector) => document.querySelector(selector), all = (selector) => [...document.querySelectorAll(selector)];
  // Light, dark, or as the system. What is drawn first has been decided in the page's head.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = (mode) => mode === "dark" || (mode === "auto" && system.matches);
  const paint = () => (root.dataset.theme = isDark(root.dataset.mode) ? "dark" : "light");
  system.addEventListener("change", paint);
  for (const button of all(".theme-switch-button"))
    button.addEventListener("click", () => {
      const modes = system.matches ? ["auto", "light", "dark"] : ["auto", "dark", "light"];
      root.dataset.mode = modes[(modes.indexOf(root.dataset.mode) + 1) % modes.length];
      paint();
      try {
        localStorage.setItem("mode", root.dataset.mode);
      } catch {
        // A browser may refuse: then it lasts as long as the page.
      }
    });

  // The search field, over the page or, on the page of results, within it.
  const over = one(".search-button__wrapper");
  const field = one("div:not(.search-button__search-container) > form.bd-search input") ?? over.querySelector("input");
  const search = () => {
    const opened = over.contains(field) ? over.classList.toggle("show") : document.activeElement !== field;
    if (!opened) return field.blur();
    field.focus();
    field.select();
  };
  all(".search-button__button, .search-button__overlay").forEach((button) => button.addEventListener("click", search));
  const isMac = /^(Mac|iP)/.test(navigator.platform);
  if (isMac) all(".kbd-shortcut__modifier").forEach((key) => (key.textContent = "⌘"));
  addEventListener("keydown", (event) => {
    const { key, shiftKey, altKey, metaKey, ctrlKey } = event;
    if (/^k$/i.test(key) && !shiftKey && !altKey && metaKey === isMac && ctrlKey === !isMac) {
      event.preventDefault();
      search();
    } else if (key === "Escape" && over.matches(".show")) search();
  });

  // Side bars: a checkbox says whether one is open, and the keyboard goes along.
  for (const side of ["primary", "secondary"]) {
    const box = one(`#pst-${side}-sidebar-checkbox`), bar = one(`.bd-sidebar-${side}`), button = one(`.${side}-toggle`);
    if (!bar || !button) continue;
    button.addEventListener("click", () => {
      box.checked = !box.checked;
      if (box.checked) setTimeout(() => bar.querySelector("a, button")?.focus(), 100); // it has to be visible first
    });
    bar.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      box.checked = false;
      button.focus();
    });
    box.addEventListener("change", () => box.checked || button.focus());
  }
  // The page's own line in the contents is scrolled to, where it is out of sight.
  const current = one(".bd-docs-nav a.current");
  if (current)
    new IntersectionObserver(([{ isIntersecting, boundingClientRect, rootBounds }], observer) => {
      observer.disconnect();
      if (!isIntersecting) observer.root.scrollTop += boundingClientRect.top - rootBounds.top - rootBounds.height / 4;
    }, { root: one(".bd-sidebar-primary") }).observe(current);

  // Menus: open by a click or the arrow key, walked by arrows, closed by Escape or a click elsewhere.
  const show = (button, open) => {
    button.setAttribute("aria-expanded", open);
    button.nextElementSibling.classList.toggle("show", open);
  };
  const buttons = all(".dropdown > .dropdown-toggle");
  const close = (but) => buttons.forEach((button) => button !== but && show(button, false));
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.(".dropdown > .dropdown-toggle");
    close(button);
    if (button) show(button, button.getAttribute("aria-expanded") !== "true");
  });
  for (const button of buttons)
    button.parentElement.addEventListener("keydown", (event) => {
      const items = [...button.nextElementSibling.querySelectorAll(".dropdown-item")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") {
        close();
        button.focus();
      } else if (step) {
        event.preventDefault();
        show(button, true);
        const at = items.indexOf(document.activeElement);
        items[at < 0 ? (step > 0 ? 0 : items.length - 1) : (at + step + items.length) % items.length].focus();
      }
    });
  document.addEventListener("focusin", ({ target }) => close(target.closest(".dropdown")?.firstElementChild));

  // The contents of the page: what is being read is marked, with the sections around it.
  const links = new Map(all(".bd-toc-nav a[href^='#']").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const within = new Set();
  const reads = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) within[isIntersecting ? "add" : "delete"](target);
      const deepest = [...within].find((section) => ![...within].some((other) => other !== section && section.contains(other)));
      if (!deepest) return; // below the last
      const path = [];
      for (let section = deepest; section; section = section.parentElement.closest("section")) path.push(links.get(section.id));
      for (const link of links.values())
        for (const part of [link, link.parentElement]) part.classList.toggle("active", path.includes(link));
    },
    { rootMargin: "-12% 0px -87% 0px" }, // a line near the top
  );
  all(".bd-article section").forEach((section) => reads.observe(section));

  // The button of the header calls this by its name.
  window.toggleFullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
  new IntersectionObserver(([{ boundingClientRect }]) =>
    document.body.classList.toggle("scrolled", boundingClientRect.y < 0),
  ).observe(one(".sbt-scroll-pixel-helper"));
}
