"""Finds the errors that a function raises, by a walk through the source, not by calling it.

The walk follows calls of functions and constructors, and of methods wherever an annotation or an assignment tells the type of their object.
Reading a name that a module of the package annotates and does not assign calls its `__getattr__` (PEP 562).
It leaves out what it cannot resolve: implementations of protocols, and callables that are passed by name.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeGuard

from orchlite.core.errors import OrchliteError

Errors = set[type[OrchliteError]]
Scope = dict[str, Any]
"""What names mean: functions, classes and modules, or an `Instance` for a value; None if that is not known."""


class Instance(NamedTuple):
    """A value of which the class is known, and the value of its items."""

    of: type
    item: Any = None


class Call(NamedTuple):
    """A function of the package, and the class of its `self`."""

    function: Callable[..., Any]
    owner: type | None = None


def raised(root: Call) -> Errors:
    """Return the errors that leave a function. They are a fixed point, since functions may call each other in a circle."""
    reached, waiting = {root}, [root]
    while waiting:
        called = {what for what, _ in _steps_of(waiting.pop()) if isinstance(what, Call)}
        waiting += called - reached
        reached |= called
    leaving: dict[Call, Errors] = {call: set() for call in reached}
    while leaving != (grown := {call: _leaving(call, leaving) for call in reached}):
        leaving = grown
    return leaving[root]


def is_ours(thing: object) -> TypeGuard[FunctionType]:
    """Return whether a thing is a function of the package."""
    return inspect.isfunction(thing) and thing.__module__.startswith("orchlite")


Step = tuple[type[OrchliteError] | Call, tuple[type, ...]]
"""What a function raises or calls, and what is caught around that."""


def _leaving(call: Call, known: dict[Call, Errors]) -> Errors:
    """Return what leaves a function, by what is known of those that it calls."""
    found = ((known[what] if isinstance(what, Call) else {what}, caught) for what, caught in _steps_of(call))
    return {kind for kinds, caught in found for kind in kinds if not issubclass(kind, caught)}


@cache
def _steps_of(call: Call) -> list[Step]:
    return list(_steps(_tree(call.function), _scope(call), ()))


def _steps(node: ast.AST, scope: Scope, caught: tuple[type, ...]) -> Iterator[Step]:
    match node:
        case ast.Raise(exc=exc):
            kind = getattr(_value(exc, scope), "of", None)
            if kind is not None and issubclass(kind, OrchliteError):
                yield kind, caught
        case ast.Call():
            yield from ((call, caught) for call in _calls(node, scope))
        case ast.Attribute(value=owner, attr=name) if _is_lazy(module := _value(owner, scope), name):
            yield Call(module.__getattr__), caught
        case ast.Try(body=body, handlers=handlers):
            inner = (*caught, *(kind for handler in handlers if not _raises_again(handler) for kind in _classes(handler.type, scope)))
            yield from (step for statement in body for step in _steps(statement, scope, inner))
            node = ast.Try([], handlers, node.orelse, node.finalbody)
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="suppress"), args=kinds))]):
            caught = (*caught, *(kind for each in kinds for kind in _classes(each, scope)))
    for child in ast.iter_child_nodes(node):
        yield from _steps(child, scope, caught)


def _calls(node: ast.Call, scope: Scope) -> Iterator[Call]:
    called, owner = _value(node.func, scope), None
    if isinstance(node.func, ast.Attribute):
        owner = getattr(_value(node.func.value, scope), "of", None)
    if inspect.isclass(called):
        called, owner = inspect.getattr_static(called, "__init__", None), called
    called = inspect.unwrap(called) if callable(called) else None
    if is_ours(called):
        yield Call(called, owner)


def _is_lazy(module: Any, name: str) -> bool:
    ours = inspect.ismodule(module) and module.__name__.startswith("orchlite")
    return ours and name in vars(module).get("__annotations__", {}) and is_ours(vars(module).get("__getattr__"))


def _classes(node: ast.expr | None, scope: Scope) -> list[type]:
    """Return the classes that `except` or `suppress` names."""
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return [kind for name in names if (kind := _value(name, scope) or getattr(builtins, getattr(name, "id", ""), None))]


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))


@cache
def _tree(thing: Callable[..., Any] | ModuleType) -> Any:
    """Return the parsed source of a module, or the definition of a function or a class in it."""
    if inspect.ismodule(thing):
        return ast.parse(inspect.getsource(thing))
    definitions = _definitions(sys.modules[thing.__module__])
    return definitions[thing.__code__.co_firstlineno if inspect.isfunction(thing) else thing.__qualname__]


@cache
def _definitions(module: ModuleType) -> dict[int | str, ast.AST]:
    """Return the functions of a module by their first line, which may be a decorator's, and its classes by their qualified name."""
    found: dict[int | str, ast.AST] = {}

    def find(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, ast.ClassDef):
                found[prefix + child.name] = child
                inner = f"{prefix}{child.name}."
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found[min(each.lineno for each in (child, *child.decorator_list))] = child
                inner = f"{prefix}{child.name}.<locals>."
            find(child, inner)

    find(_tree(module), "")
    return found


