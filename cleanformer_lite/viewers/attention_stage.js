// Attention as numbers that glide from step to step: the rail, the board, and what a number is made of.
const MODES = ["loop", "split", "sliced"].map((mode) => [mode, mode]);
export default {
  render({ model, el }) {
    const names = ["words", "x", "weights", "biases", "heads", "mode", "step", "causal", "off", "cell"];
    const read = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const first = { x: model.get("x"), weights: model.get("weights") };
    let state = read(),
      all = compute(state),
      plan,
      shown = "q",
      pointed = null,
      focused = null,
      news = "",
      timer = null,
      width = 0;
    const steps = stepsOf(state);
    const at = () => steps.indexOf(state.step);
    const nodes = new Map();

    // The parts, from top to bottom.
    const rail = make("div", { class: "rail", role: "group", "aria-label": "Steps: arrow keys move" });
    const button = (text, act) => make("button", { onclick: act }, text);
    const back = button("← Back", () => go(at() - 1)),
      next = button("Next →", () => go(at() + 1)),
      playing = make("button", { class: "play", onclick: () => (timer ? pause() : start()) }, "▶ Play");
    const formula = make("span", { class: "formula", "aria-hidden": "true" });
    const line = make("p", { class: "caption" });
    const board = make("div", {
      class: "board",
      role: "group",
      "aria-label": "Numbers: arrow keys move, Enter keeps one, Escape lets it go",
    });
    const layer = make("div", { class: "layer" });
    const wires = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    wires.setAttribute("aria-hidden", "true");
    board.append(layer);
    layer.append(wires);
    const says = make("p", { class: "says", "aria-live": "polite" });
    const picker = make("div", { class: "viewer-row picker" });
    const edit = make("div", { class: "viewer-row edit" });
    const switches = make("div", { class: "viewer-row" });

    const go = (to) => put(model, "step", steps[Math.max(0, Math.min(steps.length - 1, to))]);
    const pause = () => {
      clearTimeout(timer);
      timer = null;
      playing.textContent = "▶ Play";
    };
    const onward = () => {
      if (at() === steps.length - 1 || !el.isConnected) return pause();
      go(at() + 1);
      timer = setTimeout(onward, 3200);
    };
    const start = () => {
      if (at() === steps.length - 1) go(0);
      playing.textContent = "❚❚ Pause";
      timer = setTimeout(onward, 1200);
    };

    // What is asked about: under the pointer, under the focus, kept, or the step's own example.
    const example = () => {
      const i = Math.min(2, all.L - 1),
        j = Math.min(1, all.L - 1);
      return {
        qkv: `${narrow() ? shown : "q"}.${j}.0`, scores: `s.0.${i}.${j}`, mask: `s.0.${i}.${j}`, softmax: `s.0.${i}.${j}`,
        values: `o.${i}.0`, W_O: `y.${i}.0`, output: `y.${i}.0`,
      }[state.step]; // prettier-ignore
    };
    const visible = (key) => key && plan.cells.get(key);
    const asked = () => [pointed, focused, state.cell].find(visible);
    const narrow = () => width < 600;

    // One node for each number, for each name and for each bracket; they glide and never change roles.
    const node = (key, make) => {
      if (!nodes.has(key)) {
        nodes.set(key, make());
        layer.append(nodes.get(key));
      }
      return nodes.get(key);
    };
    const tallest = (name) => {
      const others = { s: scoresAt(all, state.step), p: all.parts };
      const numbers = others[name] ?? (name[0] === "w" ? all.weights[name[1]] : (all[name] ?? [1]));
      return Math.max(0.1, ...numbers.flat(3).filter(isFinite).map(Math.abs));
    };
    const headsOf = (key) => {
      const [name, a, b] = key.split(".");
      if (all.H < 2 || "xy".includes(name)) return "";
      const head = "sp".includes(name) ? a : Math.floor((name === "wo" ? a : b) / all.D);
      return name === "bo" ? "" : ` h${head}` + (all.on(Number(head)) || !"sop".includes(name) ? "" : " silent");
    };
    const sub = (text) => {
      const [letter, low] = text.split("_");
      return low ? [letter, make("sub", {}, low)] : [text];
    };
    // Numbers of one decimal are written with one.
    const hasOneDecimal = (name) => {
      const numbers = name === "x" ? all.x : name[0] === "w" ? all.weights[name[1]] : [[0.01]];
      return numbers.flat().every((n) => Math.abs(n * 10 - Math.round(n * 10)) < 1e-6);
    };
    const placeCells = (compact, shares) => {
      const tops = {};
      for (const [key, spot] of plan.cells) {
        const [name] = key.split(".");
        const cell = node(key, () => make("button", { class: "spot", "data-key": key, tabindex: -1 }));
        if (!spot) continue;
        const value = valueOf(all, key, state.step),
          fresh =
            cell.dataset.at !== undefined && cell.dataset.value !== String(value) && cell.dataset.step === state.step;
        const top = (tops[name] ??= tallest(name));
        cell.dataset.value = value;
        cell.dataset.step = state.step;
        cell.dataset.at = spot;
        cell.className = `spot ${name}${headsOf(key)}${value === null ? " empty" : ""}${value === -Infinity ? " hidden" : ""}`;
        if (name === "s" && shares) cell.classList.add("share");
        cell.style.transform = `translate(${spot[0]}px, ${spot[1]}px)`;
        cell.style.setProperty("--p", `${value === null || value === -Infinity ? 0 : (100 * Math.abs(value)) / top}%`);
        const digits = compact || hasOneDecimal(name) ? 1 : 2;
        const number = String(value?.toFixed(digits) ?? "").replace("-", "−"),
          text = number.replace("Infinity", "∞").replace(/^−(0\.0+)$/, "$1");
        if (cell.textContent !== text) cell.textContent = text;
        cell.classList.toggle("long", text.length > 4);
        cell.setAttribute("aria-label", `${nameOf(key, all, state)}: ${value === null ? "nothing" : spoken(value, text)}`);
        if (fresh && !calm()) cell.animate([{ boxShadow: "0 0 0 4px var(--accent)" }, { boxShadow: "none" }], 1200);
      }
    };
    // Who speaks to the page says what can be seen on a button: its name has those very digits.
    const spoken = (value, text) => {
      const exact = short(value);
      if (exact === text) return exact;
      return Number(exact.replace("−", "-")) === Number(text.replace("−", "-")) ? text : `${exact}, rounded to ${text}`;
    };
    const placeRest = () => {
      for (const [key, { text, x, y, kind, w }] of plan.notes) {
        const note = node("note " + key, () => make("div", { class: "tag" }));
        note.className = "tag " + kind;
        note.replaceChildren(...sub(text));
        note.style.transform = `translate(${x}px, ${y}px)`;
        note.style.width = w ? w + "px" : "";
      }
      for (const [key, { head, x, y, w, h }] of plan.boxes) {
        const bracket = node("box " + key, () => make("div", { class: "bracket" }));
        bracket.className = `bracket h${head}`;
        bracket.style.cssText = `transform: translate(${x}px, ${y}px); width: ${w}px; height: ${h}px`;
      }
      for (const [key, one] of nodes) {
        const [kind, name] = key.split(/ (.*)/);
        const here = name ? plan[kind === "box" ? "boxes" : "notes"].has(name) : plan.cells.get(key);
        one.classList.toggle("gone", !here);
      }
    };
    // The camera shows all of a step, as large as it fits. The board keeps its height over the steps,
    // so that nothing below jumps; on a phone only while it plays.
    const heights = {};
    const aim = () => {
      const zoom = (one) => Math.min(1.35, width / one.width);
      const high = (one) => one.height * zoom(one);
      const highest = () => Math.max(...steps.map((step) => high(layout(step, state, all, narrow(), shown))));
      const height = Math.min(
        narrow() ? 560 : 400,
        narrow() && !timer ? high(plan) : (heights[width + state.mode] ??= highest()),
      );
      const scale = Math.max(Math.min(zoom(plan), height / plan.height), narrow() ? 0.7 : 0.6);
      board.style.height = `${height}px`;
      const spare = Math.max(0, (width - plan.width * scale) / 2);
      layer.style.transform = `translate(${spare - plan.left * scale}px, ${(height - plan.height * scale) / 2 - plan.top * scale}px) scale(${scale})`;
      return scale;
    };
    const wire = ([x, y], [u, v], head) => {
      const path = document.createElementNS(wires.namespaceURI, "path");
      path.setAttribute("d", `M${x},${y}C${x},${y + 40} ${u},${v - 40} ${u},${v}`);
      path.setAttribute("class", `h${head}`);
      return path;
    };
    const drawWires = (key) => {
      const ask = key?.[0] === "x" ? key.split(".").map(Number) : null;
      wires.replaceChildren();
      if (state.step !== "x") return;
      range(all.H).forEach((h) => {
        const pill = plan.notes.get(`pill.${h}`);
        if (!pill) return;
        const features = ask ? [ask[2]] : range(all.E);
        features
          .filter((e) => knows(all, h, e))
          .forEach((e) => {
            const [x, y] = plan.cells.get(`x.${ask ? ask[1] : all.L - 1}.${e}`);
            wires.append(wire([x + C / 2, y + C], [pill.x + 40 + (70 * (e + 0.5)) / all.E, pill.y], h));
          });
        const known = !ask || knows(all, h, ask[2]);
        const shown = nodes.get(`note pill.${h}`);
        shown.textContent = ask ? `head ${h} ${known ? "knows" : "cannot know"}` : pill.text;
        shown.classList.toggle("off", !known);
      });
    };
    const light = () => {
      const key = asked() ?? (visible(example()) ? example() : null),
        from = key ? madeOf(all, key, state.step).from.filter(visible) : [];
      // A number that comes from nothing on the board shows what comes from it.
      const lit = new Set(
        from.length || !key
          ? from
          : [...plan.cells.keys()].filter(
              (other) => visible(other) && madeOf(all, other, state.step).from.includes(key),
            ),
      );
      board.classList.toggle("asking", Boolean(asked()));
      layer.querySelectorAll(".lit, .asked").forEach((one) => one.classList.remove("lit", "asked"));
      for (const [other] of plan.cells) {
        const one = nodes.get(other);
        one.classList.toggle("lit", lit.has(other));
        one.classList.toggle("asked", other === key);
        one.tabIndex = -1;
      }
      const stop = visible(focused) ? focused : (asked() ?? key ?? [...plan.cells.keys()].find(visible));
      if (stop) nodes.get(stop).tabIndex = 0;
      drawWires(asked());
      says.textContent =
        news ||
        (key
          ? (asked() ? "" : "For example: ") + explain(key, all, state)
          : "Point at a number, tap it, or move to it by arrow keys: it tells what it is made of.");
    };
    const change = (key, value) => {
      const [name, ...at] = key.split("."),
        [a, b] = at.map(Number);
      if (!Number.isFinite(value)) return;
      const [i, j] = name === "x" ? [a, b] : [b, a];
      const swap = (matrix) =>
        matrix.map((row, r) => (r === i ? row.map((old, c) => (c === j ? +value.toFixed(6) : old)) : row));
      if (name === "x") put(model, "x", swap(state.x));
      else put(model, "weights", { ...state.weights, [name[1]]: swap(state.weights[name[1]]) });
    };
    const editable = (key) => key && /^(x|w.)\./.test(key) && valueOf(all, key, state.step) !== null;
    const drawEdit = () => {
      const key = [focused, state.cell].find((key) => visible(key) && editable(key));
      const value = key && valueOf(all, key, state.step);
      const by = (n) => () => change(key, value + n);
      const restore = () => (model.set("weights", first.weights), put(model, "x", first.x));
      redraw(
        edit,
        ...(key
          ? [
              "Change it: ",
              make("button", { "data-key": "less", "aria-label": "0.1 less", onclick: by(-0.1) }, "−"),
              make("input", {
                type: "number",
                step: 0.1,
                value: +value.toFixed(2),
                "data-key": "number",
                "aria-label": nameOf(key, all, state),
                onchange: (event) => change(key, event.target.valueAsNumber),
              }),
              make("button", { "data-key": "more", "aria-label": "0.1 more", onclick: by(0.1) }, "+"),
            ]
          : []),
        ...(state.x !== first.x || state.weights !== first.weights
          ? [
              make("button", { "data-key": "reset", onclick: restore }, "Numbers as at first"),
            ]
          : []),
      );
    };
    // Where the strip is too long for the page, its left end is the first step and its right end the last.
    const room = () => rail.scrollWidth - rail.clientWidth;
    const scrolls = () => room() > 10 * steps.length;
    const reached = () => Math.round((rail.scrollLeft / room()) * (steps.length - 1));
    const drawRail = () => {
      [...rail.children].forEach((one, i) => {
        one.tabIndex = i === at() ? 0 : -1;
        one.ariaCurrent = i === at() ? "step" : null;
      });
      if (scrolls() && reached() !== at()) rail.scrollLeft = (room() * at()) / (steps.length - 1);
      back.disabled = at() === 0;
      next.disabled = at() === steps.length - 1;
      formula.replaceChildren(
        ...FORMULA.filter(([text]) => state.weights.o || !text.includes("W_O")).map(([text, when, colour = ""]) =>
          make("span", { class: colour + (when.split(" ").includes(state.step) ? " now" : "") }, ...sub(text)),
        ),
      );
      line.textContent = caption(state.step, all, state);
    };
    const drawSwitches = () => {
      const tick = (label, key, checked, act) => {
        const box = make("input", { type: "checkbox", "data-key": key, onchange: act });
        box.checked = checked;
        return make("label", {}, box, label);
      };
      redraw(
        switches,
        tick("causal mask", "causal", state.causal, () => put(model, "causal", !state.causal)),
        ...(all.H > 1
          ? range(all.H).map((h) =>
              tick(`head ${h} speaks`, "head" + h, all.on(h), () =>
                put(model, "off", all.on(h) ? [...state.off, h].sort() : state.off.filter((other) => other !== h)),
              ),
            )
          : []),
      );
      picker.hidden = !narrow() || !"W qkv".split(" ").includes(state.step);
      const pick = (name) => () => ((shown = name), draw());
      redraw(
        picker,
        ...["query", "key", "value"].map((name) =>
          make(
            "button",
            { "data-key": "show" + name[0], "aria-pressed": String(name[0] === shown), onclick: pick(name[0]) },
            name,
          ),
        ),
      );
    };
    const draw = () => {
      state = read();
      all = compute(state);
      plan = layout(state.step, state, all, narrow(), shown);
      drawRail();
      const scale = aim(),
        compact = scale * 13 < 10.4;
      board.classList.toggle("compact", compact);
      placeCells(compact, ["softmax", "values"].includes(state.step));
      placeRest();
      light();
      drawEdit();
      drawSwitches();
    };

    // Arrow keys lead to the nearest number in that direction.
    const beside = (key, dx, dy) => {
      const [x, y] = plan.cells.get(key);
      const far = ([other, spot]) => {
        const along = (spot[0] - x) * dx + (spot[1] - y) * dy,
          aside = Math.abs((spot[0] - x) * dy) + Math.abs((spot[1] - y) * dx);
        return along > 1 ? [[along + 3 * aside, other]] : [];
      };
      const shown = [...plan.cells].filter(([, spot]) => spot);
      return shown.flatMap(far).sort((a, b) => a[0] - b[0])[0]?.[1];
    };
    const keyOf = (event) => event.target.closest?.(".spot")?.dataset.key ?? null;
    const ask = (kind, act) => board.addEventListener(kind, (event) => (act(event), (news = ""), light()));
    ask("pointerover", (event) => (pointed = event.pointerType === "mouse" ? keyOf(event) : null));
    ask("pointerleave", () => (pointed = null));
    ask("focusin", (event) => ((focused = keyOf(event)), (pointed = null), drawEdit()));
    board.addEventListener("focusout", () => (focused = null));
    board.addEventListener(
      "click",
      (event) => keyOf(event) && put(model, "cell", keyOf(event) === state.cell ? "" : keyOf(event)),
    );
    board.addEventListener("keydown", (event) => {
      const key = keyOf(event),
        way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (event.key === "Escape") put(model, "cell", "");
      if ("+-".includes(event.key) && editable(key))
        change(key, valueOf(all, key, state.step) + Number(event.key + "0.1"));
      if (!key || !way) return;
      event.preventDefault();
      const to = beside(key, ...way);
      if (to) nodes.get(to).focus();
    });
    rail.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at() + 1, ArrowLeft: at() - 1, Home: 0, End: steps.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(to);
      rail.children[at()].focus({ preventScroll: true });
    });
    rail.addEventListener("scroll", () => scrolls() && reached() !== at() && go(reached()));
    // A wheel that turns sideways picks a step; so does any wheel once the strip has the focus. At
    // either end the page scrolls on.
    let turned = 0;
    rail.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaX && scrolls()) return;
        const by = event.deltaX || (rail.matches(":focus-within") && event.deltaY),
          to = at() + Math.sign(by);
        if (!by || !steps[to]) return;
        event.preventDefault();
        turned += by;
        if (Math.abs(turned) < (event.deltaMode || 50)) return;
        turned = 0;
        pause();
        go(to);
      },
      { passive: false },
    );
    ["pointerdown", "keydown"].forEach((kind) =>
      el.addEventListener(kind, (event) => timer && event.target !== playing && pause()),
    );

    rail.append(
      ...steps.map((step, i) =>
        make("button", { "data-key": "step" + i, onclick: () => go(i) }, ...sub(LABELS[step] ?? step)),
      ),
    );
    frame(el);
    el.classList.add("attention-stage");
    el.append(
      make("div", { class: "viewer-row top" }, back, playing, next, formula),
      rail,
      line,
      board,
      picker,
      says,
      edit,
      make(
        "div",
        { class: "viewer-row below" },
        state.weights.o ? choice("Heads", MODES, model, "mode") : null,
        switches,
      ),
    );
    const measure = () => {
      if (board.clientWidth === width) return;
      width = board.clientWidth;
      draw();
    };
    measure();
    if (!width) draw();
    new ResizeObserver(measure).observe(board);
    for (const trait of names.filter((name) => name !== "mode"))
      model.on("change:" + trait, () => ((news = ""), draw()));
    model.on("change:mode", () => {
      const before = all;
      draw();
      const [changed, of] = changes(before, all);
      news = `${changed} of ${of} numbers changed` + (changed ? "." : ": only the brackets moved.");
      light();
    });
    if (model.get("play") && !calm()) {
      new IntersectionObserver(
        ([entry], seen) => {
          if (!entry.isIntersecting) return;
          seen.disconnect();
          if (!timer) start();
        },
        { threshold: 0.5 },
      ).observe(board);
    }
  },
};
