// Trainings as films: the reader draws how each loss will go, then sees it, and what the heads read.
const NS = "http://www.w3.org/2000/svg";
const shape = (tag, props, ...children) => {
  const node = document.createElementNS(NS, tag);
  Object.entries(props).forEach(([key, value]) => node.setAttribute(key, value));
  node.append(...children);
  return node;
};
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const TOP = 2.5,
  GUESSING = Math.log(8),
  WIDTH = 150,
  HEIGHT = 80,
  CLOSE = 0.3;
const percent = (share) => Math.round(100 * share) + " %";

// The shares of one head: a row for each query, as long as its past.
const rowsOf = (text, length) => {
  const shares = [...text].map((digit) => DIGITS.indexOf(digit) / (DIGITS.length - 1));
  return Array.from({ length }, (_, i) => shares.slice((i * (i + 1)) / 2, ((i + 1) * (i + 2)) / 2));
};
// How far back a head looks: the mean share of each distance, over the queries that have to look.
const distances = (map, first) =>
  map.map((_, back) => {
    const asked = map.slice(Math.max(first, back));
    return [back, asked.reduce((sum, row) => sum + row[row.length - 1 - back], 0) / (map.length - first)];
  });
const reads = (map, first) =>
  distances(map, first)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 2)
    .filter(([, share], i) => i === 0 || share >= 0.15)
    .map(([back, share]) => `${back ? back + " back" : "itself"} ${percent(share)}`);

