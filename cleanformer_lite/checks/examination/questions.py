"""Ask every attention about its parameters, its inputs, and whether its calls agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.observe import leaves
from cleanformer_lite.checks.examination.bench import Bench, differ, put
from cleanformer_lite.checks.examination.errors import NotAskedError, short
from cleanformer_lite.checks.examination.expect import Expect
from cleanformer_lite.checks.examination.finding import Finding, ModuleReport
from cleanformer_lite.checks.examination.known import named, worst
from cleanformer_lite.checks.examination.trace import watch


@dataclass
class Examination:
    """One attention under examination: its bench, what it is meant to do, and its findings."""

    bench: Bench
    expect: Expect
    report: ModuleReport
    owned: set[int]
    heads: int = 1

    def bug(self, finding: Finding) -> None:
        """Add a finding, once for each mistake."""
        if not any(f.mistake and f.mistake == finding.mistake for f in self.report.findings):
            self.report.findings.append(finding)

    @property
    def is_causal(self) -> bool:
        """Whether no token reads a later one in the recorded call."""
        return "no token reads a later one" in self.report.holds

    def rename(self, mistake: str, to: str) -> None:
        """Replace the mistake of a finding by a more exact one."""
        self.report.findings = [
            named(to, f.what, tried=f.tried, yours=f.yours, target=f.target)
            if f.mistake == mistake
            else f
            for f in self.report.findings
        ]

    def found(self, mistakes: tuple[str, ...]) -> bool:
        """Say whether one of these mistakes was found."""
        return any(finding.mistake in mistakes for finding in self.report.findings)

    def ask(self, what: str, question: Callable[[Examination], bool | None]) -> None:
        """Ask one question; True means that it holds, None that it has reported itself."""
        try:
            if question(self):
                self.report.holds.append(what)
        except NotAskedError as reason:
            self.report.unknown.append(f"{what} ({reason})")
        except Exception as error:
            self.report.unknown.append(f"{what} ({short(error, 90)})")


def keeps_its_weights(exam: Examination) -> bool | None:
    """Ask whether every parameter in use is registered, and the same in the next call."""
    bench = exam.bench
    first, second = bench.call().output, bench.call().output
    if not first.requires_grad and any(True for _ in bench.module.parameters()):
        exam.bug(
            named(
                "gradient_lost",
                "its output has no gradient",
                tried="output.requires_grad",
                yours="False",
                target="True",
            )
        )
        return None
    given = {id(leaf) for leaf in leaves(first)}
    known = {id(p) for p in bench.module.parameters()} | exam.owned
    fresh = [leaf for leaf in leaves(second) if id(leaf) not in given]
    # What a cache keeps of an earlier question is no weight: it has the shape of the tokens.
    kept = {bench.x.shape, bench.source.shape}
    hidden = [v for v in leaves(first) if id(v) not in known and v.shape not in kept]
    if fresh:
        exam.bug(
            named(
                "built_in_forward",
                f"{len(fresh)} parameters are made anew in every call",
                tried="two calls in eval()",
                yours=f"{len(fresh)} new parameters",
                target="the same parameters",
            )
        )
        return None
    if hidden:
        exam.bug(
            named(
                "plain_list",
                f"{len(hidden)} parameters in use are not registered",
                tried="parameters()",
                yours=f"{len(hidden)} missing",
                target="every parameter in use",
            )
        )
        return None
    return True


def agrees_with_itself(exam: Examination) -> bool | None:
    """Ask whether two calls in evaluation mode give the same output."""
    bench = exam.bench
    if any(f.mistake == "built_in_forward" for f in exam.report.findings):
        return None
    state = torch.get_rng_state()
    first, seen = watch(lambda: bench.call().output)
    second = bench.call().output
    if not differ(first, second, first):
        return True
    if exam.found(("plain_list",)):
        exam.report.notes.append("eval() does not reach layers that are not registered")
        return None
    torch.set_rng_state(state)
    again = bench.call().output
    where, yours, target = worst(second, first)
    if differ(first, again, first):
        exam.report.notes.append("a call changes the next one, because a buffer keeps something")
        return None
    name = "dropout_in_eval" if seen.dropped else "random_in_eval"
    case = {"tried": f"the same input twice in eval(), output{where}"}
    exam.bug(named(name, "random in eval()", **case, yours=yours, target=target))
    return None


def leaves_its_input(exam: Examination) -> bool | None:
    """Ask whether the caller's tensors stay unchanged."""
    bench = exam.bench
    kept = [t.clone() for t in _given(bench)]
    x = bench.source.clone()
    args, kwargs = list(bench.args), dict(bench.kwargs)
    put(args, kwargs, bench.context or bench.inputs, x)
    if bench.context:
        put(args, kwargs, bench.inputs, bench.x)
    bench.module(*args, **kwargs)
    changed = not torch.equal(x, bench.source)
    others = any(
        not torch.equal(a.nan_to_num(), b.nan_to_num())
        for a, b in zip(kept, _given(bench), strict=True)
    )
    if not changed and not others:
        return True
    where, yours, target = worst(x, bench.source)
    exam.bug(
        named(
            "input_changed_in_place",
            "the call changes an argument",
            tried=f"x{where} after the call",
            yours=yours,
            target=target,
        )
    )
    return None


def _given(bench: Bench) -> list[Tensor]:
    return [value for value in (*bench.args, *bench.kwargs.values()) if isinstance(value, Tensor)]


def keeps_samples_apart(exam: Examination) -> bool | None:
    """Ask whether each sample is independent of the others in its batch."""
    bench = exam.bench
    if bench.batch < 2:
        raise NotAskedError("the example has one sample")
    with torch.no_grad():
        before = bench.tokens(bench.call().output)
        after = bench.tokens(bench.call(bench.changed(slice(None), sample=bench.batch - 1)).output)
    if not differ(before[0], after[0], before):
        return True
    where, yours, target = worst(after[0], before[0])
    exam.bug(
        named(
            "samples_mixed",
            "samples of a batch read each other",
            tried=f"sample {bench.batch - 1} changed, output[0]{where}",
            yours=yours,
            target=target,
        )
    )
    return None


def trains_every_matrix(exam: Examination) -> bool | None:
    """Ask whether every parameter matrix gets a gradient."""
    bench = exam.bench
    output = bench.call().output
    factors = torch.linspace(0.7, 1.9, output.numel(), dtype=output.dtype).view(output.shape)
    owned = [
        (name, p) for name, p in bench.module.named_parameters() if p.dim() >= 2 and p.requires_grad
    ]
    if not owned:
        return None
    grads = torch.autograd.grad((output * factors).sum(), [p for _, p in owned], allow_unused=True)
    idle = [n for (n, _), g in zip(owned, grads, strict=True) if g is None or not bool(g.any())]
    if not idle:
        return True
    lost = [name for name in idle if _moves_output(bench, dict(owned)[name], output)]
    if lost:
        exam.bug(
            named(
                "gradient_lost",
                f"no gradient reaches {', '.join(lost[:4])}, though the output depends on it",
                tried=f"a change of {lost[0]}, and its gradient",
                yours="the output changes, the gradient is zero",
                target="a gradient",
            )
        )
        return None
    exam.report.notes.append(f"{', '.join(idle[:4])} is not used in this call")
    return None


@torch.no_grad()
def _moves_output(bench: Bench, weight: Tensor, before: Tensor) -> bool:
    """Say whether the output changes with a parameter."""
    kept = weight.clone()
    weight.mul_(1.5).add_(0.1)
    after = bench.call().output
    weight.copy_(kept)
    return differ(after, before, before)
