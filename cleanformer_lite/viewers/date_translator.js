// The translator of Korean dates, computed in the page: the steps of cleanformer_lite/transformer.py
// for one date, with the decoder's keys and values kept from piece to piece.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const [START, END, MOST_PIECES] = [1, 2, 16];

// One letter a weight: a whole number from -31 to 31, times the step of its row.
const unpack = ({ tensors, letters }) => {
  const number = new Int8Array(128);
  [...LETTERS].forEach((letter, i) => (number[letter.charCodeAt()] = i - 31));
  const weights = {};
  let at = 0;
  for (const [name, shape, steps] of tensors) {
    const columns = shape.at(-1),
      values = (weights[name] = new Float32Array(columns * steps.length));
    for (let i = 0; i < values.length; i++) values[i] = number[letters.charCodeAt(at + i)] * steps[Math.floor(i / columns)];
    at += values.length;
  }
  return weights;
};

// weight (outputs, inputs), tokens: each (inputs,) -> each (outputs,)
const linear = (weight, bias, tokens) =>
  tokens.map((row) => {
    const width = row.length,
      out = new Float32Array(weight.length / width);
    for (let o = 0; o < out.length; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0, w = o * width; i < width; i++) sum += weight[w + i] * row[i];
      out[o] = sum;
    }
    return out;
  });

const layerNorm = (weight, bias, tokens) =>
  tokens.map((row) => {
    const mean = row.reduce((a, b) => a + b) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((x, i) => ((x - mean) / Math.sqrt(variance + 1e-5)) * weight[i] + bias[i]);
  });

const softmaxOf = (scores) => {
  const top = Math.max(...scores),
    powers = scores.map((score) => Math.exp(score - top)),
    total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
};

const add = (tokens, others) => tokens.map((row, i) => row.map((x, j) => x + others[i][j]));

const position = (place, E) =>
  Float32Array.from({ length: E }, (_, i) => {
    const angle = place * Math.exp((-Math.log(10000) * (i - (i % 2))) / E);
    return i % 2 ? Math.cos(angle) : Math.sin(angle);
  });

