// What the stage says: each step in a sentence, each number by its name and as a sum.
const LABELS = { qkv: "q k v", mask: "÷ √D, mask", values: "× v" };
const captionOf = (step, all, state) => {
  const { E, D, H, sliced } = all,
    mine = sliced ? `its own ${E / H}` : `all ${E}`;
  const many = H > 1;
  return {
    words: `${"_ One Two Three Four Five Six".split(" ")[all.L]} word${all.L > 1 ? "s" : ""}. Attention lets each of them read the others.`,
    x:
      `Each word is a row of ${E} numbers. ` +
      (!many
        ? ""
        : sliced
          ? "A head reads its own part of each row, and nothing else."
          : "Every head reads every number.") +
      (many ? " Point at a number to see who can know it." : ""),
    W:
      `Learned weights. A column makes one number of a query, a key or a value out of ${mine} numbers of x.` +
      (sliced ? " Outside the blocks there is nothing." : ""),
    qkv: `Row on the left times column above. So every number of q, k and v mixes ${mine} numbers of x.`,
    split:
      state.mode === "split"
        ? `Only now something is cut: the columns of q, k and v go to the heads, ${D} to each. No number changes.`
        : "Nothing to cut: each head has made its own q, k and v.",
    scores: "Each query meets each key: row of q times column of k. A large score is a good fit.",
    mask:
      `Divided by √${D}, so that the scores do not grow with the width of a head. ` +
      (state.causal ? "The mask hides the words that come later." : "No mask: each word may read all words."),
    softmax: "Softmax turns each row into shares that sum to 1.",
    values: "Each word takes a mean of the values, weighted by its shares.",
    merge: "The heads' answers are laid side by side again. No number changes.",
    W_O: "One more matrix mixes what the heads found.",
    output: "The same output as a sum: each head adds its part. Silence one, and its part is gone.",
  }[step];
};
const FORMULA = [
  ["softmax(", "softmax"],
  ["q", "W qkv split scores", "query"],
  [" kᵀ", "W qkv split scores", "key"],
  [" / √D", "mask"],
  [") ", "softmax"],
  ["v", "W qkv split values", "value"],
  [" W_O", "W_O output"],
];

const SHOWN = { scores: "score", mask: "score" };
const titleOf = (name, all, step) =>
  ({
    s: (SHOWN[step] ?? "share") + "s",
    o: step === "merge" ? "answers, side by side" : "answers",
    p: `part of head ${name[2]}` + (all.on(Number(name[2])) ? "" : ": silenced"),
    b: "bias",
    y: "output",
    w: `W_${name.at(-1).toUpperCase()}`,
  })[name[0]] ?? name;

const nameOf = (key, all, { words, step }) => {
  const [name, a, b, c] = parse(key);
  const word = (i) => `“${words[i]}”`,
    of = (n) => (all.H > 1 ? ` (head ${Math.floor(n / all.D)})` : "");
  const tensor = name.at(-1);
  return {
    x: () => `x of ${word(a)}, number ${b}`,
    s: () => `${all.H > 1 ? `Head ${a}: ` : ""}${SHOWN[step] ?? "share"} of ${word(b)} for ${word(c)}`,
    p: () => `Head ${a}’s part for ${word(b)}, number ${c}`,
    b: () => `Bias of ${tensor === "o" ? "the output" : tensor}, number ${b}`,
    w: () =>
      tensor === "o"
        ? `W_O, from number ${a}${of(a)} to number ${b} of the output, out_proj.weight[${b}, ${a}]`
        : `W_${tensor.toUpperCase()}, from number ${a} of x to number ${b} of ${tensor}${of(b)}, ${tensor}_proj.weight[${b}, ${a}]`,
    o: () => `Answer for ${word(a)}, number ${b}${of(b)}`,
    y: () => `Output for ${word(a)}, number ${b}`,
  }[name[0]]?.() ?? `${name} of ${word(a)}, number ${b}${of(b)}`;
};
const who = (feature, all) => {
  const [yes, no] = [true, false].map((known) => range(all.H).filter((h) => knows(all, h, feature) === known));
  const list = (heads) => `head${heads.length > 1 ? "s" : ""} ${heads.join(" and ")}`;
  return (
    (yes.length ? ` Known to ${list(yes)}.` : "") + (no.length ? ` ${list(no).replace("h", "H")} cannot know it.` : "")
  );
};
const explain = (key, all, state) => {
  const name = nameOf(key, all, state),
    kind = kindAt(key, state.step);
  const value = all.valueOf(kind),
    sum = sumOf(all, kind);
  if (value === null) return `${name}: nothing. This head does not read that number of x.`;
  if (key[0] === "s" && !sum) return `${name}: ${short(value)}, masked: it comes later.`;
  const head = key[0] === "x" && all.H > 1 && state.weights.o ? who(parse(key)[2], all) : "";
  return `${name}: ${short(value)}${sum && ` = ${sum}`}.${head}`;
};
