"""How the error of a failed job leaves Hydra."""

import io
from contextlib import redirect_stderr
from typing import Any

from hydra.core.utils import JobReturn

_HYDRAS: Any = vars(JobReturn)["return_value"]


def hide_hydras_line() -> None:
    """Keep Hydra from printing "Error executing job with overrides" when it raises the error of a failed job.

    The command line prints the error in one line. Hydra has no setting for its own line: the property that raises the
    error writes it.
    """
    JobReturn.return_value = property(_return_value, _HYDRAS.fset)  # type: ignore[assignment, method-assign]


def _return_value(job: JobReturn) -> Any:
    with redirect_stderr(io.StringIO()):
        return _HYDRAS.fget(job)
