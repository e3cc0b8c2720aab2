"""Attention modules as others publish them: how each is built and called, for the survey."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

N, L, E, H = 2, 6, 32, 4
Made = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]
MODULES: dict[str, tuple[str, Callable[[], Made]]] = {}


def tokens(*shape: int) -> Tensor:
    """Draw tokens, `(N, L, E)` unless a shape is given."""
    return torch.randn(shape or (N, L, E))


def entry(package: str, what: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Enter a function that builds a module and its call under `package: what`."""

    def enter(make: Callable[[], Made]) -> Callable[[], Made]:
        MODULES[f"{package}: {what}"] = (package, make)
        return make

    return enter


def of_kind(package: str, path: str, *args: Any, call: str = "x", **options: Any) -> None:
    """Enter a class by its path; `call` says whether it takes x once, thrice, or length first."""

    def make() -> Made:
        module, _, name = path.rpartition(".")
        built = getattr(importlib.import_module(module), name)(*args, **options)
        x = tokens(L, N, E) if "length first" in call else tokens()
        return built, (x,) * (3 if "thrice" in call else 2 if "twice" in call else 1), {}

    MODULES[f"{package}: {path.split('.', 1)[-1]} {call if call != 'x' else ''}".strip()] = (
        package,
        make,
    )


of_kind("torch", "torch.nn.MultiheadAttention", E, H, batch_first=True, dropout=0.1, call="thrice")
of_kind("torch", "torch.nn.MultiheadAttention", E, H, call="thrice, length first")
of_kind("opacus", "opacus.layers.DPMultiheadAttention", E, H, batch_first=True, call="thrice")
of_kind("torch", "torch.nn.TransformerEncoderLayer", E, H, 48, batch_first=True)
of_kind("timm", "timm.layers.Attention", E, num_heads=H)
of_kind("timm", "timm.layers.AttentionRope", E, num_heads=H)
of_kind("timm", "timm.models.vision_transformer.Attention", E, num_heads=H, qkv_bias=True)
of_kind("timm", "timm.models.beit.Attention", E, num_heads=H)
of_kind("timm", "timm.models.xcit.XCA", E, num_heads=H)
of_kind("timm", "timm.models.cait.TalkingHeadAttn", E, num_heads=H)
of_kind("timm", "timm.models.eva.EvaAttention", E, num_heads=H, norm_layer=nn.LayerNorm)
for version in ("", "_v2"):
    where = f"timm.models.swin_transformer{version}.WindowAttention"
    of_kind("timm", where, E, num_heads=H, window_size=(2, 3))
for model in (
    *("vit", "deepvit", "cait", "vivit", "simple_vit", "vit_with_patch_dropout"),
    *("parallel_vit", "learnable_memory_vit", "na_vit", "cross_vit", "local_vit"),
):
    options: dict[str, Any] = {} if model == "simple_vit" else {"dropout": 0.1}
    of_kind("vit-pytorch", f"vit_pytorch.{model}.Attention", E, heads=H, dim_head=8, **options)
of_kind("vit-pytorch", "vit_pytorch.vit_for_small_dataset.LSA", E, heads=H, dim_head=8)
VARIANTS: tuple[dict[str, Any], ...] = (
    *({}, {"causal": True}, {"flash": True}, {"causal": True, "flash": True}, {"kv_heads": 2}),
)
for more in VARIANTS:
    where = "x_transformers.x_transformers.Attention"
    named: dict[str, Any] = {"heads": H, "dim_head": 8, "dropout": 0.1, **more}
    of_kind("x-transformers", where, E, call=", ".join(more) or "x", **named)
