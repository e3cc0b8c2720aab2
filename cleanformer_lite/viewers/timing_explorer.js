// Recorded times on one log chart: draw your guess for the loop, reveal, then pick heads, length and direction.
export default {
  render({ model, el }) {
    const HEIGHT = 300, TOP = 14, BOTTOM = 40, LEFT = 52, RIGHT = 108;
    const svg = (tag, props, ...children) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      Object.entries(props).forEach(([key, value]) => node.setAttribute(key, value));
      node.append(...children);
      return node;
    };
    const at = (heads, length = model.get("length")) =>
      model.get("times")[[model.get("direction"), length, heads].join("|")] ?? [];
    const find = (heads, name) => at(heads).find((one) => one.name === name);
    const number = (x) => (x >= 10 ? x.toFixed(0) : x.toFixed(2));
    const times = (x) => (x ? number(x) + " times" : "not guessed");
    const unit = (s) => (s >= 1 ? s + " s" : s >= 1e-3 ? +(s * 1e3).toPrecision(3) + " ms" : +(s * 1e6).toPrecision(3) + " us");
    // The scale takes in every recorded time, so it is the same at every length and in both directions.
    const every = Object.values(model.get("times")).flat();
    const lowest = Math.log10(Math.min(...every.map((one) => one.floor ?? one.seconds))) - 0.2;
    const highest = Math.log10(Math.max(...every.map((one) => one.seconds))) + 0.1;
    const heads = model.get("heads");
    const [base, loop] = ["baseline", "loop"].map((name) => model.get(name));
    let width = 640;
    const x = (count) => LEFT + ((width - LEFT - RIGHT) * Math.log2(count / heads[0])) / Math.max(1, Math.log2(heads.at(-1) / heads[0]));
    const y = (seconds) => TOP + ((HEIGHT - TOP - BOTTOM) * (highest - Math.log10(seconds))) / (highest - lowest);
    const secondsAt = (top) => 10 ** (highest - ((top - TOP) * (highest - lowest)) / (HEIGHT - TOP - BOTTOM));

    // A slider over the recorded values: it moves from one to the next, and says the value.
    const pick = (label, trait, values) => {
      const input = make("input", {
        type: "range",
        min: 0,
        max: values.length - 1,
        step: 1,
        "aria-label": label,
        "data-key": trait,
        oninput: () => put(model, trait, values[Number(input.value)]),
      });
      const output = make("output", {});
      const show = () => {
        input.value = values.indexOf(model.get(trait));
        output.textContent = String(model.get(trait));
        input.setAttribute("aria-valuetext", output.textContent);
      };
      model.on("change:" + trait, show);
      show();
      return make("label", { class: "slider" }, label + " ", input, output);
    };
    const line = (name, dash) => {
      const points = heads.map((count) => [count, find(count, name)]).filter(([, one]) => one);
      if (!points.length) return [];
      const places = points.map(([count, one]) => `${x(count).toFixed(1)},${y(one.seconds).toFixed(1)}`);
      const ours = name === loop;
      return [
        svg("polyline", {
          class: "time-line", "data-name": name, points: places.join(" "), fill: "none",
          stroke: ours ? "var(--accent)" : "var(--ink)", "stroke-width": ours ? 3 : 1.6, "stroke-dasharray": dash,
        }),
        { name, top: y(points.at(-1)[1].seconds) },
      ];
    };
    // Names stand at the end of their lines, pushed apart where lines meet.
    const names = (ends) => {
      let last = -Infinity;
      return ends
        .sort((a, b) => a.top - b.top)
        .map(({ name, top }) => {
          last = Math.max(top + 4, last + 14);
          return svg("text", { x: width - RIGHT + 8, y: last, "font-weight": name === loop ? 700 : 400 }, name);
        });
    };
    const grid = () => {
      const parts = [];
      for (let power = Math.ceil(lowest); power <= highest; power++)
        parts.push(
          svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(10 ** power), y2: y(10 ** power), stroke: "var(--line)", "stroke-opacity": 0.4 }),
          svg("text", { x: LEFT - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, unit(10 ** power)),
        );
      for (const count of heads) parts.push(svg("text", { x: x(count), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(count)));
      parts.push(svg("text", { x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "heads"));
      return parts;
    };
    const ground = () => {
      const floor = at(model.get("head_count"))[0]?.floor;
      if (!floor) return [];
      const top = y(floor);
      return [
        svg("rect", { class: "floor", x: LEFT, y: top, width: width - LEFT - RIGHT, height: HEIGHT - BOTTOM - top, fill: "var(--line)", "fill-opacity": 0.3 }),
        svg("text", { x: width - RIGHT - 6, y: Math.min(HEIGHT - BOTTOM - 4, top + 15), "text-anchor": "end" }, "floor"),
      ];
    };
    const guessed = () => {
      const from = find(model.get("head_count"), base);
      if (!from) return [];
      const guess = model.get("guess"), left = x(model.get("head_count")), top = y(from.seconds * (guess || 1));
      if (!guess && model.get("revealed")) return [];
      const room = left + 92 < width - RIGHT;
      return [
        svg("line", { x1: left, x2: left, y1: y(from.seconds), y2: top, stroke: "var(--alarm)", "stroke-width": 2, "stroke-dasharray": "3 3" }),
        svg("circle", { class: "guess", cx: left, cy: top, r: 9, fill: "var(--ground)", stroke: "var(--alarm)", "stroke-width": 3 }),
        svg("text", { x: left + (room ? 14 : -14), y: top - 10, "text-anchor": room ? "start" : "end", "font-weight": 700, stroke: "var(--ground)", "stroke-width": 4, "paint-order": "stroke" }, guess ? "your guess" : "drag me"),
      ];
    };
    const DASHES = ["", "6 3", "", "2 3", "9 3 2 3"];
    const chart = () => {
      const revealed = model.get("revealed");
      const drawn = (revealed ? model.get("names") : [base]).map((name) => line(name, DASHES[model.get("names").indexOf(name) % DASHES.length])).filter((one) => one.length);
      return svg(
        "svg",
        { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": "Chart of recorded times", "font-size": 12, fill: "var(--ink)", style: "width: auto; max-width: none; touch-action: none; cursor: crosshair" },
        ...ground(), ...grid(), ...drawn.map(([path]) => path), ...names(drawn.map(([, end]) => end)), ...guessed(),
      );
    };
    const fact = (one) =>
      make("tr", {}, make("th", { scope: "row" }, one.name), ...[number(one.ratio[1]), one.time, one.operators ?? "", one.memory, one.floors ?? ""].map((text) => make("td", {}, String(text))));
    const heading = ["", "relative to " + base, "time", "operators", "memory", "relative to floor"];
    const says = make("p", { class: "says", "aria-live": "polite" });
    const picture = make("div", { class: "chart" });
    const board = make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Times of all variants" });
    const reveal = make("button", { "data-key": "reveal", onclick: () => put(model, "revealed", !model.get("revealed")) });
    const skip = make("button", { onclick: () => put(model, "revealed", true) }, "Just show me");
    const guess = slider("The loop takes", model, "guess", { min: 0.5, max: 40, step: 0.5 }, times);
    const draw = () => {
      const revealed = model.get("revealed"), count = model.get("head_count"), all = at(count), looped = find(count, loop);
      const where = `${count} heads, length ${model.get("length")}, ${model.get("direction")}`;
      reveal.textContent = revealed ? "Hide again" : "Reveal";
      reveal.disabled = !revealed && !model.get("guess");
      skip.hidden = !reveal.disabled;
      guess.querySelector("input").classList.toggle("unset", !model.get("guess"));
      says.textContent = !all.length
        ? `${where}: not measured.`
        : !revealed
          ? `${where}. How many times the ${base} module's time does the loop take? Drag the ring to your guess, then reveal.`
          : looped
            ? `${where}: the loop takes ${times(looped.ratio[1])} the ${base} module's time (${looped.ratio[0]} to ${looped.ratio[2]}). ${model.get("guess") ? `You said ${times(model.get("guess"))}.` : ""}`.trim()
            : `${where}: the loop was not measured.`;
      picture.replaceChildren(chart());
      board.hidden = !revealed;
      redraw(board, make("table", { class: "times" },
        make("thead", {}, make("tr", {}, ...heading.map((text) => make(text ? "th" : "td", text ? { scope: "col" } : {}, text)))),
        make("tbody", {}, ...all.map(fact))));
    };
    // The ring follows the pointer: across to a recorded number of heads, up and down to a guess.
    const follow = (event) => {
      const box = picture.getBoundingClientRect(), left = event.clientX - box.left, top = event.clientY - box.top;
      const nearest = heads.reduce((a, b) => (Math.abs(x(b) - left) < Math.abs(x(a) - left) ? b : a));
      if (nearest !== model.get("head_count")) put(model, "head_count", nearest);
      const from = find(nearest, base);
      if (from && !model.get("revealed"))
        put(model, "guess", Math.min(40, Math.max(0.5, Math.round((2 * secondsAt(top)) / from.seconds) / 2)));
    };
    picture.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      picture.setPointerCapture(event.pointerId);
      follow(event);
    });
    picture.addEventListener("pointermove", (event) => picture.hasPointerCapture(event.pointerId) && follow(event));
    frame(el);
    el.append(
      make("div", { class: "viewer-row" }, pick("Heads", "head_count", heads), pick("Length", "length", model.get("lengths"))),
      choice("Direction", [["forward", "forward"], ["forward and backward", "forward and backward"]], model, "direction"),
      make("div", { class: "viewer-row" }, guess, reveal, skip),
      says,
      picture,
      board,
      make("p", { class: "note" }, "The floor is what arithmetic or memory would take there, at this machine's best rates. The scale is the same at all lengths."),
      make("p", { class: "note" }, model.get("source")),
    );
    new ResizeObserver(() => {
      const wide = Math.max(300, Math.min(720, picture.clientWidth || 640));
      if (wide !== width) (width = wide), draw();
    }).observe(picture);
    draw();
    for (const trait of ["direction", "length", "head_count", "guess", "revealed"]) model.on("change:" + trait, draw);
  },
};
