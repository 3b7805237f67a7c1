"""The note on token ids that may be of another tokenizer than the server's."""

from cachelab.dataset.base import LoadedDataset
from cachelab.engine.base import Engine
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.base import Tokenizer


def tokenizer_note(engine: Engine, tokenizer: Tokenizer, dataset: LoadedDataset) -> str | None:
    """One line if texts are sent to a server as token ids of the bundled tokenizer.

    The server does not say which tokenizer its model has. None if messages are sent, whose tokens are checked, and for
    data that needs no tokenizer. `engine` may be an agreement, whose real engine is the server.
    """
    real = getattr(engine, "real", engine)
    if real.name != "server" or not dataset.conversations:
        return None
    from cachelab.engine.server.server_engine import ServerEngine
    from cachelab.tokenizer.mistral import Mistral

    if not isinstance(real, ServerEngine) or real.api != "completions" or not isinstance(tokenizer, Mistral):
        return None
    if isinstance(dataset.conversations[0], TokenizedConversation):
        return None
    return (
        "The server gets token ids of tokenizer=mistral. If its model has another tokenizer, the ids stand for other "
        "text there, and the token counts are not those of its own prompts: set tokenizer=huggingface "
        "tokenizer.model=FOLDER to the server's model."
    )
