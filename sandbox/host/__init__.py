"""A small function host: what the Azure Functions host does, around Microsoft's own Python worker runtime."""

from sandbox.host.core import FunctionHost, HttpAnswer
from sandbox.host.functions import Function
from sandbox.host.hostjson import HostError
from sandbox.host.keys import Keys
from sandbox.host.queues import QueueListener
from sandbox.host.timers import Schedule, TimerListener

__all__ = ("Function", "FunctionHost", "HostError", "HttpAnswer", "Keys", "QueueListener", "Schedule", "TimerListener")
