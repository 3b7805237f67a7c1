"""A hook of MkDocs: the Markdown files at the top of the repository become pages next to those of docs/."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""File of the repository -> page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, with links that fit the new place."""
    top = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        text = (top / name).read_text(encoding="utf-8").replace("](docs/", "](")
        for other, target in PAGES.items():
            text = text.replace(f"]({other})", f"]({target})")
        text = re.sub(r"\[([^]]+)\]\((?:examples|Dockerfile)\)", r"`\1`", text)  # no page of the site
        files.append(File.generated(config, page, content=text))
    return files