export default {
  render({ model, el }) {
    const runs = model.get("runs"),
      every = model.get("every"),
      tokens = model.get("tokens"),
      offsets = model.get("offsets");
    const frames = runs[0].losses.length,
      first = Math.max(...offsets),
      groups = [...new Set(runs.map((run) => run.group))];
    const titleOf = (run) => run.name + (run.group && ", " + run.group);
    const furthest = Math.max(...runs.flatMap((run) => Object.values(run.moved).flat().map(Number)));
    const curveOf = (i) => model.get("drawn")[i];
    const x = (frame) => (WIDTH * frame) / (frames - 1);
    const y = (loss) => HEIGHT * (1 - Math.min(loss, TOP) / TOP);
    const points = (losses) => losses.map((loss, i) => `${x(i).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");

    // Drawing: a stroke sets the curve from where it began, and what lies right of it goes on level.
    const putCurve = (i, curve) => put(model, "drawn", model.get("drawn").map((old, at) => (at === i ? curve : old)));
    const panelOf = (run, i) => {
      const guess = shape("polyline", { class: "guess" }),
        real = shape("polyline", { class: "curve" }),
        hint = shape("text", { x: WIDTH / 2, y: HEIGHT / 2, class: "hint" }, "draw here"),
        head = shape("line", { class: "playhead", y1: 0, y2: HEIGHT });
      const level = { x1: 0, x2: WIDTH, y1: y(GUESSING), y2: y(GUESSING), class: "chance" };
      const svg = shape(
        "svg",
        { viewBox: `-2 -2 ${WIDTH + 4} ${HEIGHT + 4}`, role: "img", class: "panel" },
        shape("rect", { width: WIDTH, height: HEIGHT, class: "ground" }),
        shape("line", level),
        hint,
        guess,
        real,
        head,
      );
      let stroke = null;
      const at = (event) => {
        const box = svg.getBoundingClientRect();
        const across = ((event.clientX - box.left) / box.width) * (WIDTH + 4) - 2;
        const down = ((event.clientY - box.top) / box.height) * (HEIGHT + 4) - 2;
        const frame = Math.round((across / WIDTH) * (frames - 1));
        return [Math.max(0, Math.min(frames - 1, frame)), TOP * (1 - Math.max(0, Math.min(HEIGHT, down)) / HEIGHT)];
      };
      const draw = (event) => {
        const [frame, loss] = at(event);
        const [from, before] = stroke.last ?? [frame, loss];
        const low = Math.min(from, frame);
        stroke.curve = stroke.curve.map((old, k) => {
          if (k < low) return old;
          const part = frame === from ? 1 : Math.min(1, Math.max(0, (k - from) / (frame - from)));
          return k > Math.max(from, frame) ? loss : before + (loss - before) * part;
        });
        stroke.last = [frame, loss];
        guess.setAttribute("points", points(stroke.curve));
      };
      svg.addEventListener("pointerdown", (event) => {
        if (model.get("revealed")) return;
        svg.setPointerCapture(event.pointerId);
        const old = curveOf(i);
        stroke = { curve: old.length ? [...old] : Array(frames).fill(GUESSING), last: null };
        draw(event);
      });
      svg.addEventListener("pointermove", (event) => stroke && draw(event));
      const lift = () => {
        if (stroke) putCurve(i, stroke.curve.map((loss) => Number(loss.toFixed(3))));
        stroke = null;
      };
      svg.addEventListener("pointerup", lift);
      svg.addEventListener("pointercancel", lift);

      const input = make("input", {
        type: "range",
        min: 0,
        max: TOP,
        step: 0.1,
        "aria-label": `${titleOf(run)}: the loss ends at`,
        oninput: () => {
          const end = Number(input.value);
          putCurve(
            i,
            Array.from({ length: frames }, (_, k) =>
              Number((end + (GUESSING - end) * Math.exp((-6 * k) / (frames - 1))).toFixed(3)),
            ),
          );
        },
      });
      const output = make("output", {});
      const name = make("div", { class: "title" }, run.name, make("div", { class: "note" }, run.group));
      const show = () => {
        const curve = curveOf(i),
          shown = model.get("revealed"),
          frame = model.get("frame");
        const end = curve.length ? curve.at(-1) : GUESSING;
        guess.setAttribute("points", curve.length ? points(curve) : "");
        hint.setAttribute("visibility", shown || curve.length ? "hidden" : "visible");
        real.setAttribute("points", shown ? points(run.losses) : "");
        head.setAttribute("visibility", shown ? "visible" : "hidden");
        head.setAttribute("x1", x(frame));
        head.setAttribute("x2", x(frame));
        input.disabled = shown;
        input.value = end;
        input.classList.toggle("unset", !curve.length);
        output.textContent = shown
          ? `${run.losses[frame].toFixed(2)} at step ${frame * every}`
          : curve.length
            ? `ends at ${end.toFixed(1)}`
            : "not drawn";
        input.setAttribute("aria-valuetext", curve.length ? end.toFixed(1) : "not drawn");
        input.hidden = shown;
        const yours = curve.length ? `your curve ends at ${end.toFixed(1)}` : "not drawn";
        svg.setAttribute(
          "aria-label",
          `${titleOf(run)}: ${shown ? `loss ${run.losses[0].toFixed(2)} at first, ${run.losses.at(-1).toFixed(2)} at last; ` : ""}${yours}`,
        );
      };
      return [make("div", {}, name, svg, make("div", { class: "end" }, input, output)), show];
    };
    const panels = runs.map(panelOf);

    // The film: for each training its maps, and how far its parts have moved.
    const gauge = (label) => {
      const bar = make("span", { class: "fill" }),
        value = make("span", { class: "amount" });
      return [
        make("span", { class: "gauge" }, label + " ", make("span", { class: "track" }, bar), " ", value),
        (distance) => {
          bar.style.width = `${(100 * (distance ?? 0)) / furthest}%`;
          value.textContent = distance == null ? "none kept" : distance.toFixed(2);
        },
      ];
    };
    const mapOf = (run, head) => {
      const cells = tokens.flatMap((_, i) =>
        Array.from({ length: i + 1 }, (_, j) =>
          shape("rect", {
            x: j,
            y: i,
            width: 1,
            height: 1,
            class: offsets.includes(i - j) && i >= first ? "cell wanted" : "cell",
          }),
        ),
      );
      const svg = shape("svg", { viewBox: "-0.1 -0.1 9.2 9.2", role: "img" }, ...cells);
      const note = make("div", { class: "note" });
      const show = (frame) => {
        const map = rowsOf(run.maps[frame][head], tokens.length);
        map.flat().forEach((share, k) => cells[k].style.setProperty("--share", share.toFixed(2)));
        const found = reads(map, first);
        note.replaceChildren(...found.map((text) => make("div", {}, text)));
        svg.setAttribute("aria-label", `${titleOf(run)}, head ${head}: ${found.join(", ")}`);
      };
      return [make("div", { class: "map" }, svg, note), show];
    };
    const filmOf = (run) => {
      const maps = run.maps[0].map((_, head) => mapOf(run, head));
      const [heads, showHeads] = gauge("heads moved"),
        [embeddings, showEmbeddings] = gauge("embeddings moved");
      const loss = make("span", { class: "loss" });
      const top = make("div", { class: "viewer-row" }, make("strong", {}, run.name), loss, heads, embeddings);
      const node = make("div", { class: "film" }, top, make("div", { class: "maps" }, ...maps.map(([map]) => map)));
      const show = () => {
        const frame = model.get("frame");
        node.hidden = run.group !== model.get("group");
        loss.textContent = `loss ${run.losses[frame].toFixed(2)}`;
        showHeads(run.moved.heads[frame]);
        showEmbeddings(run.moved.embeddings[frame]);
        if (!node.hidden) maps.forEach(([, draw]) => draw(frame));
      };
      return [node, show];
    };
    const films = runs.map(filmOf);

    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      tell();
    };
    const step = () => {
      if (!el.isConnected || model.get("frame") >= frames - 1) return stop();
      put(model, "frame", model.get("frame") + 1);
    };
    const playButton = make("button", {
      onclick: () => {
        if (timer) return stop();
        if (model.get("frame") >= frames - 1) put(model, "frame", 0);
        timer = setInterval(step, calm() ? 800 : 250);
        tell();
      },
    });
    const many = () => runs.filter((_, i) => curveOf(i).length).length;
    const reveal = make("button", { onclick: () => put(model, "revealed", !model.get("revealed")) });
    const skip = make("button", { onclick: () => put(model, "revealed", true) }, "Just show me");
    const stage = make(
      "div",
      {},
      make(
        "div",
        { class: "viewer-row" },
        playButton,
        slider("Step", model, "frame", { min: 0, max: frames - 1, step: 1 }, (frame) => String(frame * every)),
        groups.length > 1
          ? choice(
              "Films",
              groups.map((group) => [group, group]),
              model,
              "group",
            )
          : null,
      ),
      make(
        "p",
        { class: "note" },
        "A row of a map is a query, a column a key. Outlined is what the answer needs. Below it: what the head reads most, on average.",
      ),
      ...films.map(([node]) => node),
    );
    const note = make("p", { class: "note" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const outcome = () => {
      const tried = many();
      const close = runs.filter((run, i) => curveOf(i).length && Math.abs(curveOf(i).at(-1) - run.losses.at(-1)) <= CLOSE);
      return tried
        ? `You drew ${tried} of ${runs.length} curves; ${close.length} end within ${CLOSE} of where the loss did.`
        : "You drew none.";
    };
    const tell = () => {
      playButton.textContent = timer ? "Pause" : "Play";
      if (timer) return;
      const tried = many(),
        left = runs.length - tried;
      says.textContent = model.get("revealed")
        ? `${tried ? outcome() + " " : ""}Step ${model.get("frame") * every} of ${(frames - 1) * every}.`
        : `${tried} of ${runs.length} curves drawn.` + (left ? "" : " Now see how they went.");
    };
    const draw = () => {
      const shown = model.get("revealed");
      reveal.textContent = shown ? "Draw the losses" : "Show how they went";
      reveal.disabled = !shown && many() < runs.length;
      skip.hidden = shown || !reveal.disabled;
      stage.hidden = !shown;
      note.textContent =
        (shown ? "" : "How will the loss of each training go? Draw all of them, each in its box, or set with its slider where it ends. ") +
        `Loss from 0 to ${TOP} over ${(frames - 1) * every} steps. The dashed line is guessing, ln 8 = ${GUESSING.toFixed(2)}.`;
      panels.forEach(([, show]) => show());
      if (shown) films.forEach(([, show]) => show());
      tell();
    };
    frame(el);
    el.classList.add("films");
    el.append(
      note,
      make("div", { class: "panels", style: `--columns: ${runs.length % 3 ? 2 : 3}` }, ...panels.map(([node]) => node)),
      make("div", { class: "viewer-row" }, reveal, skip),
      says,
      stage,
      make("p", { class: "note" }, model.get("setting")),
    );
    draw();
    for (const trait of ["drawn", "revealed", "frame", "group"]) model.on("change:" + trait, draw);
    model.on("change:revealed", () => {
      if (!model.get("revealed")) return stop();
      // A page keeps its explanation closed until now.
      el.dispatchEvent(new CustomEvent("predicted", { bubbles: true, detail: outcome() }));
    });
  },
};
