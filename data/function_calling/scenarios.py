"""The thirteen scenarios: from tools to a conversation whose next assistant turn is known.

A scenario takes the tools that it is about and returns an ``Episode``: the messages before the judged
turn, the judged turn and its gold, and what would follow it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import mocks
from .say.grammar import NoSentenceError, Sentence
from .say.library import Chain, Tool
from .say.requests import Context, Request, draw_request, recorded
from .say.slots import draw
from .wire.calls import dump

Message = dict[str, Any]

TWO_MISSING = 0.15
"""Share of the questions that miss two values, where the tool has two to miss."""


@dataclass
class Episode:
    """One request: ``before`` it is answered, the judged ``turn`` with its ``gold``, and what comes ``after``."""

    before: list[Message]
    turn: Message
    gold: dict[str, Any]
    after: list[Message] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)


def single(context: Context, tools: Sequence[Tool]) -> Called:
    """One call, everything said."""
    request = draw_request(context, tools[0])
    return _called(context, [_user(_request_sentence(context, [request]))], [request])


def optional(context: Context, tools: Sequence[Tool]) -> Episode:
    """One call: an optional value is left out, said although it is the default, or said not to matter."""
    tool = tools[0]
    name = context.rng.choice(tool.optional)
    parameter = tool.parameters[name]
    trap = context.rng.choice(("omitted", "default", "indifferent"))
    can_say_any = "any" in context.pack.section("parameters", name)
    request = draw_request(context, tool, optional=False)
    if trap == "default" and parameter.default is not None:
        request.arguments[0][name] = parameter.default
    indifferent = (name,) if trap == "indifferent" and can_say_any else ()
    sentence = context.speaker.request([request.ask(indifferent=indifferent)])
    request.heard(sentence.said[0], sentence.rules)
    return _called(context, [_user(sentence)], [request])


def parallel_same(context: Context, tools: Sequence[Tool]) -> Episode:
    """Two or three calls of one tool that differ in one value."""
    tool = tools[0]
    name = context.rng.choice(tool.vary)
    request = draw_request(context, tool)
    if name not in request.arguments[0]:
        raise NoSentenceError
    count = 2 if context.rng.random() < 0.75 else 3
    seen = [request.arguments[0][name]]
    for _ in range(20):
        value = draw(tool.parameters[name].kind, context.rng, context.pack, context.unseen)
        taken = [other for key, other in request.arguments[0].items() if key != name]
        if len(seen) < count and value not in seen and value not in taken:
            seen.append(value)
    if len(seen) < 2:
        raise NoSentenceError
    request.arguments = [request.arguments[0] | {name: value} for value in seen]
    return _called(context, [_user(_request_sentence(context, [request]))], [request])


def parallel_different(context: Context, tools: Sequence[Tool]) -> Episode:
    """A call of each of two tools."""
    requests = [draw_request(context, tool) for tool in tools[:2]]
    # A free text ends where the sentence does, so that it can be told from the next request.
    requests.sort(key=lambda request: not context.pack.last.isdisjoint(request.arguments[0]))
    if not context.pack.last.isdisjoint(requests[0].arguments[0]):
        raise NoSentenceError
    return _called(context, [_user(_request_sentence(context, requests))], requests)


def sequential(context: Context, chain: Chain) -> Episode:
    """Two calls, of which the second needs a value of the first's result; the second is judged."""
    first, second = draw_request(context, chain.first), draw_request(context, chain.second, without=tuple(chain.uses))
    sentence = _request_sentence(context, [first, second], (f"{chain.id}.first", f"{chain.id}.then"))
    result = mocks.run(chain.first.id, first.arguments[0])
    for name, key in chain.uses.items():
        second.arguments[0][name] = result[key]
        second.said[name] = [str(result[key])]
        second.from_result = tuple(chain.uses)
    before = [_user(sentence), _call_turn(context, [first]), _result_turn(context, chain.first.id, result)]
    episode = _called(context, before, [second])
    episode.intents = recorded([first, second])
    return episode


def missing(context: Context, tools: Sequence[Tool]) -> Episode:
    """A required value was not said: ask for it."""
    request, gone = draw_request(context, tools[0]), _gone(context, tools[0])
    rest = [name for name in request.arguments[0] if name not in gone]
    sentence = context.speaker.request([request.ask(rest)])
    question, mentions = _question(context, gone)
    gold = _gold("ask", missing=list(gone), mentions=mentions)
    request.arguments = [{name: request.arguments[0][name] for name in rest}]
    request.heard(sentence.said[0], sentence.rules)
    return Episode([_user(sentence)], _text(question), gold, [], recorded([request]), sentence.rules)


def follow_up(context: Context, tools: Sequence[Tool]) -> Episode:
    """A required value was not said, was asked for and is given: call."""
    request, gone = draw_request(context, tools[0]), _gone(context, tools[0])
    sentence = context.speaker.request([request.ask([name for name in request.arguments[0] if name not in gone])])
    reply = context.speaker.reply(request.ask(gone))
    request.heard(sentence.said[0] | reply.said[0], sentence.rules + reply.rules)
    question, _ = _question(context, gone)
    return _called(context, [_user(sentence), _text(question), _user(reply)], [request])


