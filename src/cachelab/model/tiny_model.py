"""Small models with random weights: real models that need no download."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from cachelab.atomic import atomic_folder

log = logging.getLogger(__name__)

VERSION = 1
"""Part of the cached folder's name. Increase it with every change of the model."""

LEAST_VOCABULARY = 131_072
"""The vocabulary of mistral-common's v3 Tekken, the default tokenizer."""

MAX_MODEL_LEN = 131_072


TinyName = Literal["tiny", "tiny_window", "tiny_state"]
"""Each has two layers of full attention, and `tiny` no others.

`tiny_window` also has four layers with a window of WINDOW tokens, `tiny_state` four short convolutions (LFM2), which
keep a state of fixed size.
"""

WINDOW = 96
"""The window of `tiny_window` in tokens: three blocks of 32, so that prompts of some hundred tokens leave it."""

TINY_NAMES: tuple[TinyName, ...] = get_args(TinyName)

_KINDS: Mapping[str, list[str]] = {
    "tiny": ["full_attention"] * 2,
    "tiny_window": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
    "tiny_state": ["conv", "conv", "full_attention"] * 2,
}
_FAMILY: Mapping[str, str] = {"tiny": "llama", "tiny_window": "llama", "tiny_state": "lfm2"}


def vocabulary_for(largest_token_id: int) -> int:
    """A vocabulary size that contains the token id: the next power of two, at least Tekken's size."""
    return max(LEAST_VOCABULARY, 1 << largest_token_id.bit_length())


def default_cache_dir() -> Path:
    """The folder `cachelab/models` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cachelab" / "models"


def tiny_model(cache_dir: Path, vocabulary: int, name: TinyName = "tiny") -> Path:
    """The folder of the model `name`, built if it does not exist.

    The folder is renamed into place when it is complete, so that several processes may build it at once. Raises OSError
    if the cache cannot be written.
    """
    folder = cache_dir / f"{name}-{_FAMILY[name]}-{vocabulary}-v{VERSION}"
    if folder.is_dir():
        return folder
    with atomic_folder(folder, keep_existing=True) as part:
        _build(part, vocabulary, name)
    log.info("tiny model: built %s", folder)
    return folder


def _build(folder: Path, vocabulary: int, name: TinyName) -> None:
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": len(_KINDS[name]),
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": MAX_MODEL_LEN,
        "tie_word_embeddings": True,
        # Large weights: with the usual 0.02 and tied embeddings the model repeats the last token forever.
        "initializer_range": 0.5,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _lfm2(sizes, _KINDS[name]) if "conv" in _KINDS[name] else _llama(sizes, _KINDS[name])
    model.to(torch.bfloat16).save_pretrained(folder)


def _llama(sizes: dict[str, Any], kinds: list[str]) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    # The Llama of transformers ignores these two. vLLM's follows them.
    windows = {"layer_types": kinds, "sliding_window": WINDOW} if "sliding_attention" in kinds else {}
    return LlamaForCausalLM(LlamaConfig(**sizes, head_dim=32, **windows))


def _lfm2(sizes: dict[str, Any], kinds: list[str]) -> Any:
    from transformers import Lfm2Config, Lfm2ForCausalLM

    # vLLM reads these two, which the config of transformers does not have.
    dims = {"conv_dim": sizes["hidden_size"], "block_dim": sizes["hidden_size"]}
    return Lfm2ForCausalLM(Lfm2Config(**sizes, **dims, layer_types=kinds, block_auto_adjust_ff_dim=False))