// `random` draws what heads built in forward need; a Transformer that keeps its heads never asks.
const dateTranslator = ({ embed_dim: E, num_heads: H, layers }, weights, random = Math.random) => {
  const D = E / H;
  const apply = (name, tokens) => linear(weights[name + ".weight"], weights[name + ".bias"], tokens);
  const norm = (name, tokens) => layerNorm(weights[name + ".weight"], weights[name + ".bias"], tokens);

  // Three layers that live for one call, as nn.Linear starts them: uniform within 1 / sqrt(E).
  const drawn = () => {
    const draw = (size) => Float32Array.from({ length: size }, () => (2 * random() - 1) / Math.sqrt(E));
    const layers = { q: [draw(E * E), draw(E)], k: [draw(E * E), draw(E)], v: [draw(E * E), draw(E)] };
    return (part, tokens) => linear(...layers[part], tokens);
  };
  const keepsHeads = "encoder.0.attention.q_proj.weight" in weights;
  const projections = (path) => (keepsHeads ? (part, tokens) => apply(`${path}.${part}_proj`, tokens) : drawn());

  // tokens (L, E) ask; `sources` are new keys, beside those in `past`; maps take (H, L, S).
  const attend = (path, group, tokens, sources, past, run, causal = false) => {
    const project = projections(path);
    const first = past.k.length;
    past.k.push(...project("k", sources));
    past.v.push(...project("v", sources));
    const read = tokens.map(() => new Float32Array(E));
    const maps = (run.maps[group] ??= Array.from({ length: H }, () => []));
    project("q", tokens).forEach((q, l) => {
      const S = causal ? first + l + 1 : past.k.length;
      for (let h = 0; h < H; h++) {
        const scores = new Array(S);
        for (let s = 0; s < S; s++) {
          let sum = 0;
          for (let d = h * D; d < h * D + D; d++) sum += q[d] * past.k[s][d];
          scores[s] = sum / Math.sqrt(D);
        }
        const shares = softmaxOf(scores);
        maps[h].push(shares);
        if (run.off.has(`${group}/${h}`)) continue; // its part stays zero
        for (let s = 0; s < S; s++) for (let d = h * D; d < h * D + D; d++) read[l][d] += shares[s] * past.v[s][d];
      }
    });
    return apply(path + ".out_proj", read);
  };
  const think = (path, tokens) => {
    const hidden = apply(path + ".0", tokens).map((row) => row.map((x) => Math.max(0, x)));
    return apply(path + ".2", hidden);
  };
  const embed = (numbers, first) =>
    numbers.map((number, l) => {
      const mark = position(first + l, E);
      return mark.map((x, i) => x + weights["embedding.weight"][number * E + i] * Math.sqrt(E));
    });
  const empty = () => ({ k: [], v: [] });

  const encode = (source, run) => {
    let x = embed(source, 0);
    for (let i = 0; i < layers; i++) {
      const block = `encoder.${i}`,
        asks = norm(block + ".attention_norm", x);
      x = add(x, attend(block + ".attention", `encoder ${i}`, asks, asks, empty(), run));
      x = add(x, think(block + ".feed_forward", norm(block + ".feed_forward_norm", x)));
    }
    return norm("encoder_norm", x);
  };
  const decode = (numbers, first, memory, pasts, run) => {
    let x = embed(numbers, first);
    for (let i = 0; i < layers; i++) {
      const block = `decoder.${i}`,
        [own, read] = pasts[i],
        asks = norm(block + ".attention_norm", x);
      x = add(x, attend(block + ".attention", `decoder ${i}`, asks, asks, own, run, true));
      const sources = read.k.length ? [] : memory;
      const questions = norm(block + ".cross_norm", x);
      x = add(x, attend(block + ".cross_attention", `cross ${i}`, questions, sources, read, run));
      x = add(x, think(block + ".feed_forward", norm(block + ".feed_forward_norm", x)));
    }
    const [logits] = linear(weights["embedding.weight"], null, norm("decoder_norm", x).slice(-1));
    return logits;
  };

  // Numbers of Korean pieces -> numbers of English pieces, their shares, and every head's map.
  return (source, off = new Set()) => {
    const run = { off, maps: {} },
      pieces = [START],
      shares = [];
    const memory = encode(source, run);
    let pasts = Array.from({ length: layers }, () => [empty(), empty()]);
    while (pieces.length <= MOST_PIECES && pieces.at(-1) !== END) {
      let first = pieces.length - 1;
      if (!keepsHeads) {
        // New heads at every piece: nothing of the last call can be kept.
        pasts = pasts.map(() => [empty(), empty()]);
        first = 0;
        for (const group of Object.keys(run.maps)) if (!group.startsWith("encoder")) delete run.maps[group];
      }
      const logits = Array.from(decode(pieces.slice(first), first, memory, pasts, run));
      const best = logits.indexOf(Math.max(...logits));
      shares.push(softmaxOf(logits)[best]);
      pieces.push(best);
    }
    return { pieces: pieces.slice(1), shares, maps: run.maps };
  };
};

// Dates in both languages, as cleanformer_lite/translation/korean_dates.py writes them.
const ONES = ["", ..."일이삼사오육칠팔구"];
const sinoKorean = (number) =>
  [...String(number).padStart(4, "0")]
    .map((digit, i) => {
      const unit = ["천", "백", "십", ""][i];
      return digit === "0" ? "" : (digit === "1" && unit ? "" : ONES[digit]) + unit;
    })
    .join("");
const readDay = (text) => {
  const [year, month, number] = text.split("-").map(Number);
  return { year, month, number, weekday: (new Date(Date.UTC(year, month - 1, number)).getUTCDay() + 6) % 7 };
};
const inKorean = ({ year, month, number, weekday }) => [
  sinoKorean(year) + "년",
  ({ 6: "유", 10: "시" }[month] ?? sinoKorean(month)) + "월",
  sinoKorean(number) + "일",
  "월화수목금토일"[weekday] + "요일",
];
// `pieces` lists names with what follows them: "Monday, " and, seven further, "January ".
const inEnglish = ({ year, month, number, weekday }, pieces) => {
  const monday = pieces.indexOf("Monday, ");
  return `${pieces[monday + weekday]}${pieces[monday + 6 + month]}${number}, ${year}`;
};
