// A translator at work: a date, the line it writes, and every head to look at and switch off.
const READS = {
  encoder: "syllables read syllables",
  decoder: "pieces read pieces",
  cross: "pieces read syllables",
};
const two = (share) => share.toFixed(2);
const list = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");
const quoted = (text) => `“${text.replace(/(.),$/, "$1")}”`;
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const nameOf = (key) => key.replace("/", " head ");

// What is wrong with a line, field by field; null where nothing is.
const problemsOf = (line, right) => {
  if (line === right) return null;
  const form = /^(?:(\w+day), )?(?:([A-Z]\w+) )?(\d*)(?:, (\d*))?$/;
  const [got, wanted] = [form.exec(line), form.exec(right)];
  if (!got) return ["this is no date any more"];
  return ["weekday", "month", "day", "year"].flatMap((field, i) => {
    const [mine, theirs] = [got[i + 1] ?? "", wanted[i + 1]];
    if (mine === theirs) return [];
    return [mine ? `the ${field} should be ${theirs}, not ${mine}` : `the ${field} is missing`];
  });
};

// What a page did not bring along stands beside it: a script that a page from a disk may load, too.
const fetchWeights = (file) =>
  new Promise((done, failed) => {
    const found = () => globalThis.translatorWeights?.[file];
    if (found()) return done(found());
    const known = document.querySelector('link[href*="_static/"], script[src*="_static/"]');
    const folder = (known?.href ?? known?.src ?? "_static/").replace(/_static\/.*/, "_static/");
    const script = make("script", {
      src: `${folder}translators/${file}.js`,
      onload: () => done(found()),
      onerror: failed,
    });
    document.head.append(script);
  });

