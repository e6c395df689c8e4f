"""The crisis alert broadcaster: one alert in, durably, and out on every channel."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("crisis-broadcaster")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
