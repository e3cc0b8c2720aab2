// A softmax that never sees the whole row: keys arrive in blocks, and three numbers are kept.
const two = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : "none yet");
const short = (value) => String(Number(value.toFixed(2))).replace("-", "−");
const ORDERS = {
  "as they come": (keys) => keys,
  "rising scores": (keys) => [...keys].sort((a, b) => a.score - b.score),
  "falling scores": (keys) => [...keys].sort((a, b) => b.score - a.score),
};

// One block more: what was kept shrinks by the factor by which its top was too small.
const take = (kept, block) => {
  const top = Math.max(kept.top, ...block.map((key) => key.score));
  const shrink = Math.exp(kept.top - top);
  const powers = block.map((key) => Math.exp(key.score - top));
  const sum = (some) => some.reduce((a, b) => a + b, 0);
  return {
    top,
    shrink,
    added: sum(powers),
    brought: sum(powers.map((power, i) => power * block[i].value)),
    total: shrink * kept.total + sum(powers),
    weighted: shrink * kept.weighted + sum(powers.map((power, i) => power * block[i].value)),
  };
};
const NOTHING = { top: -Infinity, shrink: 1, added: 0, brought: 0, total: 0, weighted: 0 };

export default {
  render({ model, el }) {
    const keys = () =>
      ORDERS[model.get("order")](model.get("scores").map((score, i) => ({ score, value: model.get("values")[i], name: i })));
    const size = () => model.get("block");
    const many = () => Math.ceil(model.get("scores").length / size());
    const blockAt = (k) => keys().slice(k * size(), (k + 1) * size());
    const after = (k) => Array.from({ length: k }, (_, i) => blockAt(i)).reduce(take, NOTHING);

    const bars = make("div", { class: "row-of-keys", "aria-hidden": "true" }),
      brackets = make("div", { class: "brackets", "aria-hidden": "true" });
    const columns = model.get("scores").map(() => {
      const fill = make("div", { class: "fill" }),
        score = make("div", { class: "score" }),
        value = make("div", { class: "val" }),
        column = make("div", { class: "column" }, make("div", { class: "well" }, fill), score, value);
      bars.append(column);
      return { fill, score, value, column };
    });
    const gauge = (name, what) => {
      const fill = make("span", { class: "fill" }),
        number = make("output", {}),
        sum = make("span", { class: "note sum" });
      const node = make("div", { class: "gauge " + name }, make("strong", {}, name), make("span", { class: "track" }, fill), number, sum);
      node.title = what;
      return { node, show: (share, text, how) => {
        fill.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
        number.textContent = text;
        sum.textContent = how;
      } };
    };
    const top = gauge("top", "the largest score so far"),
      total = gauge("total", "the sum of all powers so far"),
      mean = gauge("mean", "the mean of the values so far");
    const meter = (label) => {
      const cells = make("span", { class: "cells" }),
        text = make("span", {});
      return { node: make("div", { class: "meter" }, make("strong", {}, label), cells, text), show: (filled, of, words) => {
        cells.replaceChildren(...Array.from({ length: of }, (_, i) => make("i", { class: i < filled ? "full" : "" })));
        text.textContent = words;
      } };
    };
    const whole = meter("whole row"),
      part = meter("one block");
    const says = make("p", { class: "says", "aria-live": "polite" });
    const back = make("button", { onclick: () => put(model, "read", model.get("read") - 1) }, "Back");
    const next = make("button", { onclick: () => put(model, "read", model.get("read") + 1) }, "Next block");
    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    const play = make("button", {
      onclick: () => {
        if (timer) return stop();
        if (model.get("read") >= many()) put(model, "read", 0);
        play.textContent = "Pause";
        timer = setInterval(() => {
          if (el.isConnected && model.get("read") < many()) put(model, "read", model.get("read") + 1);
          if (!el.isConnected || model.get("read") >= many()) stop();
        }, 1400);
      },
    });
    play.textContent = "Play";

    const verdict = (now, read) => {
      const all = keys(),
        highest = Math.max(...all.map((key) => key.score)),
        powers = all.map((key) => Math.exp(key.score - highest));
      const wanted =
        powers.reduce((sum, power, i) => sum + power * all[i].value, 0) / powers.reduce((a, b) => a + b, 0);
      const gap = Math.abs(now.weighted / now.total - wanted);
      return read < many()
        ? ""
        : ` All keys are read. The whole row at once gives ${wanted.toFixed(4)}, these blocks ${(now.weighted / now.total).toFixed(4)}: they differ by ${gap ? gap.toExponential(0) : 0}.`;
    };
    const story = (before, now, read) => {
      if (!read) return `Nothing is read yet. ${many()} blocks wait.`;
      const grew = now.top > before.top;
      const change =
        read === 1
          ? "The first block sets the top."
          : grew
            ? `A larger score came, ${two(now.top)} after ${two(before.top)}: all that was kept shrinks by exp(${two(before.top)} − ${two(now.top)}) = ${two(now.shrink)}.`
            : "No larger score came: the factor is 1, and nothing shrinks.";
      return `Block ${read} of ${many()}. ${change}${verdict(now, read)}`;
    };
    const draw = () => {
      if (model.get("read") > many()) return put(model, "read", many());
      const all = keys(),
        read = model.get("read"),
        before = after(Math.max(0, read - 1)),
        now = after(read);
      const seen = read * size(),
        old = Math.max(0, read - 1) * size();
      columns.forEach(({ fill, score, value, column }, i) => {
        const arrived = i < seen;
        column.className = "column" + (arrived ? (i >= old ? " fresh" : " old") : " waiting");
        fill.style.height = arrived ? `${100 * Math.exp(all[i].score - now.top)}%` : "0";
        score.textContent = arrived ? short(all[i].score) : "·";
        value.textContent = arrived ? short(all[i].value) : "·";
      });
      const fresh = Math.min(seen, all.length) - old;
      const bracket = (width, text, name) => make("span", { class: name, style: `flex-grow: ${width}` }, text);
      brackets.replaceChildren(
        ...[
          old && bracket(old, `× ${two(now.shrink)}`, "kept"),
          read && bracket(fresh, "new", "new"),
          all.length - old - fresh && bracket(all.length - old - (read && fresh), "", ""),
        ].filter(Boolean),
      );
      const scores = all.map((key) => key.score),
        values = all.map((key) => key.value),
        low = Math.min(...scores) - 0.5;
      const first = read <= 1;
      top.show(read ? (now.top - low) / (Math.max(...scores) - low) : 0, two(now.top), read && !first ? `max(${two(before.top)}, block)` : "");
      total.show(now.total / scores.length, two(now.total), read && !first ? `${two(now.shrink)} × ${two(before.total)} + ${two(now.added)}` : "");
      const least = Math.min(0, ...values),
        most = Math.max(...values);
      mean.show(
        read ? (now.weighted / now.total - least) / (most - least || 1) : 0,
        read ? two(now.weighted / now.total) : "none yet",
        read ? (first ? "" : `(${two(now.shrink)} × ${two(before.weighted)} + ${two(now.brought)}) / ${two(now.total)}`) : "",
      );
      const length = scores.length,
        alive = read ? Math.min(size(), length - old) : 0;
      whole.show(length, length, `${length} scores a query, one for each key`);
      part.show(Math.max(alive, Math.min(size(), length)), length, `${Math.min(size(), length)} scores and 3 numbers, however many keys there are`);
      back.disabled = read === 0;
      next.disabled = read >= many();
      says.textContent = story(before, now, read);
    };
    frame(el);
    el.classList.add("blocks");
    el.append(
      make(
        "div",
        { class: "viewer-row" },
        back,
        next,
        play,
        slider("Keys in a block", model, "block", { min: 1, max: model.get("scores").length, step: 1 }),
      ),
      choice("Keys arrive", Object.keys(ORDERS).map((order) => [order, order]), model, "order"),
      make(
        "div",
        { class: "tiles" },
        make(
          "div",
          { class: "legend note", "aria-hidden": "true" },
          ...["power", "score", "value"].map((name) => make("div", {}, name)),
        ),
        make("div", { class: "keys" }, brackets, bars),
      ),
      says,
      top.node,
      total.node,
      mean.node,
      make("p", { class: "title" }, "Scores alive at once"),
      whole.node,
      part.node,
    );
    draw();
    for (const trait of ["read", "order", "scores", "values"]) model.on("change:" + trait, draw);
    model.on("change:block", () => (model.get("read") ? put(model, "read", 0) : draw()));
  },
};
