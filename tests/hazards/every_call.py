"""Every public call of kvpool once: what the hazards of this folder are tried on.

Methods are named in pool_calls.py, memory_calls.py and report_calls.py, each with a call that works. Properties and
operators are found by looking. So a method that is added is missed by test_every_call.py until it has its line there.
Replays, reports and the model are not among them: they are tools that work on pools of their own.
"""

import enum
import importlib

import memory_calls
import pool_calls
import report_calls
from world import World, using

from kvpool._core.scrub_ledger import ScrubLedger

__all__ = ["METHODS", "World", "every_call", "public_classes", "required_methods"]

MODULES = ["kvpool", "kvpool.storage", "kvpool.events", "kvpool.persistence", "kvpool.metrics", "kvpool.diagnosis"]
# Not public by name, but what a public call returns.
RETURNED = {"ScrubLedger": ScrubLedger}

METHODS = {**pool_calls.METHODS, **memory_calls.METHODS, **report_calls.METHODS}
SAMPLES = {**pool_calls.SAMPLES, **memory_calls.SAMPLES, **report_calls.SAMPLES}
# Those that end by themselves: they are made for each call, and closed.
ENDING = {
    "BackgroundEvictor": "evictor",
    "PoolServer": "server",
    "Prefetch": "prefetch",
    "Subscription": "subscription",
    "ZmqEventManager": "zmq_manager",
}

NO_CALLS = {"__init__", "__new__", "__delattr__", "__setattr__", "__getstate__", "__setstate__", "__getnewargs__"}
NO_CALLS |= {"__post_init__", "__replace__", "__init_subclass__", "__copy__", "__radd__", "__pyx_capi__", "__del__"}
# Asked for by other libraries, in forms that not every view has.
NO_CALLS |= {"__array_interface__", "__cuda_array_interface__", "__buffer__", "__release_buffer__"}

OPERATORS = {
    **memory_calls.OPERATORS,
    "__add__": lambda x: x + x[:0],
    "__enter__": lambda x: x.__enter__(),
    "__eq__": lambda x: x == x,
    "__exit__": lambda x: x.__exit__(None, None, None),
    "__getitem__": lambda x: x[0],
    "__hash__": hash,
    "__iter__": list,
    "__len__": len,
    "__reduce__": lambda x: refused(x.__reduce__),
    "__repr__": lambda x: repr(x)[:40],
    "__str__": str,
}
# Called by the pool's thread, or in a forked child.
OF_THE_THREAD = {f"Subscription.{each}" for each in ("end", "forget_after_fork", "serve", "take_turn")}


def refused(call):
    try:
        call()
    except TypeError:
        return
    raise AssertionError("it should have been refused")


def public_things():
    """What the public modules have, by name."""
    things = dict(RETURNED)
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            if name == "ZmqEventManager" and not report_calls.HAS_ZMQ:
                continue
            thing = getattr(module, name)
            assert things.setdefault(name, thing) is thing, f"two things are named {name}"
    return things


def public_classes():
    return {
        name: thing
        for name, thing in public_things().items()
        if isinstance(thing, type) and not issubclass(thing, enum.Enum)
    }


def names_of(kind):
    """Yield what a class has of its own, or from a base that is not public, and whether it is a method."""
    public = set(public_classes().values())
    seen = set()
    for base in kind.__mro__:
        if base is not kind and base in public:
            break
        if base.__module__.startswith("kvpool"):
            for attribute in set(vars(base)) - seen:
                yield attribute, callable(getattr(kind, attribute))
            seen |= set(vars(base))


def required_methods():
    """The names of all public functions, and of all public methods."""
    names = {name for name, thing in public_things().items() if callable(thing) and not isinstance(thing, type)}
    for name, kind in public_classes().items():
        names |= {f"{name}.{each}" for each, is_method in names_of(kind) if is_method and each[0] != "_"}
    return names - OF_THE_THREAD


def required_samples():
    """The names of all public classes that are no errors."""
    return {name for name, kind in public_classes().items() if not issubclass(kind, BaseException)}


def look(name, attribute):
    """Return a call that reads a property, or uses an operator."""
    use = OPERATORS[attribute] if attribute.startswith("__") else lambda thing: getattr(thing, attribute)
    if name in ENDING:
        return using(ENDING[name], lambda w, thing: use(thing))
    return lambda w: use(SAMPLES[name](w))


def looks():
    """All properties and operators, by name."""
    calls = {}
    for name, kind in public_classes().items():
        for attribute, is_method in names_of(kind):
            is_operator = attribute.startswith("__") and attribute not in NO_CALLS and is_method
            if is_operator or (attribute[0] != "_" and not is_method):
                calls[f"{name}.{attribute}"] = look(name, attribute)
    return calls


def every_call(threads=True, libraries=False):
    """All calls by name.

    Without threads, those that neither start a thread nor talk to one; with libraries, also those that are mostly the
    work of others.
    """
    calls = {**looks(), **{f"{name}()": call for name, call in SAMPLES.items()}, **METHODS}
    of_threads = ("Prefetch", "BackgroundEvictor", "ProgressEngine", "Subscription")
    others = {
        "AsyncBlockPool.prefetch",
        "BlockPool.__enter__",
        "BlockPool.__exit__",
        "BlockPool.close",
        "BlockPool.prefetch",
        "BlockPool.progress_engine",
        "BlockPool.subscribe",
    }
    return {
        name: call
        for name, call in calls.items()
        if (threads or (not name.startswith(of_threads) and name not in others))
        and (libraries or not name.startswith(report_calls.OF_LIBRARIES))
    }
