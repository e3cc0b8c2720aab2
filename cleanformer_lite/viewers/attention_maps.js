// The weights of every head, for both families, as torch computes them.
// Split first means: a row of head h has weights for the columns of head h alone.
const keep = (weight, width, blocked) =>
  weight.map((row, i) => row.map((w, j) => (blocked && Math.floor(i / width) !== Math.floor(j / width) ? 0 : w)));
const project = (x, weight, bias) =>
  x.map((place) => weight.map((row, i) => row.reduce((sum, w, j) => sum + w * place[j], bias[i])));
const softmax = (scores) => {
  const top = Math.max(...scores),
    powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
};
const maps = (x, state, blocked) => {
  const width = x[0].length / state.heads;
  const q = project(x, keep(state.q_weight, width, blocked), state.q_bias);
  const k = project(x, keep(state.k_weight, width, blocked), state.k_bias);
  const slice = (place, head) => place.slice(head * width, (head + 1) * width);
  const score = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0) / Math.sqrt(width);
  return Array.from({ length: state.heads }, (_, head) =>
    q.map((ours) => softmax(k.map((theirs) => score(slice(ours, head), slice(theirs, head))))),
  );
};
const largest = (a, b) => Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i][j]))));