export default {
  render({ model, el }) {
    const pieces = model.get("pieces"),
      models = model.get("models"),
      run = {}, // what is shown now
      built = {}; // translators by kind, unpacked when first asked for
    const kind = () => models.find((one) => one.kind === model.get("kind"));
    const upTo = (size) => [...Array(size ?? 0).keys()];
    const groups = () =>
      Object.keys(READS).flatMap((name) => upTo(kind().sizes?.layers).map((layer) => `${name} ${layer}`));
    const heads = () => upTo(kind().sizes?.num_heads);
    const every = () => groups().flatMap((group) => heads().map((head) => `${group}/${head}`));
    const off = () => model.get("off");
    const costs = () => kind().costs;
    const spoken = (number) => (number === END ? "(end)" : pieces[number].trim());

    const translate = () => {
      const { writes, weights, sizes } = kind();
      const words = inKorean(readDay(model.get("day")));
      run.words = words;
      run.syllables = [...words.join("")];
      run.right = inEnglish(readDay(model.get("day")), pieces);
      if (kind().python) Object.assign(run, model.get("answer"));
      else if (writes) Object.assign(run, { pieces: writes, shares: writes.map(() => null), maps: {} });
      else {
        built[model.get("kind")] ??= dateTranslator(sizes, unpack(weights));
        const source = run.syllables.map((syllable) => pieces.indexOf(syllable));
        Object.assign(run, built[model.get("kind")](source, new Set(off())));
      }
      run.line = run.pieces
        .filter((number) => number !== END)
        .map((number) => pieces[number])
        .join("");
      run.problems = problemsOf(run.line, run.right);
      run.texts = run.pieces.map(spoken);
      run.earlier = ["(start)", ...run.texts];
    };
    const piece = () => Math.min(model.get("piece"), run.pieces.length - 1);
    // What a head's rows and columns stand for.
    const sides = (group) =>
      group.startsWith("encoder")
        ? [run.syllables, run.syllables]
        : [run.texts, group.startsWith("cross") ? run.syllables : run.earlier];
    const say = (syllable) => model.get("romanised")[syllable] ?? syllable;

    const source = make("div", { class: "lt-source", lang: "ko" });
    const target = make("div", {
      class: "lt-target",
      role: "group",
      "aria-label": "Pieces of the English line: arrow keys move",
    });
    const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    lines.setAttribute("aria-hidden", "true");
    const legend = make(
      "p",
      { class: "note lt-legend", "aria-hidden": "true" },
      ...[0, 1, 2, 3].map((head) => make("span", { class: `lt-h${head}` }, `head ${head}`)),
      "dashed in layer 0",
    );
    const stage = make("div", { class: "lt-stage" }, source, target, lines);
    const says = make("p", { class: "says", "aria-live": "polite" });
    const reads = make("p", { class: "note lt-reads", "aria-live": "polite" });
    const grid = make("div", { class: "lt-grid" });
    const verdict = make("p", { class: "lt-verdict", "aria-live": "polite" });
    const presets = make("div", { class: "viewer-row", role: "group", "aria-label": "Switch heads" });
    const pieceStop = arrows(target),
      headStop = arrows(grid, () => heads().length);

    const drawSource = () => {
      let at = 0;
      source.replaceChildren(
        ...run.words.map((word) =>
          make(
            "span",
            { class: "lt-word" },
            ...[...word].map((syllable) =>
              make(
                "span",
                { class: "lt-syllable", "data-syllable": at++ },
                syllable,
                make("small", { lang: "ko-Latn" }, say(syllable)),
              ),
            ),
          ),
        ),
      );
    };
    const point = (i) => i !== model.get("piece") && put(model, "piece", i);
    const drawTarget = (fresh) => {
      target.classList.toggle("fresh", Boolean(fresh));
      const wrong =
        run.right === run.line
          ? -1
          : [...run.pieces].findIndex(
              (_, i) =>
                !run.right.startsWith(
                  run.pieces
                    .slice(0, i + 1)
                    .map((number) => (number === END ? "\n" : pieces[number]))
                    .join(""),
                ),
            );
      redraw(
        target,
        ...run.texts.map((text, i) =>
          make(
            "button",
            {
              "data-key": "piece" + i,
              style: `--at: ${i}`,
              class: i === wrong ? "wrong" : null,
              "aria-pressed": String(i === piece()),
              onclick: () => point(i),
              onfocus: () => point(i),
              onmouseenter: () => point(i),
            },
            text,
          ),
        ),
      );
      pieceStop();
    };

    // Lines: from each row to what it reads, by the boxes on the screen.
    const box = (node) => {
      const a = node.getBoundingClientRect(),
        b = stage.getBoundingClientRect();
      return { x: a.left - b.left + a.width / 2, top: a.top - b.top, bottom: a.bottom - b.top };
    };
    const drawLines = (links) => {
      const { width, height } = stage.getBoundingClientRect();
      lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const syllables = [...source.querySelectorAll("[data-syllable]")].map(box),
        written = [...target.children].map(box);
      const arc = (a, b, y, up) => {
        const lift = up * Math.min(34, 10 + Math.abs(a.x - b.x) / 5);
        return `M${a.x} ${y(a)}Q${(a.x + b.x) / 2} ${(y(a) + y(b)) / 2 + lift * 1.6} ${b.x} ${y(b)}`;
      };
      const apart = (head) => 3 * (head - (heads().length - 1) / 2);
      lines.replaceChildren(
        ...links.flatMap(({ group, head, row, column, share }) => {
          const which = group.split(" ")[0];
          const from = (which === "encoder" ? syllables : written)[row];
          const to = which === "decoder" ? written[column - 1] : syllables[column];
          if (!from || !to) return []; // (start) has no box
          // Side by side: heads that read the same would hide each other.
          const [start, end] = [from, to].map((spot) => ({ ...spot, x: spot.x + apart(head) }));
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          const middle = (start.top + end.bottom) / 2;
          path.setAttribute(
            "d",
            which === "encoder"
              ? arc(start, end, ({ top }) => top, -1)
              : which === "decoder"
                ? arc(start, end, ({ bottom }) => bottom, 1)
                : `M${start.x} ${start.top}C${start.x} ${middle} ${end.x} ${middle} ${end.x} ${end.bottom}`,
          );
          path.setAttribute("class", `lt-h${head % 4}` + (group.endsWith("0") ? " early" : ""));
          path.setAttribute("stroke-width", (0.6 + 4 * share).toFixed(2));
          path.dataset.link = `${group}/${head} ${row} ${column} ${share.toFixed(4)}`;
          return [path];
        }),
      );
    };
    const linksOf = (group, head, row, least) =>
      run.maps[group][head][row].flatMap((share, column) =>
        share < least ? [] : [{ group, head, row, column, share }],
      );
    const top = (group, head, row) => {
      const shares = run.maps[group][head][row],
        best = shares.indexOf(Math.max(...shares)),
        word = sides(group)[1][best];
      return `${group.startsWith("decoder") ? quoted(word) : say(word)} ${two(shares[best])}`;
    };
    // A head that is pointed at shows its own lines; otherwise the picked piece shows its.
    let looking = null;
    const look = (at = looking) => {
      looking = at;
      if (!run.pieces) return; // its weights are still on their way
      if (at) showHead(...at);
      else showPiece();
    };
    const showPiece = () => {
      const row = piece(),
        cross = groups().filter((group) => group.startsWith("cross") && run.maps[group]);
      [...target.children].forEach((node, i) => node.setAttribute("aria-pressed", String(i === row)));
      drawLines(
        cross.flatMap((group) =>
          heads().flatMap((head) => (off().includes(`${group}/${head}`) ? [] : linksOf(group, head, row, 0.05))),
        ),
      );
      const sure = run.shares[row] == null ? "" : `, probability ${two(run.shares[row])}`;
      const each = cross.map(
        (group) =>
          `${group}: ` +
          heads()
            .map((head) => top(group, head, row))
            .join(", "),
      );
      reads.textContent =
        `${quoted(run.texts[row])}${sure}. ` +
        (each.length ? `Each head reads most, ${each.join("; ")}.` : "Nothing was read.");
    };
    const showHead = (group, head) => {
      const map = run.maps[group][head],
        [queries] = sides(group);
      drawLines(map.flatMap((_, row) => linksOf(group, head, row, 0.2)));
      const most = map.map(
        (_, row) => `${group.startsWith("encoder") ? say(queries[row]) : quoted(queries[row])} ← ${top(group, head, row)}`,
      );
      reads.textContent = `${group}, head ${head}: ${READS[group.split(" ")[0]]}. Most at each: ${most.join(", ")}.`;
    };

    const flip = (keys, on) =>
      put(
        model,
        "off",
        every().filter((key) => (keys.includes(key) ? !on : off().includes(key))),
      );
    const tile = (group, head) => {
      const key = `${group}/${head}`,
        share = costs()?.["without one head"]?.[group]?.[head];
      const map = run.maps[group][head],
        width = Math.max(...map.map((row) => row.length));
      const square = map.map((row) => [...row, ...Array(width - row.length).fill(0)]);
      return make(
        "button",
        {
          "data-key": key,
          class: "lt-tile",
          style: `--cost: ${share == null || !model.get("revealed") ? 0 : 1 - share}`,
          "aria-pressed": String(!off().includes(key)),
          "aria-label":
            nameOf(key) +
            (off().includes(key) ? " off" : "") +
            (model.get("revealed") && share != null ? `; without it ${two(share)} of the days are right` : ""),
          onclick: () => flip([key], off().includes(key)),
          onfocus: () => look([group, head]),
          onmouseenter: () => look([group, head]),
          onblur: () => look(null),
          onmouseleave: () => look(null),
        },
        thumbnail(square),
        make("span", {}, off().includes(key) ? `${head} off` : String(head)),
        model.get("revealed") && share != null ? make("span", { class: "lt-cost" }, two(share)) : null,
      );
    };
    const groupRow = (group) => {
      const keys = heads().map((head) => `${group}/${head}`),
        allOff = keys.every((key) => off().includes(key)),
        share = costs()?.["without the group"]?.[group];
      const guess = make("input", {
        type: "checkbox",
        "data-guess": group,
        "aria-label": `can go: ${group}`,
        disabled: model.get("revealed"),
        onchange: () =>
          put(
            model,
            "may_go",
            groups().filter((one) => (one === group) !== model.get("may_go").includes(one)),
          ),
      });
      guess.checked = model.get("may_go").includes(group);
      return make(
        "div",
        { class: "lt-row" },
        make(
          "div",
          { class: "lt-name" },
          make("strong", {}, group),
          make("span", { class: "note" }, READS[group.split(" ")[0]]),
          make(
            "span",
            {},
            make(
              "button",
              {
                "data-row": group,
                "aria-pressed": String(allOff),
                "aria-label": `${group}: all off`,
                onclick: () => flip(keys, allOff),
              },
              "all off",
            ),
            share == null
              ? null
              : model.get("revealed")
                ? make("span", { class: "lt-cost" }, `${two(share)} right without`)
                : make("label", {}, guess, "can go"),
          ),
        ),
        make(
          "div",
          { class: "lt-tiles", style: `--heads: ${keys.length}` },
          ...heads().map((head) => tile(group, head)),
        ),
      );
    };
    const worst = () => {
      const known = costs()?.["without one head"];
      return (
        known &&
        every().reduce((a, b) => {
          const share = (key) => known[key.split("/")[0]][key.split("/")[1]];
          return share(b) < share(a) ? b : a;
        })
      );
    };
    const only = (keys) =>
      put(
        model,
        "off",
        every().filter((key) => keys.includes(key)),
      );
    const half = () => {
      const all = every();
      for (let i = all.length - 1; i > 0; i--) {
        const j = Math.floor(Math.random() * (i + 1));
        [all[i], all[j]] = [all[j], all[i]];
      }
      only(all.slice(0, Math.floor(all.length / 2)));
    };
    const drawPresets = () => {
      const button = (name, text, act) => make("button", { "data-key": name, onclick: act }, text);
      redraw(
        presets,
        ...(every().length
          ? [
              button("on", "All on", () => only([])),
              worst() && button("worst", "Most needed head off", () => only([worst()])),
              button("half", "A random half off", half),
            ].filter(Boolean)
          : []),
      );
    };
    const drawVerdict = () => {
      const known = costs()?.["without the group"];
      if (!known) return redraw(verdict);
      if (!model.get("revealed"))
        return redraw(
          verdict,
          "Guess first: which groups can go whole, so that more than half of all dates still come out right? Tick them. ",
          make("button", { "data-key": "reveal", onclick: () => put(model, "revealed", true) }, "Then compare"),
        );
      const days = model.get("days_asked").toLocaleString("en");
      const can = groups().filter((group) => known[group] > 0.5),
        hits = groups().filter((group) => can.includes(group) === model.get("may_go").includes(group)).length;
      redraw(
        verdict,
        `You said ${model.get("may_go").length ? list(model.get("may_go")) : "none"} can go: right about ${hits} of ${groups().length}. ` +
          `More than half of the dates still come out right without ${list(can) || "none of them"}. ` +
          `Numbers and tint say which share of ${days} days that the model never saw is right without a head, or a group; with all heads on it is ${costs().right.toFixed(4)}.`,
      );
    };
    const drawGrid = () => {
      redraw(grid, ...groups().map(groupRow));
      headStop();
    };
    const drawSays = () => {
      const gone = off().filter((key) => every().includes(key));
      const without =
        gone.length === 0
          ? ""
          : gone.length > 4
            ? ` with ${gone.length} of ${every().length} heads off`
            : ` without ${list(gone.map(nameOf))}`;
      says.textContent =
        `It writes ${quoted(run.line)}${without}: ` +
        (run.problems ? `wrong. ${capital(run.problems.join("; "))}. It should be ${quoted(run.right)}.` : "right.") +
        (kind().about ? " " + kind().about : "");
    };
    const again = make(
      "button",
      {
        onclick: () => {
          run.turn = (run.turn ?? 0) + 1;
          drawAll(true);
        },
      },
      "Write it again",
    );
    again.hidden = !kind().drawn; // at once: a row that gets shorter would move what stands below
    // Some models are computed by Python, where there is a kernel to ask.
    const wish = () => ({ kind: model.get("kind"), day: model.get("day"), off: off(), turn: run.turn ?? 0 });
    const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
    const askPython = () => {
      const { to, problem } = model.get("answer");
      if (same(to, wish())) says.textContent = `Python says: ${problem}`;
      else if (!model.get("live"))
        says.textContent = "Python computes this model, and here is none to ask. Run this in a notebook.";
      else {
        says.textContent = "Python translates.";
        if (!same(model.get("asked"), wish())) put(model, "asked", wish());
      }
    };
    const answered = () => same(model.get("answer").to, wish()) && !model.get("answer").problem;
    const bring = async () => {
      const wanted = kind();
      says.textContent = "The weights are on their way.";
      try {
        wanted.weights = await fetchWeights(wanted.file);
      } catch {
        says.textContent = `The weights are not there. They belong beside the page, in _static/translators/${wanted.file}.js.`;
        return;
      }
      if (wanted === kind()) drawAll(true);
    };
    const draw = (fresh) => {
      run.drawn = true;
      again.hidden = !kind().drawn; // the kind may be another
      drawSource();
      drawTarget(fresh);
      drawSays();
      drawPresets();
      drawGrid();
      drawVerdict();
      legend.hidden = hint.hidden = !every().length;
      look();
    };
    const drawAll = (fresh, then = (task) => task()) => {
      if (!run.seen) return;
      if (kind().file && !kind().weights) return bring();
      if (kind().python && !answered()) return askPython();
      translate();
      then(() => draw(fresh));
    };

    const hint = make(
      "p",
      { class: "note lt-hint" },
      "Each tile is one head: its map for this date. Press it to switch the head off, point at it to see what it reads.",
    );
    const day = make("input", {
      type: "date",
      min: "1900-01-01",
      max: "2099-12-31",
      onchange: () => day.checkValidity() && day.value && put(model, "day", day.value),
    });
    const pickDay = () => {
      const days = model.get("days").filter((one) => one !== model.get("day"));
      put(model, "day", days[Math.floor(Math.random() * days.length)]);
    };
    frame(el);
    el.append(
      make(
        "div",
        { class: "viewer-row" },
        make("label", {}, "Day ", day),
        model.get("days").length ? make("button", { onclick: pickDay }, "Any day it never saw") : null,
        models.length > 1
          ? choice(
              "Attention",
              models.map((one) => [one.kind, one.kind]),
              model,
              "kind",
            )
          : null,
        again,
      ),
      says,
      stage,
      legend,
      reads,
      presets,
      ...(model.get("small") ? [] : [verdict, hint, grid]),
    );
    const setDay = () => (day.value = model.get("day"));
    setDay();
    model.on("change:day", () => (setDay(), drawAll(true)));
    model.on("change:kind", () => (put(model, "off", []), drawAll(true)));
    model.on("change:off", () => drawAll());
    model.on("change:answer", () => kind().python && drawAll(true));
    model.on("change:piece", () => run.seen && look(null));
    for (const trait of ["may_go", "revealed"])
      model.on("change:" + trait, () => run.drawn && (drawGrid(), drawVerdict()));
    // Nothing is unpacked or computed before it can be seen.
    new IntersectionObserver(
      (entries, observer) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        run.seen = true;
        drawAll(true, (task) => setTimeout(task)); // in between, a phone answers its reader
        new ResizeObserver(() => run.drawn && look()).observe(stage);
      },
      { rootMargin: "200px" },
    ).observe(el);
  },
};
