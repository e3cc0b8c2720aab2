// Attention as numbers that glide from step to step: the rail, the board, and what a number is made of.
const TRAITS = "words x weights biases heads mode causal off step cell".split(" ");
const options = (text) => text.split(" ").map((one) => [one, one]);
const svg = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
};
// "W_Q" with its letter below.
const sub = (text) => text.split("_").map((part, i) => (i ? make("sub", {}, part) : part));

export default {
  render({ model, el }) {
    const first = { x: model.get("x"), weights: model.get("weights") };
    let state, all, plans, plan, timer, fading, resting, pointed, news, room, stop, width = 0, shown = "query"; // prettier-ignore
    const read = () => (state = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)])));
    const { weights, heads } = read();
    const narrow = () => width < 600;
    const steps = STEPS.filter((step) => weights.o || !/split|merge|W_O|output/.test(step));
    const at = () => steps.indexOf(state.step);
    const go = (to) => steps[to] && put(model, "step", steps[to]);

    // Steps that follow each other, until the reader touches something.
    const pause = () => {
      timer = clearTimeout(timer);
      play.textContent = "▶ Play";
    };
    const onward = () => {
      if (!steps[at() + 1] || !el.isConnected) return pause();
      timer = setTimeout(onward, 3200);
      go(at() + 1);
    };
    const start = () => {
      timer = setTimeout(onward, 1200);
      play.textContent = "❚❚ Pause";
      if (!steps[at() + 1]) go(0);
    };

    // The parts, from top to bottom.
    const button = (text, onclick, more) => make("button", { onclick, ...more }, ...sub(text));
    const row = (...children) => make("div", { class: "viewer-row" }, ...children);
    const back = button("← Back", () => go(at() - 1)),
      next = button("Next →", () => go(at() + 1)),
      play = button("▶ Play", () => (timer ? pause() : start()), { class: "play" });
    const formula = make("span", { class: "formula", "aria-hidden": "true" });
    for (const [text, when, colour = ""] of FORMULA)
      if (weights.o || !text.includes("W")) formula.append(make("span", { class: colour, "data-when": when }, ...sub(text)));
    const rail = make(
      "div",
      { class: "rail", role: "group", "aria-label": "Steps: arrow keys or the wheel move" },
      ...steps.map((step, i) => button(LABELS[step] ?? step, () => go(i), { "data-key": step })),
    );
    const caption = make("p", { class: "caption" });
    const wires = svg("svg", { "aria-hidden": "true" }),
      layer = make("div", { class: "layer" }, wires);
    const label = "Numbers: arrow keys move, plus and minus change, Escape lets go";
    const board = make("div", { class: "board", role: "group", "aria-label": label }, layer);
    const says = make("p", { class: "says", "aria-live": "polite" });
    const local = { get: () => shown, set: (_, name) => (shown = name), on() {}, save_changes: () => renew() };
    const picker = choice("Show", options("query key value"), local, "shown");
    const number = make("input", { type: "number", step: 0.1, onchange: () => change(number.valueAsNumber) });
    const by = (n) => () => change(valueNow() + n);
    const edit = row(
      "Change it: ",
      button("−", by(-0.1), { "aria-label": "0.1 less" }),
      number,
      button("+", by(0.1), { "aria-label": "0.1 more" }),
    );
    const reset = button("Numbers as at first", () => {
      model.set("weights", first.weights);
      put(model, "x", first.x);
    });
    const edits = row(edit, reset);
    const ticks = [];
    const tick = (label, is, act) => {
      const box = make("input", { type: "checkbox", onchange: act });
      ticks.push(() => (box.checked = is()));
      return make("label", {}, box, label);
    };
    const speaks = (h) =>
      tick(`head ${h} speaks`, () => all.on(h), () =>
        put(model, "off", all.on(h) ? [...state.off, h].sort() : state.off.filter((other) => other !== h)),
      ); // prettier-ignore
    const switches = row(
      weights.o && choice("Heads", options("loop split sliced"), model, "mode"),
      tick("causal mask", () => state.causal, () => put(model, "causal", !state.causal)),
      ...(heads > 1 ? range(heads).map(speaks) : []),
    ); // prettier-ignore

    // One node for each part of a tensor, each name and each bracket: they glide, and never change roles.
    const nodes = new Map(),
      cells = new Map();
    const nodeOf = (id, create) => {
      if (!nodes.has(id)) nodes.set(id, layer.appendChild(create()));
      return nodes.get(id);
    };
    const move = (node, { x, y }) => (node.style.translate = `${x}px ${y}px`);
    const blockOf = (key, { name, first: [top, left], turned, ...box }) =>
      nodeOf("blocks " + key, () => {
        const [w, h] = turned ? [box.h, box.w] : [box.w, box.h];
        const block = make("div", { class: "gone", style: `width: ${w}px; height: ${h}px` });
        const [bracket, title] = [make("i", { class: "bracket" }), make("b")];
        const own = range(h / C).flatMap((i) =>
          range(w / C).map((j) => {
            const key = `${name}.${top + i}.${left + j}`;
            const cell = make("button", { "data-key": key, tabindex: -1, style: `--i: ${i}; --j: ${j}` });
            cells.set(key, cell);
            return cell;
          }),
        );
        block.append(bracket, title, ...own);
        return Object.assign(block, { own, bracket, heading: title });
      });
    const write = (value, digits) =>
      value === null ? "" : value === -Infinity ? "−∞" : value.toFixed(digits).replace(/^-(0\.0+$)?/, (_, nil) => nil ?? "−");
    // Who speaks to the page says what can be seen on a button: its name has those very digits.
    const spoken = (value, text) => {
      const exact = short(value);
      if (exact === text) return exact;
      return Number(exact.replace("−", "-")) === Number(text.replace("−", "-")) ? text : `${exact}, rounded to ${text}`;
    };
    const fill = (block, { name }, step, compact) => {
      const kind = kindAt(name, step),
        before = block.filled ?? {};
      if (before.all === all && before.kind === kind && before.compact === compact) return;
      block.filled = { all, kind, compact };
      const { top, oneDecimal } = rangeOf(all, kind);
      for (const cell of block.own) {
        const { key, value: old } = cell.dataset;
        const value = all.valueOf(kindAt(key, step)),
          text = write(value, compact || oneDecimal ? 1 : 2);
        if (cell.textContent !== text) cell.textContent = text;
        cell.ariaLabel = `${nameOf(key, all, { ...state, step })}: ${value === null ? "nothing" : spoken(value, text)}`;
        cell.dataset.value = value;
        cell.style.setProperty("--p", `${Number.isFinite(value) ? (100 * Math.abs(value)) / top : 0}%`);
        const fresh = before.kind === kind && String(value) !== old;
        cell.className = `spot${value === -Infinity ? " hidden" : ""}${text.length > 4 ? " long" : ""}${fresh ? " fresh" : ""}`;
        if (fresh) fading ??= setTimeout(fade, 1200);
      }
    };
    const fade = () => {
      fading = null;
      layer.querySelectorAll(".fresh").forEach((one) => one.classList.remove("fresh"));
    };
    const dress = (block, { name, head, empty, turned, bracket, x, y, title = "", where = "" }) => {
      const share = name[0] === "s" && /softmax|values/.test(plan.step),
        silent = /^[sop]/.test(name) && head >= 0 && !all.on(head);
      const is = Object.entries({ share, silent, empty, turned, compact: block.filled.compact, whole: plan.whole });
      block.className = `block ${name.split(".")[0]} h${head} ${is.map(([which, so]) => (so ? which : "")).join(" ")}`;
      block.bracket.hidden = !bracket;
      if (bracket)
        block.bracket.style.cssText = `left: ${bracket.x - x}px; top: ${bracket.y - y}px; width: ${bracket.w}px; height: ${bracket.h}px`;
      block.heading.className = where;
      block.heading.replaceChildren(...sub(title));
    };
    const place = () => {
      for (const [key, one] of plan.blocks) {
        const block = blockOf(key, one);
        // A change of digits waits until nothing moves.
        fill(block, one, plan.step, block.filled?.compact ?? plan.compact);
        dress(block, one);
        move(block, one);
      }
      for (const [key, one] of plan.notes) {
        const note = nodeOf("notes " + key, () => make("div"));
        note.className = "tag " + one.kind;
        note.replaceChildren(...[one.text].flat().map((text) => make("span", {}, text)));
        note.style.width = `${one.w}px`;
        move(note, one);
      }
      for (const [id, node] of nodes) {
        const [kind, key] = id.split(/ (.*)/);
        if (!plan[kind].has(key)) node.classList.add("gone");
      }
      clearTimeout(resting);
      if (calm()) rest();
      else resting = setTimeout(rest, 800);
    };
    const rest = () => {
      for (const [key, one] of plan.blocks) {
        const block = blockOf(key, one);
        fill(block, one, plan.step, plan.compact);
        block.classList.toggle("compact", plan.compact);
      }
    };

    // What is asked about: under the pointer, kept by a tap or the focus, or the step's own example.
    const visible = (key) => plan.spots.has(key);
    const asked = () => [pointed, state.cell].find(visible);
    const example = () => {
      const [i, j] = [2, 1].map((n) => Math.min(n, all.L - 1));
      const share = `s.0.${i}.${j}`;
      return {
        qkv: `${narrow() ? shown[0] : "q"}.${j}.0`, scores: share, mask: share, softmax: share,
        values: `o.${i}.0`, W_O: `y.${i}.0`, output: `y.${i}.0`,
      }[state.step]; // prettier-ignore
    };
    const light = () => {
      const known = asked(),
        key = known ?? example();
      const from = (key) => sourcesOf(all, kindAt(key, state.step)).filter(visible);
      // A number that comes from nothing on the board shows what comes from it.
      let lit = key ? from(key) : [];
      if (known && !lit.length) lit = [...plan.spots.keys()].filter((other) => from(other).includes(key));
      for (const [name, keys] of Object.entries({ lit, asked: key ? [key] : [] })) {
        const now = new Set(keys.map((one) => cells.get(one)));
        for (const one of layer.querySelectorAll("." + name)) if (!now.has(one)) one.classList.remove(name);
        for (const one of now) one.classList.add(name);
      }
      board.classList.toggle("asking", Boolean(known));
      if (stop) stop.tabIndex = -1;
      stop = cells.get(visible(state.cell) ? state.cell : (key ?? plan.spots.keys().next().value));
      if (stop) stop.tabIndex = 0;
      drawWires(known);
      says.textContent =
        news ||
        (key
          ? (known ? "" : "For example: ") + explain(key, all, state)
          : "Point at a number, tap it, or move to it by arrow keys: it tells what it is made of.");
      drawEdit();
    };
    // At the step of x: from its numbers to the heads that can know them.
    const drawWires = (key) => {
      wires.replaceChildren();
      const [word, feature] = key?.[0] === "x" ? parse(key).slice(1) : [all.L - 1];
      for (const h of range(all.H)) {
        const pill = plan.notes.get(`pill${h}`);
        if (!pill) return;
        const known = (feature === undefined ? range(all.E) : [feature]).filter((e) => knows(all, h, e));
        for (const e of known) {
          const [x, y] = plan.spots.get(`x.${word}.${e}`).map((n, i) => n + C / (2 - i));
          const u = pill.x + 40 + (70 * (e + 0.5)) / all.E;
          wires.append(svg("path", { d: `M${x},${y}C${x},${y + 40} ${u},${pill.y - 40} ${u},${pill.y}`, class: `h${h}` }));
        }
        const note = nodes.get(`notes pill${h}`);
        note.textContent = pill.text + (feature === undefined ? "" : known.length ? " knows" : " cannot know");
        note.classList.toggle("off", !known.length);
      }
    };

    // Numbers of x and of weights can be changed.
    const edited = () => visible(state.cell) && /^(x|w.)\./.test(state.cell) && valueNow() !== null;
    const valueNow = () => all.valueOf(state.cell);
    const change = (value) => {
      if (!edited() || !Number.isFinite(value)) return;
      const [name, a, b] = parse(state.cell);
      const [i, j] = name === "x" ? [a, b] : [b, a];
      const swap = (matrix) => matrix.map((row, r) => (r === i ? row.with(j, +value.toFixed(6)) : row));
      if (name === "x") put(model, "x", swap(state.x));
      else put(model, "weights", { ...state.weights, [name[1]]: swap(state.weights[name[1]]) });
    };
    const drawEdit = () => {
      edit.hidden = !edited();
      reset.hidden = state.x === first.x && state.weights === first.weights;
      if (edit.hidden) return;
      number.value = +valueNow().toFixed(2);
      number.ariaLabel = nameOf(state.cell, all, state);
    };

    // The camera shows all of a step, as large as it fits. The board keeps its height over the steps,
    // so that nothing below jumps; on a phone only while it plays.
    const aim = (plan) => {
      const most = narrow() ? 560 : 400;
      plan.scale = Math.max(Math.min(1.35, width / plan.w, most / plan.h), narrow() ? 0.7 : 0.6);
      plan.compact = plan.scale * 13 < 10.4;
      plan.high = plan.h * plan.scale;
      plan.spots = new Map(spotsOf(plan));
      return plan;
    };
    const draw = (message = "") => {
      news = message;
      read();
      plan = plans[at()];
      const { scale, high, x, y, w } = plan;
      if (room > 99 && reached() !== at()) rail.scrollLeft = (room * at()) / (steps.length - 1);
      [...rail.children].forEach((one, i) => {
        one.tabIndex = i === at() ? 0 : -1;
        one.ariaCurrent = i === at() ? "step" : null;
      });
      back.disabled = !at();
      next.disabled = !steps[at() + 1];
      for (const one of formula.children) one.classList.toggle("now", one.dataset.when.split(" ").includes(state.step));
      caption.textContent = captionOf(state.step, all, state);
      const height = narrow() && !timer ? high : Math.max(...plans.map((one) => one.high));
      board.style.height = `${height}px`;
      // What is hidden may stand outside the board, and would give it a scroll bar.
      board.style.overflow = w * scale > width + 1 ? "auto hidden" : "clip";
      move(layer, { x: Math.max(0, (width - w * scale) / 2) - x * scale, y: (height - high) / 2 - y * scale });
      layer.style.scale = scale;
      place();
      light();
      ticks.forEach((tick) => tick());
      picker.hidden = !narrow() || !/W|qkv/.test(state.step) || state.step === "W_O";
    };
    // All numbers anew. What has not been seen yet waits where it will come in.
    const renew = () => {
      const [before, mode] = [all, state.mode];
      all = compute(read());
      plans = steps.map((step) => aim(layout(step, state, all, narrow(), shown[0])));
      const waiting = new Map([...plans].reverse().flatMap((plan) => [...plan.blocks].map(([key, one]) => [key, [one, plan]])));
      for (const [key, [one, plan]] of waiting) {
        const block = blockOf(key, one);
        if (!block.matches(".gone")) continue;
        move(block, one);
        fill(block, one, plan.step, plan.compact);
      }
      if (!before || mode === state.mode) return draw();
      const [changed, of] = changes(before, all);
      draw(`${changed} of ${of} numbers changed` + (changed ? "." : ": only the brackets moved."));
    };

    // Pointer, tap and focus ask about a number; arrow keys lead to the nearest one in their direction.
    const keyOf = ({ target }) => target.closest(".spot")?.dataset.key ?? "";
    const point = (key) => {
      if (key === pointed) return;
      pointed = key;
      news = "";
      light();
    };
    const keep = (key) => {
      pointed = news = "";
      if (key === state.cell) light();
      else put(model, "cell", key);
    };
    const beside = (key, dx, dy) => {
      const [x, y] = plan.spots.get(key);
      const far = ([other, spot]) => {
        const [across, down] = [spot[0] - x, spot[1] - y];
        const along = across * dx + down * dy;
        return along > 1 ? [[along + 3 * (Math.abs(across * dy) + Math.abs(down * dx)), other]] : [];
      };
      return [...plan.spots].flatMap(far).sort((a, b) => a[0] - b[0])[0]?.[1];
    };
    const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const on = (node, kind, act, how) => node.addEventListener(kind, act, how);
    on(board, "pointerover", (event) => event.pointerType === "mouse" && point(keyOf(event)));
    on(board, "pointerleave", () => point(""));
    on(board, "focusin", (event) => keep(keyOf(event)));
    on(board, "click", (event) => keep(keyOf(event)));
    // Browsers scroll to what has the focus, though nothing is out of sight once it has arrived.
    on(board, "scroll", () => board.scrollTop && (board.scrollTop = 0));
    on(board, "keydown", (event) => {
      const way = ARROWS[event.key],
        to = way && beside(keyOf(event), ...way);
      if (event.key === "Escape") keep("");
      if ("+-".includes(event.key)) change(valueNow() + Number(event.key + "0.1"));
      if (way) event.preventDefault();
      if (to) cells.get(to).focus();
    });
    on(rail, "keydown", (event) => {
      const to = { ArrowRight: at() + 1, ArrowLeft: at() - 1, Home: 0, End: steps.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(to);
      rail.children[at()].focus({ preventScroll: true });
    });
    // Where the strip is too long for the page, its left end is the first step and its right end the last.
    const reached = () => Math.round((rail.scrollLeft / room) * (steps.length - 1));
    on(rail, "scroll", () => room > 99 && reached() !== at() && go(reached()));
    // A wheel turns the steps if the pointer was brought to the strip, or the focus: a page on its way
    // past scrolls on. So it does at either end, once the wheel has rested.
    let brought = false, turned = 0, last = 0; // prettier-ignore
    on(rail, "pointermove", (event) => (brought ||= event.movementX || event.movementY));
    on(rail, "pointerleave", () => (brought = false));
    on(
      rail,
      "wheel",
      (event) => {
        const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
        if (sideways ? room > 99 : !brought && !rail.matches(":focus-within")) return;
        const by = sideways ? event.deltaX : event.deltaY,
          to = at() + Math.sign(by);
        if (!steps[to] && event.timeStamp - last > 400) return;
        event.preventDefault();
        last = event.timeStamp;
        turned += by;
        if (Math.abs(turned) < (event.deltaMode || 50)) return;
        turned = 0;
        pause();
        go(to);
      },
      { passive: false },
    );
    for (const kind of ["pointerdown", "keydown"]) on(el, kind, ({ target }) => timer && target !== play && pause());

    frame(el);
    el.classList.add("attention-stage");
    const top = row(back, play, next, formula);
    top.classList.add("top");
    edits.classList.add("edit");
    el.append(top, rail, caption, board, picker, says, edits, switches);
    const measure = () => {
      if (board.clientWidth === width && plan) return;
      width = board.clientWidth;
      room = rail.scrollWidth - rail.clientWidth;
      renew();
    };
    measure();
    new ResizeObserver(measure).observe(board);
    for (const trait of TRAITS.slice(0, -2)) model.on("change:" + trait, () => renew());
    model.on("change:step", () => draw());
    model.on("change:cell", () => light(read()));
    if (model.get("play") && !calm())
      new IntersectionObserver(
        ([entry], seen) => {
          if (!entry.isIntersecting) return;
          seen.disconnect();
          if (!timer) start();
        },
        { threshold: 0.5 },
      ).observe(board);
  },
};
