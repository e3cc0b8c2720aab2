// Moves one number of the input and recomputes every head's map, for both families side by side.
const SVG = "http://www.w3.org/2000/svg";
const shape = (tag, props) => {
  const node = document.createElementNS(SVG, tag);
  Object.entries(props).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
};
const picture = (width, height, label, ...parts) => {
  const node = shape("svg", { viewBox: `-1 -1 ${width + 2} ${height + 2}`, role: "img", "aria-label": label });
  node.append(...parts);
  return node;
};

const matrix = (weight, state) => {
  const size = weight.length,
    width = size / state.heads,
    top = Math.max(...weight.flat().map(Math.abs));
  const cells = weight
    .flatMap((row, i) =>
      row.map(
        (w, j) =>
          w &&
          shape("rect", {
            x: j * 10 + 0.5,
            y: i * 10 + 0.5,
            width: 9,
            height: 9,
            class: "full",
            "fill-opacity": 0.2 + (0.8 * Math.abs(w)) / top,
          }),
      ),
    )
    .filter(Boolean);
  const lines = Array.from({ length: state.heads + 1 }, (_, head) =>
    shape("line", { x1: 0, x2: size * 10, y1: head * width * 10, y2: head * width * 10, class: "edge" }),
  );
  const column = shape("rect", { x: state.feature * 10, y: 0, width: 10, height: size * 10, class: "picked" });
  const readers = Array.from({ length: state.heads }, (_, head) => head).filter((head) =>
    weight.some((row, i) => Math.floor(i / width) === head && row[state.feature]),
  );
  return picture(
    size * 10,
    size * 10,
    `Query weights. Column ${state.feature} is filled in the rows of head ${readers.join(", ")}.`,
    ...lines,
    ...cells,
    column,
  );
};
const mapPicture = (map, label) =>
  picture(
    map[0].length * 10,
    map.length * 10,
    label,
    ...map.flatMap((row, i) =>
      row.map((w, j) =>
        shape("rect", { x: j * 10, y: i * 10, width: 10, height: 10, class: "full", "fill-opacity": w.toFixed(3) }),
      ),
    ),
    shape("rect", { x: 0, y: 0, width: map[0].length * 10, height: map.length * 10, class: "frame" }),
  );

const family = (title, blocked, state) => {
  const nudged = state.x.map((row, place) =>
    row.map((value, feature) => value + (place === state.place && feature === state.feature ? state.nudge : 0)),
  );
  const before = maps(state.x, state, blocked),
    after = maps(nudged, state, blocked);
  const moved = after.map((map, head) => largest(map, before[head]));
  const heads = after.map((map, head) => {
    const word = moved[head] > 1e-6 ? `● moved ${moved[head].toFixed(3)}` : "○ still";
    return make(
      "div",
      { class: "map", "data-moved": moved[head].toFixed(7) },
      mapPicture(map, `Map of head ${head}`),
      make("div", {}, `head ${head}`, make("br"), word),
    );
  });
  const node = make(
    "div",
    { class: "family" },
    make("div", { class: "title" }, title),
    make("div", { class: "matrix" }, matrix(keep(state.q_weight, state.x[0].length / state.heads, blocked), state)),
    make("div", { class: "maps" }, ...heads),
  );
  return { node, movers: moved.flatMap((by, head) => (by > 1e-6 ? [head] : [])) };
};
const list = (movers) =>
  movers.length ? `head${movers.length > 1 ? "s" : ""} ${movers.join(", ")} moved` : "no head moved";

export default {
  render({ model, el }) {
    const names = ["tokens", "x", "q_weight", "q_bias", "k_weight", "k_bias", "heads", "place", "feature", "nudge"];
    const read = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const pick = (place, feature) => {
      model.set("place", place);
      put(model, "feature", feature);
    };
    const inputs = make("div", {
      class: "wide inputs",
      role: "group",
      "aria-label": "The input: arrow keys move, Enter picks a number",
    });
    const stop = arrows(inputs, () => model.get("x")[0].length);
    const stage = make("div", { class: "families" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const draw = () => {
      const state = read();
      redraw(
        inputs,
        ...state.x.map((row, place) =>
          make(
            "div",
            { class: "line" },
            make("span", { class: "row-name" }, state.tokens[place]),
            ...row.map((value, feature) => {
              const here = place === state.place && feature === state.feature,
                now = value + (here ? state.nudge : 0);
              return make(
                "button",
                {
                  class: "mono number",
                  "data-key": place + "," + feature,
                  "aria-pressed": String(here),
                  "aria-label": `${state.tokens[place]}, number ${feature}: ${now.toFixed(1)}`,
                  onclick: () => pick(place, feature),
                },
                now.toFixed(1),
              );
            }),
          ),
        ),
      );
      stop();
      const first = family("Project, then split", false, state),
        second = family("Split, then project", true, state);
      stage.replaceChildren(first.node, second.node);
      says.textContent =
        state.nudge === 0
          ? "Nothing is moved yet. Pick a number of the input and move it."
          : `Number ${state.feature} of ${state.tokens[state.place]} moved by ${state.nudge.toFixed(2)}. Project, then split: ${list(first.movers)}. Split, then project: ${list(second.movers)}.`;
    };
    frame(el);
    el.append(
      inputs,
      slider("Move it by", model, "nudge", { min: -3, max: 3, step: 0.25 }, (value) => value.toFixed(2)),
      says,
      stage,
      make(
        "p",
        { class: "note" },
        "The large square is the query projection: a row makes one number of a query, a column reads one number of the input. Lines part the heads. Empty means no weight at all.",
      ),
    );
    draw();
    for (const name of names) model.on("change:" + name, draw);
  },
};
