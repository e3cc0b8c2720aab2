// Follows single numbers through view, transpose and reshape, in the right recipe and in two wrong ones.
const AXIS = { N: "sequence", L: "place", H: "head" };
const label = (axis, i, outer, sizes) => AXIS[axis] + " " + (axis === "L" ? LETTERS[outer * sizes.L + i] : i);

const cellButton = (t, index, model, sizes) => {
  const cell = t.memory[at(t, index)],
    wrong = cell !== promised(t, index, sizes);
  return make(
    "button",
    {
      class: "cell mono" + (wrong ? " stray" : ""),
      "data-key": "cell" + cell,
      "aria-pressed": String(model.get("followed") === cell),
      "aria-label": `${nameOf(cell, sizes)} at ${index.join(", ")}${wrong ? ", astray" : ""}`,
      style: `--hue: ${Math.floor(cell / sizes.E) * 79 + 30}`,
      onclick: () => put(model, "followed", cell),
    },
    nameOf(cell, sizes) + (wrong ? "!" : ""),
  );
};

// Blocks of rows: the last axis runs along a row, the one before it down, the others are blocks.
const blocks = (t, model, sizes) => {
  const rows = t.shape.at(-2),
    outer = eachIndex(t.shape.slice(0, -2));
  return outer.map((head) => {
    const title = head
      .map((i, k) => (k === 0 && sizes.N === 1 ? "" : label(t.axes[k], i, head[0], sizes)))
      .filter(Boolean)
      .join(", ");
    return make(
      "div",
      { class: "block" },
      title ? make("div", { class: "title" }, title) : null,
      ...Array.from({ length: rows }, (_, row) =>
        make(
          "div",
          { class: "line" },
          make("span", { class: "row-name" }, label(t.axes.at(-2), row, head[0], sizes)),
          ...Array.from({ length: t.shape.at(-1) }, (_, column) => cellButton(t, [...head, row, column], model, sizes)),
        ),
      ),
    );
  });
};

// Cells glide from where they stood, unless the reader asked for calm.
const glide = (stage, paint) => {
  const spots = () => new Map([...stage.querySelectorAll(".cell")].map((node) => [node.dataset.key, node]));
  const before = new Map([...spots()].map(([key, node]) => [key, node.getBoundingClientRect()]));
  paint();
  if (calm()) return;
  for (const [key, node] of spots()) {
    const old = before.get(key),
      now = node.getBoundingClientRect();
    if (old)
      node.animate([{ transform: `translate(${old.x - now.x}px, ${old.y - now.y}px)` }, { transform: "none" }], {
        duration: 450,
        easing: "ease-in-out",
      });
  }
};

export default {
  render({ model, el }) {
    const sizes = () => {
      const [N, L, H, D] = model.get("sizes");
      return { N, L, H, D, E: H * D };
    };
    const steps = () => recipe(model.get("recipe"), sizes());
    const current = () => Math.min(model.get("step"), steps().length - 1);
    const go = (step) => put(model, "step", Math.max(0, Math.min(steps().length - 1, step)));
    const list = make("div", { class: "viewer-row", role: "group", "aria-label": "Steps" });
    const back = make("button", { onclick: () => go(current() - 1) }, "← Back");
    const next = make("button", { onclick: () => go(current() + 1) }, "Next →");
    const facts = make("p", { class: "mono facts" });
    const stage = make("div", {
      class: "wide stage",
      role: "group",
      "aria-label": "Tensor: arrow keys move, Enter follows a number",
    });
    const memory = make("div", {
      class: "wide memory",
      role: "group",
      "aria-label": "Memory, front to back",
      tabindex: 0,
    });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const stepStop = arrows(list),
      cellStop = arrows(stage, () => steps()[current()][1].shape.at(-1));

    const paint = () => {
      const all = steps(),
        step = current(),
        s = sizes(),
        [, t, note] = all[step];
      redraw(
        list,
        ...all.map(([code], i) =>
          make(
            "button",
            { class: "mono", "data-key": "step" + i, "aria-current": i === step && "step", onclick: () => go(i) },
            `${i} ${code}`,
          ),
        ),
      );
      back.disabled = step === 0;
      next.disabled = step === all.length - 1;
      facts.textContent = `shape (${t.shape.join(", ")})   strides (${t.strides.join(", ")})   ${contiguous(t) ? "contiguous" : "not contiguous"}`;
      redraw(stage, ...blocks(t, model, s));
      const followed = model.get("followed");
      memory.replaceChildren(
        ...t.memory.map((cell) =>
          make(
            "span",
            {
              class: "mono byte" + (cell === followed ? " here" : ""),
              style: `--hue: ${Math.floor(cell / s.E) * 79 + 30}`,
            },
            nameOf(cell, s),
          ),
        ),
      );
      says.textContent = [note, sentence(t, s), t.memory.includes(followed) ? whereabouts(t, followed, s) : ""].join(
        " ",
      );
      stepStop();
      cellStop();
    };
    const draw = () => glide(stage, paint);
    const resize = (axis, size) =>
      put(
        model,
        "sizes",
        model.get("sizes").map((old, i) => (i === axis ? size : old)),
      );
    const spinners = [
      ["N", 2],
      ["L", 5],
      ["H", 4],
      ["D", 4],
    ].map(([axis, most], i) =>
      make(
        "select",
        { "aria-label": "size " + axis, onchange: (event) => resize(i, Number(event.target.value)) },
        ...Array.from({ length: most }, (_, n) => make("option", { value: n + 1 }, n + 1)),
      ),
    );
    const sized = () => spinners.forEach((spinner, i) => (spinner.value = model.get("sizes")[i]));

    frame(el);
    el.append(
      choice(
        "Recipe",
        [
          ["right", "right"],
          ["bare view", "bare view"],
          ["bare merge", "merge without transposing back"],
        ],
        model,
        "recipe",
      ),
      make(
        "div",
        { class: "viewer-row" },
        "Sizes:",
        ...spinners.map((spinner, i) => make("label", {}, "NLHD"[i] + " ", spinner)),
      ),
      list,
      make("div", { class: "viewer-row" }, back, next),
      facts,
      stage,
      make("p", {}, "Memory, front to back:"),
      memory,
      says,
    );
    sized();
    paint();
    model.on("change:sizes", sized);
    for (const trait of ["recipe", "step", "followed", "sizes"]) model.on("change:" + trait, draw);
  },
};
