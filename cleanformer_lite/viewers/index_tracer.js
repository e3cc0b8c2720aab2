// The reader builds a recipe out of chips; every number can be followed through it, in the tensor
// and in memory.
const LABEL = { N: "sequence", L: "position", H: "head" };
const labelOf = (axis, i, outer, sizes) =>
  `${LABEL[axis] ?? "number"} ${axis === "L" ? LETTERS[outer * sizes.L + i] : i}`;
const colours = (cell, sizes) =>
  `--hue: ${rowOf(cell, sizes) * 79 + 30}; --head: ${Math.floor((cell % sizes.E) / sizes.D)}`;

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
      style: colours(cell, sizes),
      onclick: () => put(model, "followed", model.get("followed") === cell ? -1 : cell),
    },
    nameOf(cell, sizes) + (wrong ? "!" : ""),
  );
};

// Blocks of rows: the last axis runs along a row, the one before it down, the others are blocks.
const blocks = (t, model, sizes) =>
  eachIndex(t.shape.slice(0, -2)).map((outer) => {
    const title = outer
      .map((i, k) => (t.axes[k] === "N" && sizes.N === 1 ? "" : labelOf(t.axes[k], i, outer[0], sizes)))
      .filter(Boolean)
      .join(", ");
    return make(
      "div",
      { class: "block" },
      title ? make("div", { class: "title" }, title) : null,
      ...Array.from({ length: t.shape.at(-2) }, (_, row) =>
        make(
          "div",
          { class: "line" },
          // A position is its letter; the heading says the rest.
          make("span", { class: "row-name" }, labelOf(t.axes.at(-2), row, outer[0], sizes).replace("position ", "")),
          ...Array.from({ length: t.shape.at(-1) }, (_, column) =>
            cellButton(t, [...outer, row, column], model, sizes),
          ),
        ),
      ),
    );
  });

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

// From one number of memory an arrow for each axis, as long as its stride.
const svg = (tag, props, text = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(props).forEach(([key, value]) => node.setAttribute(key, value));
  node.append(text);
  return node;
};
const arrowsOver = (strip, t, cell) => {
  const bytes = strip.querySelectorAll(".byte"),
    index = eachIndex(t.shape).find((i) => t.memory[at(t, i)] === cell),
    from = bytes[at(t, index)];
  const drawn = t.strides
    .map((stride, axis) => ({ stride, axis, back: index[axis] + 1 === t.shape[axis] }))
    .filter(({ axis }) => t.shape[axis] > 1)
    .sort((a, b) => a.stride - b.stride)
    .flatMap(({ stride, axis, back }, rank) => {
      const to = bytes[at(t, index) + (back ? -stride : stride)];
      const middle = (node) => node.offsetLeft + node.offsetWidth / 2;
      const [x1, x2] = [middle(from), middle(to)],
        [y1, y2] = [from.offsetTop, to.offsetTop];
      const text = `${NAMES[t.axes[axis]]} ${back ? "−" : "+"}${stride}`,
        dot = svg("circle", { cx: x2, cy: y2 - 1, r: 3 });
      // Along a row an arc; from row to row a line, with its name beside its end.
      if (y1 !== y2) {
        const line = `M${x1 + 4 * rank},${y1}L${x2},${y2 - 2}`;
        return [svg("path", { d: line, class: "arrow" }), dot, svg("text", { x: x2 + 7, y: y2 - 5 }, text)];
      }
      const high = 10 + 17 * rank,
        arc = `M${x1},${y1}C${x1},${y1 - high * 1.3} ${x2},${y2 - high * 1.3} ${x2},${y2 - 2}`;
      return [
        svg("path", { d: arc, class: "arrow" }),
        dot,
        svg("text", { x: (x1 + x2) / 2, y: y1 - high - 2, "text-anchor": "middle" }, text),
      ];
    });
  const picture = svg("svg", { class: "strides", "aria-hidden": "true" });
  picture.append(...drawn);
  return picture;
};

