"""A small Llama with random weights: a real model that needs no download."""

import logging
import os
from pathlib import Path

from cachelab.atomic import atomic_folder

log = logging.getLogger(__name__)

VERSION = 1
"""Part of the cached folder's name. Increase it with every change of the model."""

LEAST_VOCABULARY = 131_072
"""The vocabulary of mistral-common's v3 Tekken, the default tokenizer."""

MAX_MODEL_LEN = 131_072


def vocabulary_for(largest_token_id: int) -> int:
    """A vocabulary size that contains the token id: the next power of two, at least Tekken's size."""
    return max(LEAST_VOCABULARY, 1 << largest_token_id.bit_length())


def default_cache_dir() -> Path:
    """The folder `cachelab/models` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cachelab" / "models"


def tiny_model(cache_dir: Path, vocabulary: int) -> Path:
    """The model's folder, built if it does not exist.

    The folder is renamed into place when it is complete, so that several processes may build it at once. Raises OSError
    if the cache cannot be written.
    """
    folder = cache_dir / f"tiny-llama-{vocabulary}-v{VERSION}"
    if folder.is_dir():
        return folder
    with atomic_folder(folder, keep_existing=True) as part:
        _build(part, vocabulary)
    log.info("tiny model: built %s", folder)
    return folder


def _build(folder: Path, vocabulary: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=MAX_MODEL_LEN,
        tie_word_embeddings=True,
        # Large weights: with the usual 0.02 and tied embeddings the model repeats the last token forever.
        initializer_range=0.5,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