def _value(node: ast.AST | None, scope: Scope) -> Any:
    match node:
        case ast.Name(id=name):
            return scope.get(name)
        case ast.Attribute(value=owner, attr=name):
            return _attribute(_value(owner, scope), name)
        case ast.Call(func=called):
            return _returned(_value(called, scope))
        case ast.BinOp(left=left, right=right):  # `X | None`
            return _value(left, scope) or _value(right, scope)
        case ast.BoolOp(values=values):
            return next(filter(None, (_value(each, scope) for each in values)), None)
        case ast.Subscript(value=container):
            found = _value(container, scope)
            return found.item if isinstance(found, Instance) else found
    return None


def _instance(annotation: ast.expr | None, scope: Scope) -> Instance | None:
    kind = _value(annotation, scope)
    item = _instance(annotation.slice, scope) if isinstance(annotation, ast.Subscript) else None
    return Instance(kind, item) if inspect.isclass(kind) else None


def _returned(called: Any) -> Instance | None:
    if inspect.isclass(called):
        return Instance(called)
    return _instance(_tree(called).returns, _globals(called.__module__)) if is_ours(called) else None


def _attribute(owner: Any, name: str) -> Any:
    if not isinstance(owner, Instance):
        return getattr(owner, name, None) if inspect.ismodule(owner) or inspect.isclass(owner) else None
    found = inspect.getattr_static(owner.of, name, None)
    if found is None:
        return next(filter(None, (_assigned(kind, name) for kind in owner.of.__mro__ if kind.__module__.startswith("orchlite"))), None)
    return _returned(found.fget) if isinstance(found, property) else inspect.unwrap(getattr(found, "__func__", found))


@cache
def _assigned(kind: type, name: str) -> Any:
    """Return what a class annotates an attribute with, or what its `__init__` assigns to it."""
    init = vars(kind).get("__init__")
    scope = _parameters(Call(init, kind)) if init else _globals(kind.__module__)
    for node in ast.walk(_tree(kind)):
        match node:
            case ast.AnnAssign(target=ast.Name(id=target) | ast.Attribute(attr=target), annotation=annotation) if target == name:
                return _instance(annotation, scope)
            case ast.Assign(targets=[ast.Attribute(attr=target)], value=value) if target == name:
                return _value(value, scope)
    return None


@cache
def _globals(module: str) -> Scope:
    """Return what names mean in a module, including those that it imports for types only or inside functions."""
    nodes = [node for node in ast.walk(_tree(sys.modules[module])) if isinstance(node, ast.ImportFrom)]
    ours = {alias: node.module for node in nodes if node.module and node.module.startswith("orchlite") for alias in node.names}
    names = vars(sys.modules[module]) | {alias.asname or alias.name: _imported(home, alias.name) for alias, home in ours.items()}
    return {name: value for name, value in names.items() if callable(value) or inspect.ismodule(value)}


def _imported(home: str, name: str) -> object:
    module = import_module(home)
    return getattr(module, name) if hasattr(module, name) else import_module(f"{home}.{name}")


@cache
def _parameters(call: Call) -> Scope:
    scope, given = dict(_globals(call.function.__module__)), _tree(call.function).args
    for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
        scope[argument.arg] = _instance(argument.annotation, scope)
    return scope | ({"self": Instance(call.owner), "cls": call.owner} if call.owner else {})


def _scope(call: Call) -> Scope:
    """Return what names mean in a function: its parameters and its variables."""
    scope = dict(_parameters(call))
    for node in ast.walk(_tree(call.function)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value):
                scope[name] = _value(value, scope)
            case (
                ast.Assign(targets=[ast.List(elts=[ast.Name(id=name)])], value=items)
                | ast.For(target=ast.Name(id=name), iter=items)
                | ast.comprehension(target=ast.Name(id=name), iter=items)
            ):
                scope[name] = getattr(_value(items, scope), "item", None)
    return scope