export default {
  render({ model, el }) {
    const sizes = () => {
      const [N, L, H, D] = model.get("sizes");
      return { N, L, H, D, E: H * D };
    };
    const steps = () => stepsOfRecipe(model.get("recipe"), sizes());
    const current = () => Math.min(model.get("step"), steps().length - 1);
    const go = (step) => put(model, "step", Math.max(0, Math.min(steps().length - 1, step)));
    const cook = (recipe, step = recipe.length) => {
      model.set("recipe", recipe);
      put(model, "step", step);
    };
    const group = (label, kind) => make("div", { class: kind, role: "group", "aria-label": label });
    const chips = group("Chips: each adds a step", "viewer-row chips");
    const list = group("Your recipe: arrow keys move, Enter shows a step", "viewer-row recipe");
    const layout = make("p", { class: "mono tensor-layout" });
    const stage = group("Tensor: arrow keys move, Enter follows a number", "wide stage");
    const memory = make("div", { class: "memory", role: "img" });
    const lamp = make("p", { class: "lamp-line" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const listStop = arrows(list),
      cellStop = arrows(stage, () => steps()[current()].t.shape.at(-1));
    const undo = make("button", { onclick: () => cook(model.get("recipe").slice(0, -1)) }, "Undo");
    const clear = make("button", { onclick: () => cook([]) }, "Start again");
    const add = (chip) => cook([...model.get("recipe").slice(0, steps().length - 1), chip]);

    const drawRecipe = (all, step) => {
      const full = Boolean(all.at(-1).error) || all.length > model.get("most");
      redraw(
        chips,
        ...model
          .get("chips")
          .map((chip) =>
            make(
              "button",
              { class: "mono", "data-key": "chip" + chip, disabled: full, onclick: () => add(chip) },
              chip,
            ),
          ),
      );
      redraw(
        list,
        ...all.map(({ chip, error }, i) =>
          make(
            "button",
            {
              class: "mono" + (error ? " refused" : ""),
              "data-key": "step" + i,
              "aria-current": i === step && "step",
              onclick: () => go(i),
            },
            (i ? "" : "x") + (i ? chip : "") + (error ? " ✗" : ""),
          ),
        ),
      );
      listStop();
      undo.disabled = clear.disabled = all.length === 1;
    };
    const drawMemory = (t, s) => {
      const followed = model.get("followed"),
        cell = t.memory.includes(followed)
          ? followed
          : t.memory[
              at(
                t,
                t.shape.map(() => 0),
              )
            ];
      memory.replaceChildren(
        ...t.memory.map((other) =>
          make(
            "span",
            { class: "mono byte" + (other === followed ? " here" : ""), style: colours(other, s) },
            nameOf(other, s),
          ),
        ),
      );
      memory.setAttribute(
        "aria-label",
        `Memory, front to back: ${t.memory.map((other) => nameOf(other, s)).join(" ")}`,
      );
      // A row of memory holds whole positions, as many as fit, or an even part of one.
      const width = memory.firstChild.offsetWidth + 1,
        most = Math.max(1, Math.floor(memory.parentNode.clientWidth / width)),
        part = Array.from({ length: s.E }, (_, i) => s.E - i).find((size) => size <= most && s.E % size === 0),
        fit = most < s.E ? part : Math.floor(most / s.E) * s.E;
      memory.style.maxWidth = `${fit * width}px`;
      memory.append(arrowsOver(memory, t, cell));
    };
    const paint = () => {
      const all = steps(),
        step = current(),
        s = sizes(),
        { t } = all[step];
      drawRecipe(all, step);
      layout.textContent = `shape (${t.shape.join(", ")})   strides (${t.strides.join(", ")})   ${contiguous(t) ? "contiguous" : "not contiguous"}`;
      redraw(stage, ...blocks(t, model, s));
      drawMemory(t, s);
      const so = all.slice(0, step + 1),
        found = so.some(({ chip, error }) => chip === "attend" && !error) ? leak(t, s) : undefined,
        { text, mistake, good } = judge(so, s);
      lamp.textContent =
        found === undefined
          ? "○ Nothing has attended yet."
          : found
            ? `● The future leaks: position ${LETTERS[found[0]]} depends on ${LETTERS[found[1]]}.`
            : "○ No leak: no position depends on a later one.";
      lamp.classList.toggle("on", Boolean(found));
      const followed = model.get("followed");
      says.textContent = [
        (good ? "✓ " : mistake ? "✗ " : "") + text,
        mistake ? `The check calls this ${mistake}.` : "",
        t.memory.includes(followed) ? whereabouts(t, followed, s) : "",
      ]
        .filter(Boolean)
        .join(" ");
      cellStop();
    };
    const draw = () => glide(stage, paint);
    const resize = (axis, size) =>
      put(
        model,
        "sizes",
        model.get("sizes").map((old, i) => (i === axis ? size : old)),
      );
    const spinners = [2, 5, 4, 4].map((most, i) =>
      make(
        "select",
        { "aria-label": "size " + "NLHD"[i], onchange: (event) => resize(i, Number(event.target.value)) },
        ...Array.from({ length: most }, (_, n) => make("option", { value: n + 1 }, n + 1)),
      ),
    );
    const sized = () => spinners.forEach((spinner, i) => (spinner.value = model.get("sizes")[i]));

    frame(el);
    el.append(
      make(
        "p",
        {},
        "Build it: give each head its own slice of every position, attend, and put everything back to (N, L, E). A letter is a position of x, its shade the head that a number belongs to.",
      ),
      make(
        "div",
        { class: "viewer-row" },
        "Sizes:",
        ...spinners.map((spinner, i) => make("label", {}, "NLHD"[i] + " ", spinner)),
      ),
      make("p", { class: "title" }, "Add a step"),
      chips,
      make("p", { class: "title" }, "Your recipe"),
      list,
      make(
        "div",
        { class: "viewer-row" },
        undo,
        clear,
        "Or try:",
        ...Object.entries(model.get("recipes")).map(([name, recipe]) =>
          make("button", { onclick: () => cook(recipe) }, name),
        ),
      ),
      says,
      lamp,
      layout,
      stage,
      make(
        "p",
        {},
        make("strong", {}, "Memory, front to back."),
        " An arrow leads to the next along an axis. Its length is the stride.",
      ),
      make("div", { class: "wide" }, memory),
    );
    sized();
    paint();
    model.on("change:sizes", sized);
    for (const trait of ["recipe", "step", "followed", "sizes"]) model.on("change:" + trait, draw);
    let width = memory.parentNode.clientWidth;
    new ResizeObserver(() => {
      if (memory.parentNode.clientWidth === width) return;
      width = memory.parentNode.clientWidth;
      paint();
    }).observe(memory.parentNode);
  },
};
