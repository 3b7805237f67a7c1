"""ShareGPT: a local file in its schema, or the file of a Hugging Face hub dataset."""

import logging

from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.messages import FORMAT_VERSION, ParsedMessages, parse_messages, parse_pieces
from cachelab.dataset.source_bytes import STANDARD_INPUT, MaxBytes, opened, path_name, unpacked
from cachelab.dataset.source_file import MAX_BYTES, SourceFile, new_digest
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath, Text

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class ShareGPT:
    """Real chats. `path`: a local .json or .json.gz file; None reads the hub's file, from the cache if it is there."""

    path: FilePath | None = None
    repo_id: Text = "anon8231489123/ShareGPT_Vicuna_unfiltered"
    filename: Text = "ShareGPT_V3_unfiltered_cleaned_split.json"
    revision: Text | None = None
    max_bytes: MaxBytes = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the file. Raises DatasetError that names the file and what is wrong, or how to get the file."""
        if self.path is not None:
            path, source = self.path, self.path
        else:
            path = hub_file(self.repo_id, self.filename, self.revision)
            source = f"hf://datasets/{self.repo_id}@{self.revision or 'main'}/{self.filename}"
        found = None if path in STANDARD_INPUT else self._by_pieces(path)
        if found is None:  # the whole text in memory, for errors that name the place in it
            file = SourceFile.read(path, FORMAT_VERSION, self.max_bytes)
            found = parse_messages(file.text, file.name), file.digest
        parsed, digest = found
        return LoadedDataset("sharegpt", source, digest, parsed.conversations, parsed.counts, parsed.notes)

    def _by_pieces(self, path: str) -> tuple[ParsedMessages, str] | None:
        """The conversations and the file's digest; None if the file is not correct."""
        name, digest = path_name(path), new_digest(FORMAT_VERSION)
        try:
            with opened(path) as raw:
                return parse_pieces(unpacked(raw, name, self.max_bytes, digest), name), digest.hexdigest()
        except DatasetError:
            return None


def hub_file(repo_id: str, filename: str, revision: str | None) -> str:
    """The path of a hub dataset's file in the Hugging Face cache. The file is downloaded if it is not there.

    Raises DatasetError that says how to get the file if it is neither cached nor reachable.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # OSError and, whatever HTTP client the installed huggingface_hub uses, that client's base error.
    failures: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    try:
        return hf_hub_download(repo_id, filename, repo_type="dataset", revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        log.info("%s of %s is not in the Hugging Face cache, downloading it", filename, repo_id)
    except HFValidationError as error:
        reason = _first_line(error)
        raise DatasetError(f"dataset.repo_id={repo_id}: not a hub name ({reason}): write owner/name") from error
    url = hf_hub_url(repo_id, filename, repo_type="dataset", revision=revision)
    try:
        # One request first, because hf_hub_download retries for half a minute before it fails.
        get_hf_file_metadata(url, timeout=10)
        return hf_hub_download(repo_id, filename, repo_type="dataset", revision=revision)
    except failures as error:
        raise DatasetError(
            f"{filename} of the hub dataset {repo_id} is neither cached nor reachable ({_first_line(error)}): "
            f"download {url} on a machine with network, then set dataset.path=FILE"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0].rstrip(". :")
