"""CMK Autopilot on Azure Functions: builds the app and registers the triggers; nothing else."""

from __future__ import annotations

from pathlib import Path

import azure.functions as func

import functions
import shared

_ROOT = Path(__file__).resolve().parent
for package in (functions, shared):
    # The app's folder comes last on the worker's path: an installed package of the same name would win silently.
    if Path(str(package.__file__)).resolve().parent.parent != _ROOT:
        raise ImportError(f"{package.__name__!r} was imported from {package.__file__}, not from this app")

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for blueprint in functions.BLUEPRINTS:
    app.register_functions(blueprint)
