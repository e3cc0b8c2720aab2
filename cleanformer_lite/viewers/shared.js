// What all viewers share: elements, keys, focus. A text is only ever set as text, never as HTML.
const make = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") node.style.cssText = value;
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
};

// JupyterLab and Notebook take arrow keys and Enter for their cells, unless what has the focus says
// not to. The box around viewer and controls exists only after the viewer was drawn.
const frame = (el) => {
  const keep = (node) =>
    node?.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  el.classList.add("viewer");
  keep(el);
  setTimeout(() => keep(el.closest(".widget-vbox")));
};

// Draw again without losing the reader's place: what had the focus gets it back, by its data-key.
const redraw = (parent, ...children) => {
  const active = parent.getRootNode().activeElement;
  const key = parent.contains(active) ? active.dataset.key : null;
  parent.replaceChildren(...children);
  if (key != null) [...parent.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key)?.focus();
};

// One stop for the tab key, arrows within: `columns` says how far up and down lead.
const arrows = (group, columns = () => 1) => {
  const nodes = () => [...group.querySelectorAll("[data-key]")];
  const stop = (node) => nodes().forEach((other) => (other.tabIndex = other === node ? 0 : -1));
  group.addEventListener("focusin", (event) => event.target.dataset.key && stop(event.target));
  group.addEventListener("keydown", (event) => {
    const all = nodes(),
      at = all.indexOf(event.target);
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns(),
      ArrowUp: -columns(),
      Home: -at,
      End: all.length - 1 - at,
    };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, at + steps[event.key]))].focus();
  });
  return () => stop(nodes().find((node) => node.matches("[aria-pressed=true], [aria-current]")) ?? nodes()[0]);
};

// A choice among few: radio buttons, so that keys and screen readers know what to do.
const choice = (legend, options, model, trait) => {
  const name = "viewer" + Math.random().toString(36).slice(2);
  const inputs = options.map(([value]) =>
    make("input", { type: "radio", name, value, onchange: () => put(model, trait, value) }),
  );
  const tick = () => inputs.forEach((input) => (input.checked = input.value === String(model.get(trait))));
  model.on("change:" + trait, tick);
  tick();
  return make(
    "fieldset",
    {},
    make("legend", {}, legend),
    ...options.map(([, label], i) => make("label", {}, inputs[i], label)),
  );
};

// A number on a slider; `say` words its value.
const slider = (label, model, trait, range, say = String) => {
  const input = make("input", {
    type: "range",
    ...range,
    "aria-label": label,
    oninput: () => put(model, trait, Number(input.value)),
  });
  const output = make("output", {});
  const show = () => {
    input.value = model.get(trait);
    output.textContent = say(model.get(trait));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  model.on("change:" + trait, show);
  show();
  return make("label", { class: "slider" }, label + " ", input, output);
};

const put = (model, trait, value) => {
  model.set(trait, value);
  model.save_changes();
};
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
