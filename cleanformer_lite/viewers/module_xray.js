// A module's layers, and what becomes of each when the module is trained, moved, saved and loaded.
const PROPERTIES = ["registered", "in_optimizer", "gets_gradient", "changes", "in_state_dict", "moves", "stays", "own"];
const has = (layer, property) => layer.holds[PROPERTIES.indexOf(property)] === "1";

// Numbers by name: "a" the first ones, with a stroke for each step of training, others drawn anew.
const ACTS = {
  find: {
    label: "parameters()",
    passes: (layer) => has(layer, "registered"),
    words: ["found", "not found"],
    does: (state) => state,
    rest: "The optimizer is told of none of the others.",
  },
  step: {
    label: "train one step",
    passes: (layer) => has(layer, "changes"),
    words: ["changed", "unchanged"],
    needsOneDevice: true,
    does: (state, layer) => ({
      ...state,
      gradient: has(layer, "gets_gradient"),
      numbers: state.numbers + (has(layer, "changes") ? "'" : ""),
    }),
    rest: "The others compute after training as before.",
  },
  move: {
    label: '.to("cuda")',
    passes: (layer) => has(layer, "moves"),
    words: ["moved", "stayed behind"],
    does: (state, layer) => ({ ...state, gpu: state.gpu || has(layer, "moves") }),
    rest: "The others stay behind, on another device than the input.",
  },
  save: {
    label: "save",
    passes: (layer) => has(layer, "in_state_dict"),
    words: ["saved", "missing in the file"],
    does: (state, layer) => ({ ...state, file: has(layer, "in_state_dict") ? state.numbers : null }),
    rest: "The others are missing in the file, and nothing says so.",
  },
  load: {
    label: "load into a new one",
    passes: (_, state) => state.file != null,
    words: ["restored", "new random numbers"],
    does: (state, _, turn) => ({ ...state, gpu: false, gradient: false, numbers: state.file ?? "b" + turn }),
    rest: "The others start from new random numbers.",
  },
  call: {
    label: "call it twice",
    passes: (layer) => has(layer, "stays"),
    words: ["still there", "thrown away, built anew"],
    needsOneDevice: true,
    does: (state, layer, turn) => ({ ...state, numbers: has(layer, "stays") ? state.numbers : "c" + turn }),
    rest: "The others are thrown away after each call, and their gradients with them.",
  },
};
const split = (states) => states.some(({ gpu }) => gpu) && states.some(({ gpu }) => !gpu);
// Where every layer stands after all that was done, and how the last act went.
const playOut = (layers, acts) => {
  let states = layers.map(() => ({ numbers: "a", gpu: false, gradient: false, file: null })),
    passed = null,
    refused = false;
  acts.forEach((name, turn) => {
    const act = ACTS[name];
    refused = Boolean(act.needsOneDevice) && split(states);
    if (refused) return;
    passed = layers.map((layer, i) => act.passes(layer, states[i]));
    states = states.map((state, i) => act.does(state, layers[i], turn));
  });
  return { states, passed, refused };
};

