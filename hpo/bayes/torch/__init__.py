"""The only folder that imports torch, gpytorch and botorch; itself imported only where several objectives need it."""

import warnings

with warnings.catch_warnings():
    # While it is imported, linear_operator uses what recent versions of torch deprecate; users can do nothing about it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import botorch  # noqa: F401
