"""Teacher forcing: makes a real model emit the recorded reply. This module imports vLLM."""

import torch
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from cachelab.engine.vllm.core import REPLY


class TeacherForcing(LogitsProcessor):
    """Allows each sequence only the next token of its recorded reply.

    vLLM's own trace replay does the same, but only on its model runner V2. That runner needs Triton, which does not run
    on a CPU.
    """

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._sequences: dict[int, tuple[list[int], list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the rows of the batch. The lists of emitted tokens belong to vLLM, which extends them."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._sequences.pop(index, None)
        for index, params, _, output_ids in batch_update.added:
            self._sequences[index] = params.extra_args[REPLY], output_ids
        for source, target, direction in batch_update.moved:
            moved, replaced = self._sequences.pop(source, None), self._sequences.pop(target, None)
            if moved is not None:
                self._sequences[target] = moved
            if replaced is not None and direction is MoveDirectionality.SWAP:
                self._sequences[source] = replaced

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits, changed in place: float, shape (num_sequences, vocabulary_size)."""
        rows = [
            (index, reply[len(emitted)])
            for index, (reply, emitted) in self._sequences.items()
            if index < len(logits) and len(emitted) < len(reply)
        ]
        if rows:
            forced = torch.tensor(rows, device=logits.device)
            logits[forced[:, 0]] = float("-inf")
            logits[forced[:, 0], forced[:, 1]] = 0.0
        return logits