// Seven bars stand for a layer's numbers: the same numbers have the same bars.
const bars = (name, numbers) => {
  const steps = numbers.match(/'*$/)[0].length,
    seed = name + numbers.replaceAll("'", "");
  let hash = 7;
  return Array.from({ length: 7 }, (_, i) => {
    for (const letter of seed) hash = (hash * 31 + letter.charCodeAt(0) + i) % 9973;
    const high = 20 + (hash % 70);
    return Math.max(12, Math.min(100, high + steps * ((hash % 37) - 18)));
  });
};
const chip = (layer, i, numbers, where) => {
  const trained = numbers.match(/'*$/)[0].length;
  const what =
    (numbers[0] === "a" ? "first numbers" : "other numbers") +
    (trained ? `, trained ${trained} step${trained > 1 ? "s" : ""}` : "");
  return make(
    "span",
    {
      class: `numbers is-${numbers[0]}${trained ? " trained" : ""}`,
      role: "img",
      "aria-label": `${where}: ${what}`,
      "data-key": where + i,
      "data-numbers": numbers,
    },
    ...bars(layer.name, numbers).map((high) => make("i", { style: `height: ${high}%` })),
  );
};

export default {
  render({ model, el }) {
    const scan = () => model.get("scans")[model.get("scan")];
    const group = (label) => make("div", { class: "viewer-row", role: "group", "aria-label": label });
    const pick = group("Modules: arrow keys move, Enter picks"),
      press = group("What to do: arrow keys move, Enter does it");
    const body = make("tbody");
    const says = make("p", { class: "says", "aria-live": "polite" });
    const pickStop = arrows(pick),
      pressStop = arrows(press);
    const did = (name) => put(model, "acts", [...model.get("acts"), name]);
    const choose = (i) => {
      model.set("acts", []);
      put(model, "scan", i);
    };
    const drawButtons = () => {
      redraw(
        pick,
        ...model
          .get("scans")
          .map(({ title }, i) =>
            make(
              "button",
              { "data-key": "scan" + i, "aria-pressed": String(i === model.get("scan")), onclick: () => choose(i) },
              title,
            ),
          ),
      );
      redraw(
        press,
        ...Object.entries(ACTS).map(([name, { label }]) =>
          make("button", { class: "mono", "data-key": "act" + name, onclick: () => did(name) }, label),
        ),
        make(
          "button",
          { "data-key": "again", disabled: !model.get("acts").length, onclick: () => put(model, "acts", []) },
          "Start again",
        ),
      );
      pickStop();
      pressStop();
    };
    const outcome = (name, passed, state) => {
      const [yes, no] = ACTS[name].words;
      if (name === "step" && !passed)
        return state.gradient ? "○ gradient arrives, unchanged" : "○ no gradient, unchanged";
      return passed ? `● ${yes}` : `○ ${no}`;
    };
    const drawTable = ({ states, passed, refused }, last) =>
      body.replaceChildren(
        ...scan().layers.map((layer, i) => {
          const { numbers, gpu, file } = states[i];
          return make(
            "tr",
            { class: passed && !refused ? (passed[i] ? "lit" : "dark") : "" },
            make(
              "th",
              { scope: "row" },
              make("span", { class: "mono name" }, layer.name),
              make("span", { class: "note" }, ` ${layer.kind}, ${layer.numbers} numbers`),
              make("span", { class: "outcome" }, passed && !refused ? outcome(last, passed[i], states[i]) : ""),
            ),
            make("td", {}, gpu ? null : chip(layer, i, numbers, "CPU")),
            make("td", {}, gpu ? chip(layer, i, numbers, "GPU") : null),
            make("td", {}, file ? chip(layer, i, file, "file") : null),
          );
        }),
      );
    const tell = ({ passed, refused }, last) => {
      const { title, layers, agree } = scan();
      if (!last)
        return `${title}: ${layers.length} layers take part in a call. Do something to the module, and watch which of them come along.`;
      const { label, rest, words } = ACTS[last];
      if (refused) return `${title}: PyTorch refuses. RuntimeError: Expected all tensors to be on the same device.`;
      const lit = layers.filter((_, i) => passed[i]),
        sum = (some) => some.reduce((total, layer) => total + layer.numbers, 0);
      return (
        `${title}, ${label}: ${lit.length} of ${layers.length} layers ${words[0]}, ${sum(lit)} of ${sum(layers)} numbers. ` +
        (lit.length < layers.length ? rest + " " : "") +
        (last === "call" ? `The two calls ${agree ? "agree" : "disagree"}. ` : "") +
        (last === "find" && layers.some((layer) => !has(layer, "own"))
          ? "One layer stands in several places: what looks like many is one."
          : "")
      ).trim();
    };
    const draw = () => {
      const acts = model.get("acts"),
        last = acts.at(-1),
        now = playOut(scan().layers, acts);
      drawButtons();
      // What moves between the columns glides; what goes into the file comes from where it stands.
      const at = (key) => key.replace(/^\D+/, "");
      const before = new Map(
        [...body.querySelectorAll("[data-key]")].map((node) => [node.dataset.key, node.getBoundingClientRect()]),
      );
      drawTable(now, last);
      if (!calm())
        for (const node of body.querySelectorAll("[data-key]")) {
          const key = node.dataset.key;
          const old = before.get(key) ?? before.get("CPU" + at(key)) ?? before.get("GPU" + at(key));
          if (!old) continue;
          const spot = node.getBoundingClientRect();
          node.animate([{ transform: `translate(${old.x - spot.x}px, ${old.y - spot.y}px)` }, { transform: "none" }], {
            duration: 600,
            easing: "ease-in-out",
          });
        }
      says.textContent = tell(now, last);
    };
    frame(el);
    el.append(
      make("p", { class: "title" }, "Module"),
      pick,
      make("p", { class: "title" }, "Do to it"),
      press,
      says,
      make(
        "table",
        { class: "acted" },
        make("caption", {}, "Bars stand for a layer’s numbers: the same bars, the same numbers."),
        make(
          "thead",
          {},
          make("tr", {}, ...["layer", "CPU", "GPU", "file"].map((head) => make("th", { scope: "col" }, head))),
        ),
        body,
      ),
    );
    draw();
    for (const trait of ["scans", "scan", "acts"]) model.on("change:" + trait, draw);
  },
};