def irrelevant(context: Context, tools: Sequence[Tool]) -> Episode:
    """A request for a tool that is not listed: refuse."""
    request = draw_request(context, tools[0])
    sentence = _request_sentence(context, [request])
    text = context.rng.choice(context.pack.section("refuse"))
    return Episode([_user(sentence)], _text(text), _gold("refuse"), [], recorded([request]), sentence.rules)


def chat(context: Context, tools: Sequence[Tool]) -> Episode:
    """Small talk: answer."""
    sentence, answer = context.speaker.small_talk()
    return Episode([_user(sentence)], _text(answer), _gold("answer"), [], [], sentence.rules)


def result_answer(context: Context, tools: Sequence[Tool]) -> Episode:
    """The call is made and its result is there: answer from it."""
    called = single(context, tools)
    if not called.contains:
        raise NoSentenceError  # the result says nothing that an answer could be checked for
    *results, answer = called.after
    gold = _gold("answer", contains=called.contains)
    return Episode([*called.before, called.turn, *results], answer, gold, [], called.intents, called.rules)


def tool_error(context: Context, tools: Sequence[Tool]) -> Episode:
    """The call failed: try again when the error says so, explain otherwise."""
    called = single(context, tools)
    again = context.rng.random() < 0.5
    error = context.rng.choice(mocks.ERRORS)
    result = mocks.BUSY if again else {"error": error}
    before = [*called.before, called.turn, _result_turn(context, tools[0].id, result)]
    if again:
        return Episode(before, called.turn, called.gold, called.after, called.intents, called.rules)
    words = context.pack.section("errors", error)
    text = context.rng.choice(context.pack.section("error_answer")).replace("{error}", words)
    return Episode(before, _text(text), _gold("answer"), [], called.intents, called.rules)


@dataclass
class Called(Episode):
    """An episode that ends in calls; ``contains`` is what the answer after them takes from the results."""

    contains: list[str] = field(default_factory=list)


def _request_sentence(context: Context, requests: Sequence[Request], intents: Sequence[str] = ()) -> Sentence:
    asks = [request.ask() for request in requests]
    if intents:
        asks = [dataclasses.replace(ask, intent=intent) for ask, intent in zip(asks, intents, strict=True)]
    sentence = context.speaker.request(asks)
    for request, said in zip(requests, sentence.said, strict=True):
        request.heard(said, sentence.rules)
    return sentence


def _gone(context: Context, tool: Tool) -> list[str]:
    count = 2 if len(tool.required) > 1 and context.rng.random() < TWO_MISSING else 1
    gone = context.rng.sample(tool.required, count)
    return [name for name in tool.parameters if name in gone]


def _question(context: Context, gone: Sequence[str]) -> tuple[str, dict[str, list[str]]]:
    section = context.pack.section
    asks = [context.rng.choice(section("parameters", name, "ask")) for name in gone]
    return " ".join(asks), {name: section("parameters", name, "mentions") for name in gone}


def _called(context: Context, before: list[Message], requests: Sequence[Request]) -> Called:
    calls, accepted, classes = [], [], []
    for request in requests:
        for arguments in request.arguments:
            calls.append({"name": context.name(request.tool.id), "arguments": arguments})
            accepted.append(request.accepted(arguments))
            classes.append({name: request.tool.parameters[name].kind.policy for name in arguments})
    gold = _gold("call", calls=calls, accepted=accepted, classes=classes)
    after, contains = _after(context, requests)
    rules = requests[0].rules
    return Called(before, _call_turn(context, requests), gold, after, recorded(requests), rules, contains)


def _after(context: Context, requests: Sequence[Request]) -> tuple[list[Message], list[str]]:
    """Results of the calls and the answer that tells them, and what that answer takes from them."""
    messages, texts, contains = [], [], []
    for request in requests:
        template = context.pack.intents[request.tool.id].result
        for place, arguments in enumerate(request.arguments):
            result = mocks.run(request.tool.id, arguments)
            messages.append(_result_turn(context, request.tool.id, result))
            words = {name: texts_[min(place, len(texts_) - 1)] for name, texts_ in request.said.items()}
            fields = words | {name: str(value) for name, value in result.items()}
            pieces = template.pieces if template else ()
            texts.append("".join(piece if isinstance(piece, str) else fields[piece[0]] for piece in pieces))
            contains += [fields[piece[0]] for piece in pieces if not isinstance(piece, str) and piece[0] in result]
    return [*messages, _text(" ".join(texts))], contains


def _gold(decision: str, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"calls": [], "accepted": [], "classes": [], "missing": [], "mentions": {}, "contains": []}
    return {"decision": decision} | empty | more


def _user(sentence: Sentence) -> Message:
    return {"role": "user", "content": sentence.text}


def _text(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _call_turn(context: Context, requests: Sequence[Request]) -> Message:
    calls = []
    for request in requests:
        for arguments in request.arguments:
            function = {"name": context.name(request.tool.id), "arguments": dump(arguments)}
            calls.append({"type": "function", "function": function})
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _result_turn(context: Context, tool: str, result: Mapping[str, Any]) -> Message:
    return {"role": "tool", "name": context.name(tool), "content": dump(result)}
