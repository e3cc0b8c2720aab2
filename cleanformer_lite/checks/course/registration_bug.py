"""Exercises of the chapter on layers that nobody registered: count them, find them, mend them."""

from collections.abc import Callable

from torch import Generator, nn

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.module_probe import ModuleProbe
from cleanformer_lite.checks.engine.trials import Contract
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import MISTAKES, known_in


def sizes_case(name: str, fails: str, embed_dim: int, num_heads: int) -> Case:
    """A case of `count_parameters`."""

    def make(generator: Generator) -> Arguments:
        return {"embed_dim": embed_dim, "num_heads": num_heads}

    return Case(name, fails, make)


COUNT = Exercise(
    id="registration_bug.count",
    title="What is registered? Say it by reading",
    entry_point="count_parameters",
    prompt=(
        "Read the three modules of this chapter, and write "
        "`count_parameters(embed_dim, num_heads)` without building any of them. It returns a "
        "dictionary with the keys `built_in_forward`, `plain_list` and `module_list`: the number "
        "of weights and biases that `sum(p.numel() for p in module.parameters())` gives for "
        "`HeadsBuiltInForward`, `HeadsInPlainList` and `LoopedMultiHeadAttention`."
    ),
    starter="def count_parameters(embed_dim, num_heads):\n    raise NotImplementedError\n",
    hints=(
        "An `nn.Module` lists the layers that are its attributes, or that stand in an "
        "`nn.ModuleList`.",
        "Two of the three numbers are equal: only the output projection is known to them.",
        "The output projection has E * E + E. The heads have H * 3 * (E * D + D), and only the "
        "`nn.ModuleList` knows them.",
    ),
    points=2,
    minutes=8,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            sizes_case("tiny", "counts", 2, 2),
            sizes_case("large", "any_sizes", 15, 3),
        ),
        reference=references.count_parameters,
        mistakes=known_in("registration_bug.count"),
    ),
)


class Net(nn.Module):
    """A module with layers where they are listed, and attributes of all kinds beside them."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2)
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        for name, value in {"sizes": [2, 3], "names": ["norm"], **attributes}.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        lists = [(name, value) for name, value in vars(self).items() if isinstance(value, list)]
        listed = ", ".join(f"{name} = {_named(value)}" for name, value in lists)
        return f"<blocks = a ModuleList, {listed}>"


def _named(value: object) -> str:
    """Write a list with the kinds of its layers."""
    if isinstance(value, list):
        return f"[{', '.join(map(_named, value))}]"
    return type(value).__name__ if isinstance(value, nn.Module) else repr(value)


def net_case(name: str, fails: str, **lists: list[str]) -> Case:
    """A case of `hidden_layers`; each list is given by the names of its items."""

    def make(generator: Generator) -> Arguments:
        return {"module": Net(**{n: [ITEMS[item]() for item in v] for n, v in lists.items()})}

    return Case(name, fails, make)


ITEMS: dict[str, Callable[[], object]] = {
    "layer": lambda: nn.Linear(2, 2),
    "list of layers": lambda: nn.ModuleList([nn.Linear(2, 2)]),
    "none": lambda: None,
    "text": lambda: "relu",
    "numbers": lambda: [2, [3]],
    "nothing": lambda: [],
}
TWO = ["layer", "layer"]


FIND = Exercise(
    id="registration_bug.find",
    title="Why does this module not learn?",
    entry_point="hidden_layers",
    prompt=(
        "Write `hidden_layers(module)`: the names of those attributes of `module` that are plain "
        "Python lists with layers in them, in the order in which they were set. The optimizer is "
        "told of none of these layers. Lists of numbers or of text are harmless."
    ),
    starter="def hidden_layers(module):\n    raise NotImplementedError\n",
    hints=(
        "`vars(module)` is a dictionary of the attributes that were set in `__init__`.",
        "For each value ask two things: is it a `list`, and is one of its items an `nn.Module`?",
        "`[name for name, value in vars(module).items() if isinstance(value, list) and "
        "any(isinstance(item, nn.Module) for item in value)]`",
    ),
    points=2,
    minutes=8,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            net_case("tiny", "finds_the_list", heads=TWO),
            net_case("none", "finds_nothing_in_a_sound_module"),
            net_case("empty", "an_empty_list_is_harmless", later=[]),
            net_case("mixed", "one_layer_is_enough", heads=["none", "layer"]),
            net_case("text", "one_layer_is_enough", steps=["layer", "text"]),
            net_case("nested", "lists_in_lists_are_no_layers", table=["numbers", "nothing"]),
            net_case("any_layer", "any_kind_of_layer", parts=["numbers", "list of layers"]),
            net_case("several", "finds_all_in_order", late=TWO, heads=TWO, early=TWO),
        ),
        reference=references.hidden_layers,
        mistakes=known_in("registration_bug.find"),
    ),
)


REPAIR = Exercise(
    id="registration_bug.repair",
    title="Mend the module that never learns",
    entry_point="RepairedHeads",
    prompt=(
        "Write `class RepairedHeads(nn.Module)`: `(embed_dim, num_heads)` and "
        "`forward(x) -> output`, both `(N, L, E)`. The starter builds its heads inside `forward`. "
        "Keep what it computes, multi-head attention with an output projection, and let every "
        "weight be registered, be saved and learn."
    ),
    starter="""\
class RepairedHeads(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        head_dim = self.embed_dim // self.num_heads
        outputs = []
        for _ in range(self.num_heads):
            query, key, value = (nn.Linear(self.embed_dim, head_dim)(x) for _ in range(3))
            weights = torch.softmax(query @ key.transpose(-2, -1) / head_dim**0.5, dim=-1)
            outputs.append(weights @ value)
        return self.out_proj(torch.cat(outputs, dim=-1))
""",
    hints=(
        "Call it twice with the same input.",
        "Layers live as long as what holds them. Who holds these, and who knows of them?",
        "Build the layers once, in `__init__`, in an `nn.ModuleList`; `forward` only uses them.",
    ),
    points=3,
    minutes=12,
    difficulty=2,
    probe=ModuleProbe(MISTAKES, Contract(weights=False, masks=False, causal=False, dropout=False)),
)

EXERCISES = (COUNT, FIND, REPAIR)