of_kind("performer-pytorch", "performer_pytorch.SelfAttention", E, heads=H, dim_head=8)
of_kind(
    *("memory-efficient-attention-pytorch", "memory_efficient_attention_pytorch.Attention"),
    dim=E, heads=H, dim_head=8, dropout=0.9,
)  # fmt: skip
of_kind("diffusers", "diffusers.models.attention_processor.Attention", E, heads=H, dim_head=8)
of_kind("zetascale", "zeta.nn.MultiGroupedQueryAttn", E, H, 2, call="thrice")
of_kind(
    "zetascale", "zeta.nn.attention.multihead_attention.MultiheadAttention", E, H, call="thrice"
)
of_kind("transformer-toolkit", "transformer_toolkit.attention.MultiHeadAttention", E, H)
of_kind("linformer", "linformer.LinformerSelfAttention", E, L, heads=H, k=4)
of_kind(
    *(
        "linear-attention-transformer",
        "linear_attention_transformer.linear_attention_transformer.SelfAttention",
        E,
    ),
    heads=H,
)
of_kind(
    "perceiver-pytorch", "perceiver_pytorch.perceiver_pytorch.Attention", E, heads=H, dim_head=8
)
of_kind(
    *("nystrom-attention", "nystrom_attention.NystromAttention", E),
    heads=H, dim_head=8, num_landmarks=2,
)  # fmt: skip
of_kind("conformer", "conformer.conformer.Attention", E, heads=H, dim_head=8)
of_kind(
    *("tab-transformer-pytorch", "tab_transformer_pytorch.tab_transformer_pytorch.Attention", E),
    heads=H, dim_head=8,
)  # fmt: skip
of_kind("monai", "monai.networks.blocks.selfattention.SABlock", E, H)
of_kind("monai", "monai.networks.blocks.crossattention.CrossAttentionBlock", E, H)
of_kind("openai-whisper", "whisper.model.MultiHeadAttention", E, H)
of_kind("fair-esm", "esm.multihead_attention.MultiheadAttention", E, H, call="thrice, length first")
of_kind(
    *("rtdl-revisiting-models", "rtdl_revisiting_models.MultiheadAttention"),
    d_embedding=E, n_heads=H, dropout=0.1, call="twice",
)  # fmt: skip
of_kind("bert-pytorch", "bert_pytorch.model.attention.MultiHeadedAttention", H, E, call="thrice")
of_kind("open-clip-torch", "open_clip.transformer.Attention", E, num_heads=H, call="length first")
of_kind(
    *("local-attention", "local_attention.LocalMHA"),
    dim=E, window_size=3, heads=H, dim_head=8, causal=True,
)  # fmt: skip


@entry("perceiver-pytorch", "cross-attention")
def _perceiver() -> Made:
    from perceiver_pytorch.perceiver_pytorch import Attention

    return Attention(E, 24, heads=H, dim_head=8), (tokens(), tokens(N, 7, 24)), {}


@entry("keras", "MultiHeadAttention on torch")
def _keras() -> Made:
    import keras

    module, x = keras.layers.MultiHeadAttention(H, 8, dropout=0.1), tokens()
    module(x, x)  # its weights are made by the first call
    return module, (x, x), {}


@entry("keras", "GroupQueryAttention on torch")
def _keras_groups() -> Made:
    import keras

    module, x = keras.layers.GroupQueryAttention(8, H, 2), tokens()
    module(x, x)
    return module, (x, x), {}


@entry("torchtune", "MultiHeadAttention, two key heads")
def torchtune_groups() -> Made:
    """Build it with two query heads for each key head."""
    from torchtune.modules import MultiHeadAttention

    def layer(width: int) -> nn.Module:
        return nn.Linear(E, width, bias=False)

    module = MultiHeadAttention(
        embed_dim=E, num_heads=H, num_kv_heads=2, head_dim=8, attn_dropout=0.1,
        q_proj=layer(32), k_proj=layer(16), v_proj=layer(16), output_proj=layer(32),
    )  # fmt: skip
    x = tokens()
    return module, (x, x), {}


@entry("espnet", "MultiHeadedAttention")
def _espnet() -> Made:
    from espnet.nets.pytorch_backend.transformer.attention import MultiHeadedAttention

    x = tokens()
    return MultiHeadedAttention(H, E, 0.1), (x, x, x, None), {}


@entry("espnet", "RelPositionMultiHeadedAttention")
def _espnet_positions() -> Made:
    from espnet.nets.pytorch_backend.transformer.attention import RelPositionMultiHeadedAttention

    x = tokens()
    positions = tokens(1, 2 * L - 1, E)
    return RelPositionMultiHeadedAttention(H, E, 0.1), (x, x, x, positions, None), {}


@entry("pytorch-pretrained-bert", "BertSelfAttention")
def _pretrained_bert() -> Made:
    from pytorch_pretrained_bert.modeling import BertConfig, BertSelfAttention

    config = BertConfig(99, hidden_size=E, num_attention_heads=H)
    return BertSelfAttention(config), (tokens(), torch.zeros(N, 1, 1, L)), {}


@entry("multihead-latent-attention", "MLA")
def _latent() -> Made:
    from mla.attention import MLA, MLAConfig

    config = MLAConfig(
        d_model=E, num_heads=H, kv_compressed_dim=16, q_compressed_dim=16, rope_dim=8, seq_len=L
    )
    return MLA(config), (tokens(),), {}
