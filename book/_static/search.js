// The search: MiniSearch ranks the sections of the book; this shows them, each with the words around the match.
{
  const AROUND = 90; // letters of an excerpt on each side of its first match
  const STOP = new Set("a an and are as at be by do does for how i if in is it of on or that the this to what why with".split(" "));
  const form = document.querySelector(".bd-search-container form"), field = form.querySelector("input");
  const results = document.querySelector("#search-results"), count = document.querySelector("#search-count");
  const make = (tag, text = "", properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);
  // Plurals and the like are the same word here: sees, see; heads, head; registered, register.
  const stem = (word) => (word.length > 3 ? word.replace(/(?<=[^s])s$|(?<=er)ed$/, "") : word);
  // A name in code is found whole and by its words: split_heads, split, heads; sqrt, square, root.
  const clean = (word) => {
    const whole = word.toLowerCase(), words = whole.replace(/^sqrt$/, "sqrt_square_root").split("_").filter((part) => part && !STOP.has(part)).map(stem);
    return words.length > 1 ? [whole, ...words] : words[0] ?? null;
  };
  const split = (text) => text.split(/[^\p{L}\p{N}_]+/u).filter((word) => word);
  const phrase = (text) => split(text.toLowerCase()).map(stem).join(" ");

  const engine = new MiniSearch({
    idField: "id", fields: ["title", "heading", "text"], processTerm: clean, tokenize: split,
    storeFields: ["page", "anchor", "title", "heading", "text"],
  });
  const phrases = SECTIONS.map((section) => ` ${phrase(section.text)} ${phrase(section.heading)} `);
  engine.addAll(SECTIONS.map((section, id) => ({ id, ...section })));

  // A page that opens with the words asks about them.
  const opens = (id, asked) => phrases[id].slice(0, 150).includes(asked);
  const look = (query) => {
    const asked = ` ${phrase(query)} `, several = asked.trim().includes(" ");
    const settings = {
      prefix: (word) => word.length > 2, fuzzy: (word) => (word.length > 5 ? 0.2 : false),
      boost: { heading: 4, title: 2 }, weights: { prefix: 0.4, fuzzy: 0.2 },
      boostDocument: (id, _, { page, anchor }) =>
        (several && phrases[id].includes(asked) ? 8 : 1) * (anchor ? 1 : several && opens(id, asked) ? 6 : 2)
        * (/\/solutions\/|\/species$/.test(page) ? 0.15 : /\/\d/.test(page) ? 1.5 : 1), // a chapter explains
    };
    const all = engine.search(query, { ...settings, combineWith: "AND" });
    return all.length ? all : engine.search(query, settings);
  };

  const excerpt = ({ text, terms }) => {
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${terms.join("|")})(?:s|ed)?(?![\\p{L}\\p{N}_])`, "giu");
    const first = Math.max(text.search(pattern), 0);
    const start = first > AROUND ? text.indexOf(" ", first - AROUND) + 1 : 0;
    const piece = text.slice(start, first + 2 * AROUND), line = make("p");
    if (start) line.append("… ");
    let end = 0;
    for (const match of piece.matchAll(pattern)) {
      line.append(piece.slice(end, match.index), make("mark", match[0]));
      end = match.index + match[0].length;
    }
    line.append(piece.slice(end), start + piece.length < text.length ? " …" : "");
    return line;
  };

  const show = () => {
    const query = field.value.trim(), found = query ? look(query).slice(0, 30) : [];
    const pages = new Set(found.map(({ page }) => page)).size;
    count.textContent = !query ? "" : !found.length ? `Nothing in the book matches “${query}”.`
      : `${found.length} ${found.length > 1 ? "sections" : "section"} on ${pages} ${pages > 1 ? "pages" : "page"}`;
    const words = query.toLowerCase().split(/\s+/).filter((word) => clean(word)).join(" ");
    results.replaceChildren(...found.map((section) => {
      const item = make("li"), to = `${section.page}.html?highlight=${encodeURIComponent(words)}`;
      item.append(make("a", section.heading, { href: to + (section.anchor && `#${section.anchor}`) }));
      if (section.anchor) item.append(make("span", ` in ${section.title}`));
      item.append(excerpt(section));
      return item;
    }));
  };

  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.focus();
  field.select();
  show();
  field.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
    history.replaceState(null, "", `?q=${encodeURIComponent(field.value)}`);
  });
}
