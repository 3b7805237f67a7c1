"""A loop over flat arrays that numba compiles if there is enough work: loading numba takes about a second of CPU."""

import sys
from collections.abc import Callable
from functools import cached_property
from types import FunctionType
from typing import Any, Literal

import numpy as np

_PYTHON_ELEMENTS = 50_000
"""Array elements that all kernels of a process read as Python, in about a tenth of a second."""


class Kernel:
    """A function of arrays and numbers, compiled with `numba.njit` when the process has much for kernels to do.

    Until all kernels together have been given 50,000 array elements it runs as Python, unless numba was imported for
    something else. Both give the same result. A kernel that calls other kernels calls their same kind.
    """

    _given = 0  # elements, of all kernels

    def __init__(self, function: Callable[..., Any], inline: Literal["never", "always"]) -> None:
        self._function = function
        self._inline = inline
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        if "numba" not in sys.modules:
            Kernel._given += sum(one.size for one in arguments if isinstance(one, np.ndarray))
            if Kernel._given <= _PYTHON_ELEMENTS:
                with np.errstate(over="ignore"):  # hashes are products modulo 2^64
                    return self.python(*arguments)
        return self.compiled(*arguments)

    @cached_property
    def python(self) -> Callable[..., Any]:
        """The function as it is written."""
        return self._linked("python")

    @cached_property
    def compiled(self) -> Callable[..., Any]:
        """The function compiled; the machine code is kept in `__pycache__` next to its module."""
        from numba import njit

        made: Callable[..., Any] = njit(cache=True, nogil=True, inline=self._inline)(self._linked("compiled"))
        return made

    def _linked(self, kind: Literal["python", "compiled"]) -> FunctionType:
        """The function with the kernels that it calls replaced by this kind of them."""
        function = self._function
        assert isinstance(function, FunctionType)
        called = {
            name: getattr(found, kind)
            for name in function.__code__.co_names
            if isinstance(found := function.__globals__.get(name), Kernel)
        }
        return FunctionType(function.__code__, function.__globals__ | called, function.__name__, function.__defaults__)


def kernel(function: Callable[..., Any]) -> Kernel:
    """A loop that other modules or kernels call."""
    return Kernel(function, "never")


def inlined(function: Callable[..., Any]) -> Kernel:
    """A short kernel whose code is put into the loops that call it."""
    return Kernel(function, "always")
